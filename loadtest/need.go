package loadtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	requirements = 256 // distinct requirements that clients draw from
	maxRequired  = 4   // tags of one requirement

	overloadNeeds = 8 // distinct requirements of the profile overload
)

// Profile is what tasks ask for.
type Profile string

// The profiles.
const (
	ProfileSlots     Profile = "slots"     // a slot on a worker with some tags
	ProfileResources Profile = "resources" // amounts, GPUs, shares of them, selectors, policies, whole workers
	ProfileGangs     Profile = "gangs"     // the same, many of them in gangs
	ProfileOverload  Profile = "overload"  // more tasks than there is room for, which wait and preempt: few needs, three priorities, five owners
)

// kind is a kind of task, by which the report counts placements.
type kind uint8

const (
	kindSlot kind = iota
	kindAmounts
	kindShare
	kindWhole
	kindSized
	kindSelector
	kindPrefer
	kindPack
	kindExclusive
	kinds
)

// String is the kind as the report shows it.
func (k kind) String() string {
	return [...]string{"slot", "cpu and mem", "share of a GPU", "whole GPUs", "GPU of a size", "selector", "prefer, not_workers", "pack", "exclusive"}[k]
}

// requirement is what a task asks for, in the judge's terms and as a request.
type requirement struct {
	number   int
	kind     kind
	need     judge.Need
	ask      wire.Schedule // without a task
	takes    map[string]int64
	feasible bool // some worker could take it
}

// shares say how many of a hundred tasks of a profile are of which kind.
var shares = map[Profile][kinds]int{
	ProfileSlots:     {kindSlot: 100},
	ProfileResources: {20, 26, 16, 8, 6, 10, 8, 5, 1},
	ProfileGangs:     {20, 26, 16, 8, 6, 10, 8, 5, 1},
	ProfileOverload:  {kindSlot: 100},
}

// drawKind draws the kind of a task.
func drawKind(rng *rand.Rand, p Profile) kind {
	n := rng.IntN(100)
	for k, share := range shares[p] {
		if n -= share; n < 0 {
			return kind(k)
		}
	}
	return kindSlot
}

// newRequirements draws what tasks ask for: some tags of some worker, so that
// each requirement has a worker, and workers are asked for about as often as
// there are workers like them; and beside the tags what the profile says.
func newRequirements(rng *rand.Rand, fleet []spec, p Profile) []requirement {
	count := requirements
	if p == ProfileOverload {
		count = overloadNeeds
	}
	out, workers := make([]requirement, count), known(fleet)
	for i := range out {
		like := &fleet[rng.IntN(len(fleet))]
		r := &out[i]
		r.kind = drawKind(rng, p)
		tags, most := slices.Clone(like.tags), maxRequired
		if r.kind != kindSlot || p == ProfileOverload {
			most = 1
		}
		r.number = i
		rng.Shuffle(len(tags), func(a, b int) { tags[a], tags[b] = tags[b], tags[a] })
		r.need.Tags = tags[:min(rng.IntN(most+1), len(tags))]
		r.draw(rng, fleet, like)
		r.write()
		r.feasible = slices.ContainsFunc(workers, func(w judge.Worker) bool { return r.need.Could(&w) })
	}
	return out
}

// draw draws what a task of a kind needs beside tags.
func (r *requirement) draw(rng *rand.Rand, fleet []spec, like *spec) {
	between := func(low, high int) int64 { return int64(low + rng.IntN(high-low+1)) }
	n := &r.need
	n.Amounts = map[string]int64{}
	switch r.kind {
	case kindAmounts:
		n.Amounts["cpu"], n.Amounts["mem"] = between(1, 16)*500, between(1, 64)*512
		if rng.IntN(4) == 0 {
			n.Tags, n.Amounts["scratch"] = nil, between(1, 200)
		}
	case kindShare:
		n.Tags, n.Memory, n.Amounts["cpu"] = nil, between(1, 24)*1000, 1000
	case kindWhole:
		n.Tags, n.GPUs = nil, between(1, 4)
	case kindSized:
		n.Tags, n.GPUs, n.Memory = nil, between(1, 2), between(20, 80)*1000
	case kindSelector:
		r.drawClauses(rng, like)
	case kindPrefer:
		r.ask.Prefer = fmt.Appendf(nil, "zone=%d", rng.IntN(zones)+1)
		for range between(1, 3) {
			n.RuledOut = append(n.RuledOut, fleet[rng.IntN(len(fleet))].id)
		}
	case kindPack:
		r.ask.Policy, n.Amounts["cpu"] = []byte("pack"), between(1, 8)*500
	case kindExclusive:
		n.Tags, n.Exclusive = nil, true
	}
}

// drawClauses draws a selector that a worker like the given one satisfies, as
// text for the scheduler and as sets of tags for the judge.
func (r *requirement) drawClauses(rng *rand.Rand, like *spec) {
	var text []string
	add := func(s string, not bool, tags ...string) {
		text = append(text, s)
		r.need.Clauses = append(r.need.Clauses, judge.Clause{AnyOf: tags, Not: not})
	}
	if slices.Contains(like.tags, "spot") {
		add("(spot || arm64)", false, "spot", "arm64")
	} else {
		add("!spot", true, "spot")
	}
	if slices.Contains(like.tags, "gpu") && rng.IntN(2) == 0 {
		least := 1 + rng.IntN(3)
		var tags []string
		for minor := least; minor < 10; minor++ {
			tags = append(tags, fmt.Sprintf("cuda=12.%d", minor))
		}
		add(fmt.Sprintf("cuda>=12.%d", least), false, tags...)
		add("cuda<13", false, "cuda=12.1", "cuda=12.2", "cuda=12.3", "cuda=12.4", "cuda=12.5")
	}
	if rng.IntN(2) == 0 {
		a, b := rng.IntN(zones)+1, rng.IntN(zones)+1
		add(fmt.Sprintf("zone in (%d, %d)", a, b), false, fmt.Sprintf("zone=%d", a), fmt.Sprintf("zone=%d", b))
	}
	r.ask.Selector = []byte(strings.Join(text, " && "))
}

// write fills in the request.
func (r *requirement) write() {
	n := &r.need
	r.takes = map[string]int64{}
	for name, amount := range n.Amounts {
		r.takes[name] = amount
	}
	if n.GPUs > 0 {
		r.takes["gpu"] = n.GPUs
	}
	if n.Memory > 0 {
		r.takes["gpu_mem"] = n.Memory
	}
	r.ask.Tags = wire.AppendTags(nil, n.Tags)
	r.ask.Resources = wire.AppendResources(nil, r.takes)
	r.ask.NotWorkers = wire.AppendWorkers(nil, n.RuledOut)
	r.ask.Exclusive = n.Exclusive
}
