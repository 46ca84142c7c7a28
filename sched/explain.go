package sched

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// An explanation says what is missing for a task that is refused: the first
// thing that it requires which no worker offers, or why none of those that match
// is in service. It goes through the kinds, of which there are fewer than workers,
// in units of work: a comparison with one tag or amount. Explanations are bounded
// one by one and in all, because they are made with the core locked: a flood of
// refusals gets the plain sentence.
const (
	explainWork  = 1 << 14 // the most units of one explanation
	explainKind  = 16      // units for a look at a kind
	explainRate  = 1 << 9  // units of all explanations for each millisecond
	explainSaved = 1 << 15 // units that may be left unused for later
	explainLeast = 1 << 11 // an explanation is not begun with fewer
	explainText  = 256     // bytes of a sentence
)

// explainer keeps explanations, and what they may cost.
type explainer struct {
	shape uint64 // changes of what the workers offer and of who is in service
	kept  map[verdict]explained

	lastKey verdict // the one that was asked for last
	last    explained

	at    Time // when units was right
	units int
}

// explained is an explanation that holds for a shape of the fleet.
type explained struct {
	shape uint64
	code  wire.Code
	err   *wire.Error
}

// holds reports whether an explanation is there and still right for a refusal.
func (e *explained) holds(y *explainer, err *wire.Error) bool {
	return e.err != nil && e.shape == y.shape && e.code == err.Code
}

// busy refuses a task for which nothing but room is missing.
var busy = &wire.Error{Code: wire.CodeUnavailable, Message: wire.CodeUnavailable.Sentence()}

// explain returns the refusal of a request, which err refuses,
// with what is missing; err itself if that is too much work now.
func (s *State) explain(r *request, err *wire.Error) *wire.Error {
	switch {
	case err != refusals[wire.CodeUnavailable] && err != refusals[wire.CodeInfeasible]:
		return err
	case err.Code == wire.CodeUnavailable && s.count.outOfService == 0:
		return busy
	}
	return s.missing(r, err)
}

// missing is explain for a refusal of which it is not known that some worker could
// take the task.
func (s *State) missing(r *request, err *wire.Error) *wire.Error {
	y := &s.why
	key := verdict{r.req, s.demands.at(r.demand).serial, r.m.Exclusive}
	general := len(r.not)+len(r.taken) == 0 // it holds for others as well
	if y.last.holds(y, err) && general && y.lastKey == key {
		return y.last.err
	}
	if k := y.kept[key]; general && k.holds(y, err) {
		y.lastKey, y.last = key, k
		return k.err
	}
	if y.refill(s.now); y.units < explainLeast {
		return err
	}
	p := s.survey(r, err.Code)
	y.units -= p.work
	s.spend(p.work)
	why := err
	if p.busy {
		why = busy
	} else if text := p.text(err.Code); text != "" {
		why = &wire.Error{Code: err.Code, Message: cut(text, explainText)}
	}
	if general {
		if len(y.kept) >= verdictsKept {
			clear(y.kept)
		}
		y.kept[key] = explained{y.shape, err.Code, why}
	}
	return why
}

// refill adds the units of the time that has passed.
func (y *explainer) refill(now Time) {
	if now > y.at {
		y.units = int(min(explainSaved, Time(y.units)+min(now-y.at, explainSaved)*explainRate))
		y.at = now
	}
}

// term is one thing that a task requires of what a worker offers.
type term struct {
	kind   termKind
	tag    string
	where  *selector.Expr
	leaves int    // of where
	at     int    // in the amounts of the demand
	text   string // what a sentence calls it
}

type termKind uint8

const (
	termTag termKind = iota
	termWhere
	termAmount
	termMemory
	termSlots
	termKinds // how many there are
)

// termsOf lists what a request requires, in the order in which it is looked at:
// tags, the terms of the selector, amounts by name, the memory of devices, slots.
func termsOf(req *index.Requirement, d *demand) []term {
	var terms []term
	for _, tag := range req.Tags() {
		terms = append(terms, term{kind: termTag, tag: tag, text: tag})
	}
	if e := req.Where(); e != nil {
		all := []*selector.Expr{e}
		if e.Op == selector.And {
			all = e.Args
		}
		for _, e := range all {
			terms = append(terms, term{kind: termWhere, where: e, leaves: leaves(e), text: e.String()})
		}
	}
	for i, a := range d.Amounts {
		name := a.Name
		if name == capacity.GPU {
			name = "gpus"
		}
		terms = append(terms, term{kind: termAmount, at: i, text: name + "=" + capacity.Format(a.Name, a.Amount)})
	}
	if d.Memory > 0 {
		terms = append(terms, term{kind: termMemory, text: capacity.GPUMem + "=" + capacity.Format(capacity.GPUMem, d.Memory)})
	}
	return append(terms, term{kind: termSlots})
}

// leaves counts the terms of an expression.
func leaves(e *selector.Expr) int {
	n := 1
	for _, a := range e.Args {
		n += leaves(a)
	}
	return n
}

// survey is what a look at the kinds has found.
type survey struct {
	terms  []term
	demand *demand
	work   int
	looked int // kinds
	kinds  int // that there are

	reach    int           // the first term that nobody has of those who have all before it; len(terms): somebody has all
	reached  int           // workers that have all before it
	able     int           // workers with slots that have all
	services [services]int // of these, by what they are
	https    int
	out      exclusions
	busy     bool // one of those who have all is in service

	alone  bool     // no kind at all has the term
	absent []string // if it is a tag: those of the required tags that nobody has
	found  figure
}

// survey looks at the kinds.
func (s *State) survey(r *request, code wire.Code) *survey {
	p := &survey{demand: s.demands.at(r.demand), kinds: s.kinds.list.Len(), reach: -1}
	p.terms = termsOf(r.req, p.demand)
	limit := min(explainWork, s.why.units)
	plain := len(r.not)+len(r.taken) == 0 && !r.m.Exclusive
	for ; p.looked < p.kinds && p.work < limit; p.looked++ {
		k := *s.kinds.list.At(int32(p.looked))
		n := p.first(k)
		if n > p.reach {
			p.reach, p.reached = n, 0
		}
		if n == p.reach {
			p.reached += k.workers
		}
		if n == len(p.terms) {
			for i, w := range k.services {
				p.services[i] += w
			}
			p.able, p.https = p.able+k.able, p.https+k.https
			if p.busy = code == wire.CodeUnavailable && plain && k.services[isServing] > 0; p.busy {
				return p
			}
		}
	}
	if p.reach == len(p.terms) {
		p.exclude(s, r, code)
	} else if p.reach >= 0 {
		p.measure(s, p.looked)
	}
	return p
}

// first returns the first term that a kind does not have.
func (p *survey) first(k *kind) int {
	p.work += explainKind
	for i := range p.terms {
		if !p.has(&p.terms[i], k) {
			return i
		}
	}
	return len(p.terms)
}

// has reports whether the workers of a kind have what a term asks.
func (p *survey) has(t *term, k *kind) bool {
	d := p.demand
	switch p.work++; t.kind {
	case termTag:
		p.work += len(k.tags)
		for _, tag := range k.tags {
			if tag == t.tag {
				return true
			}
		}
		return false
	case termWhere:
		p.work += t.leaves * len(k.tags)
		return t.where.Match(k.tags)
	case termAmount:
		p.work += len(k.offer.Devices)
		return k.offer.Most(&d.Amounts[t.at]) >= d.Amounts[t.at].Amount
	case termMemory:
		p.work += len(k.offer.Devices)
		return k.offer.MemoryOn(max(d.GPUs, 1)) >= d.Memory
	}
	return k.able > 0
}

// exclusions are what rules out workers that offer all that is required.
type exclusions struct {
	exclusive, not, taken bool
}

// exclude takes out of the counts who is ruled out by the request.
func (p *survey) exclude(s *State, r *request, code wire.Code) {
	drop := func(n int32, ruled *bool) {
		w := s.workers.At(n)
		if !w.known || w.slots == 0 || p.first(w.kit.kind) < len(p.terms) {
			return
		}
		*ruled = true
		p.services[w.service]--
		if w.http != nil {
			p.https--
		}
	}
	slices.Sort(r.not)
	r.not = slices.Compact(r.not)
	for _, n := range r.not {
		drop(n, &p.out.not)
	}
	for n := range r.taken {
		if _, too := slices.BinarySearch(r.not, n); !too {
			drop(n, &p.out.taken)
		}
	}
	p.out.exclusive = r.m.Exclusive && p.https > 0
	p.busy = code == wire.CodeUnavailable && p.services[isServing] > 0 && !p.out.exclusive
}

// measure finds out how near the workers come to the term that nobody has: of
// those that have all before it, or of all if none has it.
func (p *survey) measure(s *State, kinds int) {
	t := &p.terms[p.reach]
	p.alone = true
	for i := range kinds {
		if k := *s.kinds.list.At(int32(i)); p.has(t, k) {
			p.alone = false
			break
		}
	}
	if t.kind == termTag {
		for i := range p.terms {
			if tag := p.terms[i].tag; p.terms[i].kind == termTag && s.index.TagWorkers(tag) == nil {
				p.absent = append(p.absent, fmt.Sprintf("%q", cut(tag, explainWord)))
			}
		}
		return
	}
	for i := range kinds {
		if k := *s.kinds.list.At(int32(i)); p.alone || p.first(k) == p.reach {
			p.work++
			p.found.add(p, t, k)
		}
	}
}
