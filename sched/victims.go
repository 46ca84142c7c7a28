package sched

import (
	"cmp"
	"math"
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file chooses which tasks make room for a waiter that preempts.

// plan is the tasks that would make room for a waiter on one worker. None are
// needed where others make room already.
type plan struct {
	found   bool
	worker  int32
	load    uint32
	highest int32 // priority among the victims
	victims []int32
}

// better reports whether p costs less than o: it spares the higher priorities,
// then the number of tasks, then loaded workers.
func (p *plan) better(o *plan) bool {
	switch {
	case !p.found || !o.found:
		return p.found
	case p.highest != o.highest:
		return p.highest < o.highest
	case len(p.victims) != len(o.victims):
		return len(p.victims) < len(o.victims)
	}
	return p.load < o.load
}

// victimSearch is a look for victims that has not seen all workers yet.
type victimSearch struct {
	slot   int32  // of the waiter
	number uint64 // its number; 0: there is no such search
	next   uint32 // the first worker that was not looked at
	best   plan
}

// victims chooses the worker on which the least valuable tasks make room for a
// waiter. It visits about as many workers and leases as are left; if that does
// not do it is not done, and the next call for the same waiter goes on.
func (s *State) victims(slot int32, left *int) (p *plan, done bool) {
	w := s.queue.at(slot)
	f := &s.victimSearch
	if f.slot != slot || f.number != w.Number {
		f.slot, f.number, f.next = slot, w.Number, 0
		f.best.found = false
	}
	m := &s.membersOf(s.queue.needsOf(w.Bucket))[0]
	d := s.demands.at(m.demand)
	s.resolve(d)
	fresh := f.next == 0
	walk := s.index.Matching(m.req, index.Worker(f.next))
	for n, matches, ok := walk.Next(); ok; n, matches, ok = walk.Next() {
		if *left--; *left < 0 {
			f.next = uint32(n)
			return nil, false
		}
		if matches {
			s.consider(int32(n), slot, m, d, left)
		}
	}
	f.number = 0
	if f.best.found && !fresh {
		f.best.found = false // what it found first may have changed
		s.consider(f.best.worker, slot, m, d, left)
	}
	return &f.best, true
}

// consider looks at one worker for the search that is under way.
func (s *State) consider(n, slot int32, m *member, d *demand, left *int) {
	q, f, k := &s.queue, &s.victimSearch, s.workers.At(n)
	if k.preemptible == 0 || !k.usable() || k.admits == health.Probe || !capacity.CouldEver(&k.kit.Offer, &d.Demand) || ruledOut(m.ask.NotWorkers, k.id) {
		return
	}
	if k.reserved != nil && k.reserved.waiter != slot {
		return
	}
	*left -= int(k.taken)
	limit := q.at(slot).Priority() - 1
	if f.best.found {
		limit = min(limit, f.best.highest)
	}
	if s.plan(n, m, limit, &s.planBuf); s.planBuf.better(&f.best) {
		f.best, s.planBuf = s.planBuf, f.best
	}
}

// plan finds the tasks of a worker, of a priority up to a limit, without which
// a task has room there: those of the lowest priority first, of these the
// youngest; and then none without which it has room as well. Those that make
// room already count as gone, unless they were to be killed and are still there.
func (s *State) plan(n int32, m *member, limit int32, p *plan) {
	k := s.workers.At(n)
	p.worker, p.load, p.victims = n, k.load(), p.victims[:0]
	without := s.without(k)
	for e := k.tail; e != 0; {
		l := s.leases.slots.At(e - 1)
		switch {
		case l.flags&(leasePreempted|leaseKilled) == leasePreempted:
			s.occupy(without, l, -1)
		case l.mayBePreempted() && l.priority <= limit:
			p.victims = append(p.victims, e-1)
		}
		e = l.prev
	}
	slices.SortStableFunc(p.victims, func(a, b int32) int { return cmp.Compare(s.priorityOf(a), s.priorityOf(b)) })
	taken := 0
	for p.found = s.wouldFit(without, m); !p.found && taken < len(p.victims); p.found = s.wouldFit(without, m) {
		s.occupy(without, s.leases.slots.At(p.victims[taken]), -1)
		taken++
	}
	p.victims, p.highest = p.victims[:taken], math.MinInt32
	if !p.found || taken == 0 {
		return
	}
	p.highest = s.priorityOf(p.victims[taken-1]) // it is needed, for it came last
	for i := taken - 2; i >= 0; i-- {
		l := s.leases.slots.At(p.victims[i])
		if s.occupy(without, l, 1); s.wouldFit(without, m) {
			p.victims = slices.Delete(p.victims, i, i+1)
			continue
		}
		s.occupy(without, l, -1)
	}
}

func (s *State) priorityOf(slot int32) int32 { return s.leases.slots.At(slot).priority }

// mayBePreempted reports whether another task may take the room of a lease.
func (l *lease) mayBePreempted() bool {
	return l.flags&(leasePreemptible|leasePreempted) == leasePreemptible && (l.state == wire.StateGranted || l.state == wire.StateBegun)
}

// wouldFit reports whether a task has room on a worker as it would be.
func (s *State) wouldFit(w *worker, m *member) bool {
	return w.load() != index.Full && s.fitsNow(w, m.demand, m.ask.Exclusive)
}

// without returns a copy of a worker from which leases can be taken away. It is
// valid until the next call.
func (s *State) without(w *worker) *worker {
	s.scratch = *w
	if w.held != nil {
		h := &s.scratchHeld
		h.Amounts = append(h.Amounts[:0], w.held.Amounts...)
		h.Devices = append(h.Devices[:0], w.held.Devices...)
		h.Astray = w.held.Astray
		s.scratch.held = h
	}
	return &s.scratch
}
