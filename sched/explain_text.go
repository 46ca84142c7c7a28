package sched

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	explainBefore = 3  // terms that a sentence names before the one that fails
	explainWord   = 80 // bytes of a tag or term in a sentence
	explainValues = 3  // values of a tag that a sentence names
)

// figure is how near workers come to a term.
type figure struct {
	any     bool
	most    int64    // amount
	best    string   // version
	workers int      // that have it
	values  []string // of a tag, the smallest
	more    bool     // there are further ones
}

// add takes the workers of a kind into account, of which none satisfies t.
func (f *figure) add(p *survey, t *term, k *kind) {
	switch t.kind {
	case termAmount:
		f.amount(k.offer.Most(&p.demand.Amounts[t.at]), k.workers)
	case termMemory:
		f.amount(k.offer.MemoryOn(max(p.demand.GPUs, 1)), k.workers)
	case termWhere:
		if t.where.Op == selector.Leaf {
			p.work += len(k.tags)
			f.tags(&t.where.Term, k)
		}
	}
}

func (f *figure) amount(n int64, workers int) {
	if n < 0 {
		return
	}
	if !f.any || n > f.most {
		f.most, f.workers = n, 0
	}
	if f.any = true; n == f.most {
		f.workers += workers
	}
}

// tags looks at the values that a kind has for the key of a term.
func (f *figure) tags(t *selector.Term, k *kind) {
	best, any := "", false
	for _, tag := range k.tags {
		v, ok := t.Value(tag)
		switch {
		case !ok:
		case t.Cmp <= selector.Eq:
			f.value(v)
		case !any || t.Nearer(v, best):
			best, any = v, true
		}
	}
	switch {
	case !any:
	case !f.any || t.Nearer(best, f.best):
		f.any, f.best, f.workers = true, best, k.workers
	case !t.Nearer(f.best, best):
		f.workers += k.workers
	}
}

// value adds one of the values that there are.
func (f *figure) value(v string) {
	f.any = true
	at, found := slices.BinarySearch(f.values, v)
	if found {
		return
	}
	f.values = slices.Insert(f.values, at, v)
	if len(f.values) > explainValues {
		f.values, f.more = f.values[:explainValues], true
	}
}

// text returns the explanation, "" if there is none.
func (p *survey) text(code wire.Code) string {
	text := ""
	switch {
	case p.kinds == 0:
		return "no worker is known"
	case p.reach < len(p.terms):
		if code == wire.CodeInfeasible || p.looked == p.kinds {
			text = p.missing()
		}
	case code == wire.CodeInfeasible:
		text = p.ruledOut()
	default:
		text = p.whoMatches()
	}
	if text != "" && p.looked < p.kinds {
		text += fmt.Sprintf(" (as far as was looked: at %d of %d kinds of workers)", p.looked, p.kinds)
	}
	return text
}

// whoMatches says why none of the workers that match is in service; "" if that
// is not known.
func (p *survey) whoMatches() string {
	n := 0
	for _, w := range p.services {
		n += w
	}
	if n == 0 || p.out.exclusive {
		return ""
	}
	var parts []string
	for v := range services {
		if w := p.services[v]; w == n && n == 1 {
			return fmt.Sprintf("1 worker matches, and is %v", v)
		} else if w == n {
			return fmt.Sprintf("%d workers match, all %v", n, v)
		} else if w > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", w, v))
		}
	}
	return fmt.Sprintf("%d workers match: %s", n, strings.Join(parts, ", "))
}

// ruledOut says what the request rules out who offers all that it requires.
func (p *survey) ruledOut() string {
	var by []string
	for _, o := range []struct {
		is   bool
		name string
	}{{p.out.not, "not_workers"}, {p.out.exclusive, "exclusive, which workers that speak HTTP do not take"}, {p.out.taken, "distinct, which gives each task its own worker"}} {
		if o.is {
			by = append(by, o.name)
		}
	}
	if len(by) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, ruled out by %s", matching(p.able), strings.Join(by, " and by "))
}

func matching(n int) string {
	if n == 1 {
		return "1 worker matches"
	}
	return fmt.Sprintf("%d workers match", n)
}

// missing says which term nobody has, and how near they come.
func (p *survey) missing() string {
	t, f := &p.terms[p.reach], &p.found
	switch t.kind {
	case termTag:
		if len(p.absent) > 0 {
			return "no worker has the tag " + strings.Join(p.absent, " or ")
		}
		return fmt.Sprintf("%s the tag %q", p.nobody("has", "have"), cut(t.tag, explainWord))
	case termWhere:
		return p.missingWhere(t, f)
	case termAmount:
		name, _, _ := strings.Cut(t.text, "=")
		if !f.any {
			return fmt.Sprintf("%s: %s it", cut(name, explainWord), p.nobody("offers", "offer"))
		}
		return fmt.Sprintf("%s: at most %s on %s", cut(name, explainWord), capacity.Format(p.demand.Amounts[t.at].Name, f.most), p.anybody())
	case termMemory:
		device := "one device"
		if n := p.demand.GPUs; n > 1 {
			device = fmt.Sprintf("each of %d devices", n)
		}
		if !f.any {
			return fmt.Sprintf("%s: %s %s", capacity.GPUMem, p.nobody("has", "have"), strings.TrimPrefix(device, "each of "))
		}
		return fmt.Sprintf("%s: at most %s on %s of %s", capacity.GPUMem, capacity.Format(capacity.GPUMem, f.most), device, p.anybody())
	}
	return fmt.Sprintf("%s, with no slots for tasks", matching(p.reached))
}

// missingWhere is missing for a term of the selector.
func (p *survey) missingWhere(t *term, f *figure) string {
	text := cut(t.text, explainWord)
	leaf := &t.where.Term
	switch {
	case t.where.Op != selector.Leaf:
		return fmt.Sprintf("%s: %s it", text, p.nobody("satisfies", "satisfy"))
	case leaf.Cmp == selector.Has:
		return fmt.Sprintf("%s the tag %q", p.nobody("has", "have"), cut(leaf.Key, explainWord))
	case leaf.Cmp == selector.Eq && f.any:
		values := make([]string, len(f.values))
		for i, v := range f.values {
			values[i] = cut(v, explainWord)
		}
		if f.more {
			values = append(values, "others")
		}
		return fmt.Sprintf("%s: the values are %s", text, strings.Join(values, ", "))
	case leaf.Cmp == selector.Eq:
		return fmt.Sprintf("%s: %s a value of %s", text, p.nobody("has", "have"), cut(leaf.Key, explainWord))
	case !f.any:
		return fmt.Sprintf("%s: %s a version of %s", text, p.nobody("has", "have"), cut(leaf.Key, explainWord))
	}
	which := "highest"
	if leaf.Cmp == selector.Lt || leaf.Cmp == selector.Le {
		which = "lowest"
	}
	return fmt.Sprintf("%s: the %s is %s on %s", text, which, cut(f.best, explainWord), p.of(f.workers))
}

// nobody begins a sentence of which workers do not do something.
func (p *survey) nobody(does, do string) string {
	switch {
	case p.alone:
		return "no worker " + does
	case p.reached == 1:
		return p.scope() + " does not " + do
	}
	return fmt.Sprintf("none of %s %s", p.scope(), does)
}

// anybody names the workers that were looked at.
func (p *survey) anybody() string {
	if p.alone {
		return "any worker"
	}
	return p.scope()
}

// of names how many of the workers that were looked at have something.
func (p *survey) of(n int) string {
	switch {
	case p.alone:
		return workers(n)
	case p.reached == 1:
		return p.scope()
	}
	return fmt.Sprintf("%d of %s", n, p.scope())
}

func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

// scope names the workers that have all terms before the one that fails.
func (p *survey) scope() string {
	which := "the only worker"
	if p.reached != 1 {
		which = "the " + workers(p.reached)
	}
	if p.reach == 0 {
		return which
	}
	var before []string
	for i := range p.terms[:min(p.reach, explainBefore)] {
		before = append(before, cut(p.terms[i].text, explainWord/2))
	}
	if n := p.reach - len(before); n > 0 {
		before = append(before, fmt.Sprintf("%d more", n))
	}
	return which + " with " + strings.Join(before, ", ")
}

// cut shortens a text to a number of bytes.
func cut(text string, most int) string {
	const dots = "..."
	if len(text) <= most {
		return text
	}
	n := most - len(dots)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + dots
}
