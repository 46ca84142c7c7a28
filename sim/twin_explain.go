package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file says what a refusal names as missing, from the table in docs/errors.md.
// Selectors are not judged here, nor the tasks of gangs.

// plainWords are what a refusal may say instead, if its reason was not looked up.
var plainWords = []string{"no known worker has what the task requires", "the workers that could take it are busy or out of service"}

// why is the sentence of a refusal, "" if it is not judged.
func (t *twin) why(q *asked, b *twinBatch, code wire.Code) string {
	match := t.fitting(q)
	switch {
	case t.learning || b.gang:
		return ""
	case code == wire.CodeUnavailable:
		return t.whoIsThere(q, match)
	case !slices.ContainsFunc(t.workers, func(w *twinWorker) bool { return w != nil }):
		return "no worker is known"
	case len(match) > 0:
		return t.ruledOut(q, match)
	}
	return t.missing(q)
}

// fitting lists the workers with slots that offer all that a request asks for.
func (t *twin) fitting(q *asked) (out []*twinWorker) {
	for _, w := range t.workers {
		if w != nil && w.slots > 0 && q.suits(&w.kit) {
			out = append(out, w)
		}
	}
	return out
}

// whoIsThere says why no worker takes a task now.
func (t *twin) whoIsThere(q *asked, match []*twinWorker) string {
	counts, n := map[string]int{}, 0
	for _, w := range match {
		if slices.Contains(q.not, w.id) {
			continue
		}
		if q.exclusive && w.http {
			return ""
		}
		counts[t.service(w)]++
		n++
	}
	if counts["in service"] > 0 {
		return "the workers that could take it are busy"
	}
	var parts []string
	for _, is := range []string{presenceOffline, presenceSuspicious, "drained", "draining", "cordoned", "quarantined", "connecting"} {
		switch {
		case counts[is] == n && n == 1:
			return "1 worker matches, and is " + is
		case counts[is] == n:
			return fmt.Sprintf("%d workers match, all %s", n, is)
		case counts[is] > 0:
			parts = append(parts, fmt.Sprint(counts[is], " ", is))
		}
	}
	return fmt.Sprintf("%d workers match: %s", n, strings.Join(parts, ", "))
}

// service is what a worker counts as: the first that is so.
func (t *twin) service(w *twinWorker) string {
	c := t.cordons[w.id]
	switch {
	case w.presence != presenceOnline:
		return w.presence
	case c != nil && c.drained:
		return "drained"
	case c != nil && c.drain:
		return "draining"
	case c != nil:
		return "cordoned"
	case t.barred(w):
		return "quarantined"
	case !w.http && !w.promised:
		return "connecting"
	}
	return "in service"
}

// ruledOut says what of a request rules out all who offer what it asks for.
func (t *twin) ruledOut(q *asked, match []*twinWorker) string {
	var by []string
	if slices.ContainsFunc(match, func(w *twinWorker) bool { return slices.Contains(q.not, w.id) }) {
		by = append(by, "not_workers")
	}
	if q.exclusive && slices.ContainsFunc(match, func(w *twinWorker) bool { return w.http && !slices.Contains(q.not, w.id) }) {
		by = append(by, "exclusive, which workers that speak HTTP do not take")
	}
	return matches(len(match)) + ", ruled out by " + strings.Join(by, " and by ")
}

func matches(n int) string {
	if n == 1 {
		return "1 worker matches"
	}
	return fmt.Sprintf("%d workers match", n)
}

// missing says what the first thing is that nobody has of those who have all
// before it.
func (t *twin) missing(q *asked) string {
	left := slices.DeleteFunc(slices.Clone(t.workers), func(w *twinWorker) bool { return w == nil })
	all := slices.Clone(left)
	var before []string
	next := func(name string, has func(w *twinWorker) bool) bool {
		kept := slices.DeleteFunc(slices.Clone(left), func(w *twinWorker) bool { return !has(w) })
		if len(kept) == 0 {
			return false
		}
		left, before = kept, append(before, name)
		return true
	}
	for _, tag := range q.tags {
		has := func(w *twinWorker) bool { return slices.Contains(w.tags, tag) }
		if next(tag, has) {
			continue
		}
		var nowhere []string
		for _, tag := range q.tags {
			if !slices.ContainsFunc(all, func(w *twinWorker) bool { return slices.Contains(w.tags, tag) }) {
				nowhere = append(nowhere, fmt.Sprintf("%q", tag))
			}
		}
		if len(nowhere) > 0 {
			return "no worker has the tag " + strings.Join(nowhere, " or ")
		}
		return fmt.Sprintf("%s the tag %q", nobody(left, before, "has", "have"), tag)
	}
	if q.selector != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(q.resources)) {
		amount := q.resources[name]
		if name == gpuMem {
			continue // the last of them
		}
		called := strings.Replace(name, gpu, gpu+"s", 1)
		if !next(called+"="+resource.Format(name, amount), func(w *twinWorker) bool { return w.kit.most(name) >= amount }) {
			return called + ": " + nearest(left, all, before, func(k *kit) int64 { return k.most(name) }, name, amount, "", "offers it", "offer it")
		}
	}
	if amount := q.resources[gpuMem]; amount > 0 {
		n := max(q.resources[gpu], 1)
		each, devices := "one device of ", "one device"
		if n > 1 {
			each, devices = fmt.Sprintf("each of %d devices of ", n), fmt.Sprintf("%d devices", n)
		}
		if !next(gpuMem+"="+resource.Format(gpuMem, amount), func(w *twinWorker) bool { return w.kit.each(n) >= amount }) {
			return gpuMem + ": " + nearest(left, all, before, func(k *kit) int64 { return k.each(n) }, gpuMem, amount, each, "has "+devices, "have "+devices)
		}
	}
	return matches(len(left)) + ", with no slots for tasks"
}

// most is how much a worker has of something when it is idle, -1 for nothing at all.
func (k *kit) most(name string) int64 {
	if name == gpu && len(k.devices) > 0 {
		n := int64(0)
		for _, d := range k.devices {
			if !d.Missing {
				n++
			}
		}
		return n
	}
	if n, ok := k.resources[name]; ok {
		return n
	}
	return -1
}

// each is the most memory that so many devices have each, -1 if there are fewer.
func (k *kit) each(n int64) int64 {
	var sizes []int64
	for _, d := range k.devices {
		if !d.Missing {
			sizes = append(sizes, d.Memory)
		}
	}
	slices.Sort(sizes)
	if int64(len(sizes)) < n {
		return -1
	}
	return sizes[int64(len(sizes))-n]
}

// nearest names the most that there is: on any worker if nobody at all has enough,
// else on those that have all before.
func nearest(left, all []*twinWorker, before []string, has func(*kit) int64, name string, amount int64, each, does, do string) string {
	on := who(left, before)
	if !slices.ContainsFunc(all, func(w *twinWorker) bool { return has(&w.kit) >= amount }) {
		left, before, on = all, nil, "any worker"
	}
	most := int64(-1)
	for _, w := range left {
		most = max(most, has(&w.kit))
	}
	switch {
	case most < 0 && on == "any worker":
		return "no worker " + does
	case most < 0:
		return nobody(left, before, does, do)
	}
	return fmt.Sprintf("at most %s on %s%s", resource.Format(name, most), each, on)
}

// nobody begins a sentence of which none of some workers does something.
func nobody(left []*twinWorker, before []string, does, do string) string {
	if len(left) == 1 {
		return who(left, before) + " does not " + do
	}
	return "none of " + who(left, before) + " " + does
}

// who names workers by what they have.
func who(left []*twinWorker, before []string) string {
	name := fmt.Sprintf("the %d workers", len(left))
	if len(left) == 1 {
		name = "the only worker"
	}
	if len(before) == 0 {
		return name
	}
	if n := len(before) - 3; n > 0 {
		before = append(slices.Clone(before[:3]), fmt.Sprint(n, " more"))
	}
	return name + " with " + strings.Join(before, ", ")
}
