package sched

import (
	"cmp"
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
)

// This file reserves workers for the first waiter of all, because others took what
// it was waiting for too often.

// nearVisits bounds the workers that are looked at to find the ones that are
// reserved.
const nearVisits = 8192

// countBypass counts that a task got a worker, for the first of all who could use
// that worker and was passed over. Something must wait.
func (s *State) countBypass(n int32) {
	slot, any := s.head()
	if !any || slot+1 == s.queue.serving {
		return
	}
	w := s.queue.at(slot)
	if s.servesFirst(n, w.Bucket.Class) {
		w.bypassed++
	}
}

// reserveForFirst reserves workers for the first of all, if it was passed over too
// often.
func (s *State) reserveForFirst() {
	slot, any := s.head()
	if _, held := s.reservations.holder(); !any || held {
		return
	}
	w := s.queue.at(slot)
	if w.claimed || w.bypassed == 0 || w.bypassed < uint32(s.cfg.HoldAfterBypasses) && s.now-w.arrived < s.cfg.HoldAfter {
		return
	}
	workers := s.nearest(w)
	if len(workers) > 0 {
		s.log.holds++
	}
	for _, n := range workers {
		s.reserve(slot, n, bypass)
	}
}

// near is a worker and how much it lacks for a task.
type near struct {
	n         int32
	shortfall uint32
}

// nearest returns the worker on which a task lacks least, of a gang as many as
// it needs were they idle, by what its first task needs.
func (s *State) nearest(w *waiter) []int32 {
	m := &s.membersOf(s.queue.needsOf(w.Bucket))[0]
	d := s.demands.at(m.demand)
	s.resolve(d)
	var all []near
	walk, left := s.index.Matching(m.req, 0), nearVisits
	for at, matches, ok := walk.Next(); ok && left > 0; at, matches, ok = walk.Next() {
		n := int32(at)
		k := s.workers.At(n)
		if left--; !matches || !k.usable() || k.reserved != nil || k.admits == health.Probe || k.slots == 0 || !capacity.CouldEver(&k.kit.Offer, &d.Demand) || ruledOut(m.ask.NotWorkers, k.id) || m.ask.Exclusive && k.http != nil {
			continue
		}
		all = append(all, near{n, s.shortfall(k, m)})
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Or(cmp.Compare(a.shortfall, b.shortfall), cmp.Compare(a.n, b.n)) })
	var out []int32
	for left := int64(w.size()); len(out) < len(all) && left > 0; {
		k := s.workers.At(all[len(out)].n)
		out = append(out, all[len(out)].n)
		if w.gang == nil || w.gang.distinct || m.ask.Exclusive {
			left--
		} else {
			left -= k.kit.Holds(k.slots, &d.Demand)
		}
	}
	return out
}

// shortfall is how much a worker lacks for a task: the largest share of it that
// is missing of any dimension, as a load.
func (s *State) shortfall(w *worker, m *member) uint32 {
	d := s.demands.at(m.demand)
	used := uint64(w.taken) + uint64(w.external)
	if w.exclusive > 0 || w.overcommitted() {
		return index.Full
	}
	if m.ask.Exclusive {
		return index.Load(used, uint64(w.slots))
	}
	worst := uint32(0)
	if used >= uint64(w.slots) {
		worst = index.Load(used+1-uint64(w.slots), uint64(w.slots))
	}
	if w.held != nil {
		lack, of := capacity.Shortfall(&w.kit.Offer, w.held, &d.Demand)
		worst = max(worst, index.Load(uint64(lack), uint64(of)))
	}
	return worst
}
