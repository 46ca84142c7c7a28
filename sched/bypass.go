package sched

import (
	"cmp"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/resource"
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
	if s.servesFirst(n, w.line.want) {
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
	m := &s.membersOf(w.line.want)[0]
	d := s.demands.at(m.demand)
	s.resolve(d)
	var all []near
	walk, left := s.index.Matching(m.req, 0), nearVisits
	for at, matches, ok := walk.Next(); ok && left > 0; at, matches, ok = walk.Next() {
		n := int32(at)
		k := s.workers.At(n)
		if left--; !matches || !k.usable() || k.reserved != nil || k.admits == health.Probe || k.slots == 0 || !k.kit.canTake(d) || ruledOut(m.ask.NotWorkers, k.id) || m.ask.Exclusive && k.http != nil {
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
			left -= k.kit.holds(k.slots, d)
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
	for i, a := range d.amounts {
		if a.name == resource.GPU && len(w.kit.devices) > 0 {
			continue
		}
		at := placeIn(w.kit.plainDims, d.dims[i])
		if lack := a.amount - (w.kit.plain[at].capacity - w.held.amounts[at]); lack > 0 {
			worst = max(worst, index.Load(uint64(lack), uint64(w.kit.plain[at].capacity)))
		}
	}
	return max(worst, w.deviceShortfall(d))
}

// deviceShortfall is shortfall for devices alone.
func (w *worker) deviceShortfall(d *demand) uint32 {
	if len(w.kit.devices) == 0 || d.gpus == 0 && d.memory == 0 {
		return 0
	}
	free, most := int64(0), int64(0)
	for i := range w.kit.devices {
		g, memory := &w.held.devices[i], w.kit.devices[i].Memory
		if w.kit.devices[i].Missing {
			continue
		}
		if g.leases == 0 && memory >= d.memory {
			free++
		}
		if g.wholes == 0 {
			most = max(most, memory-g.shares)
		}
	}
	switch {
	case d.gpus > free:
		return index.Load(uint64(d.gpus-free), uint64(len(w.kit.devices)))
	case d.gpus == 0 && most < d.memory:
		return index.Load(uint64(d.memory-most), uint64(d.memory))
	}
	return 0
}

// holds returns how many tasks with a demand an idle worker with this kit runs
// at once, at least 1: it can take one.
func (k *kit) holds(slots uint32, d *demand) int64 {
	most := int64(slots)
	for i, a := range d.amounts {
		if a.name != resource.GPU || len(k.devices) == 0 {
			most = min(most, k.plain[placeIn(k.plainDims, d.dims[i])].capacity/a.amount)
		}
	}
	if len(k.devices) > 0 && (d.gpus > 0 || d.memory > 0) {
		fit := int64(0)
		for _, dev := range k.devices {
			switch {
			case dev.Missing, dev.Memory < d.memory:
			case d.gpus == 0:
				fit += dev.Memory / d.memory
			default:
				fit++
			}
		}
		most = min(most, fit/max(d.gpus, 1))
	}
	return max(most, 1)
}
