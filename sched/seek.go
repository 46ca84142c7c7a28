package sched

import (
	"cmp"
	"math"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file chooses which tasks make room for a waiter that preempts. It runs
// in pulses alone: when such a waiter comes or loses its claim, and from time to
// time, for what runs may have changed.

const (
	// seekEvery is how often, in milliseconds, waiters that preempt and found no
	// victims look again; seekGap is how far apart two looks are at least.
	seekEvery Time = 1_000
	seekGap   Time = 50
	// seekVisits bounds the workers and leases that one look visits, and seekLines
	// the lines of waiters.
	seekVisits = 1 << 17
	seekLines  = 4096
)

// soughtOn notes that a waiter that preempts has no victims, soughtOff that it
// has, or is gone.
func (q *queue) soughtOn(w *waiter, now Time) {
	if !w.preempt {
		return
	}
	if q.seeking == 0 {
		q.seekAt = Never
	}
	w.line.seeks(q, 1)
	q.seekAt = min(q.seekAt, max(now, q.soughtAt+seekGap))
}

func (q *queue) soughtOff(w *waiter) {
	if w.preempt {
		w.line.seeks(q, -1)
	}
}

// seeks counts waiters of a line that preempt and have no victims.
func (l *line) seeks(q *queue, by int) {
	q.seeking += by
	l.seeking += by
	l.turn.seeking += by
	l.turn.level.seeking += by
}

// nextSeek returns when waiters look for victims, or give up a claim.
func (q *queue) nextSeek() Time {
	next := Never
	if q.seeking > 0 {
		next = q.seekAt
	}
	if len(q.claims) > 0 {
		next = min(next, q.claims[0].until)
	}
	return next
}

// seek looks for victims for the waiters that preempt and have none, in the
// order of the queue. What has no victims at a priority has none at a lower one.
// It reports whether it looked.
func (s *State) seek(now Time, out *Outbox) bool {
	q := &s.queue
	if q.seeking == 0 || q.seekAt > now || len(q.freed) > 0 {
		return false
	}
	q.soughtAt, q.seekAt = now, now+seekEvery
	q.look++
	left, lines := seekVisits, seekLines
	for _, l := range q.levels {
		for t := l.first; t != nil && l.seeking > 0; t = t.next {
			for ln := t.first; ln != nil && t.seeking > 0; ln = ln.next {
				if ln.seeking == 0 || ln.want.failed == q.look {
					continue
				}
				if lines--; lines <= 0 || left <= 0 || s.count.preemptible == 0 || len(q.claims) >= maxClaims {
					return true
				}
				s.seekLine(ln, &left, out)
			}
		}
	}
	return true
}

// seekLine looks for victims for the waiters of one line, until there are none
// for one of them.
func (s *State) seekLine(ln *line, left *int, out *Outbox) {
	q := &s.queue
	for e := ln.head; e != 0 && *left > 0 && ln.seeking > 0 && len(q.claims) < maxClaims; {
		w := q.at(e - 1)
		if *left--; w.preempt && !w.claimed {
			p := s.victims(e-1, left)
			if !p.found {
				ln.want.failed = q.look
				return
			}
			s.claim(e-1, p.worker, p.victims, out)
		}
		e = w.next
	}
}

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

// victims chooses the worker on which the least valuable tasks make room for a
// waiter, and these tasks. It visits at most as many workers and leases as are
// left.
func (s *State) victims(slot int32, left *int) *plan {
	q := &s.queue
	w := q.at(slot)
	m, priority := &w.line.want.members[0], w.line.turn.level.priority
	d := s.demands.at(m.demand)
	s.resolve(d)
	best, next := &s.planBuf[0], &s.planBuf[1]
	best.found = false
	for it := s.index.Matching(m.req).Iterator(); it.HasNext() && *left > 0; *left-- {
		n := int32(it.Next())
		k := s.workers.at(n)
		if k.preemptible == 0 || !k.usable() || !k.kit.canTake(d) || ruledOut(m.ask.NotWorkers, k.id) {
			continue
		}
		if k.reserved && !(q.hold.slot == slot+1 && slices.Contains(q.hold.workers, n)) {
			continue
		}
		*left -= int(k.taken)
		limit := priority - 1
		if best.found {
			limit = min(limit, best.highest)
		}
		if s.plan(n, m, limit, next); next.better(best) {
			best, next = next, best
		}
	}
	return best
}

// plan finds the tasks of a worker, of a priority up to a limit, without which
// a task has room there: those of the lowest priority first, of these the
// youngest; and then none without which it has room as well. Those that make
// room already count as gone, unless they were to be killed and are still there.
func (s *State) plan(n int32, m *member, limit int32, p *plan) {
	k := s.workers.at(n)
	p.worker, p.load, p.victims = n, k.load(), p.victims[:0]
	without := s.without(k)
	for e := k.tail; e != 0; {
		l := s.leases.slots.at(e - 1)
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
		s.occupy(without, s.leases.slots.at(p.victims[taken]), -1)
		taken++
	}
	p.victims, p.highest = p.victims[:taken], math.MinInt32
	if !p.found || taken == 0 {
		return
	}
	p.highest = s.priorityOf(p.victims[taken-1]) // it is needed, for it came last
	for i := taken - 2; i >= 0; i-- {
		l := s.leases.slots.at(p.victims[i])
		if s.occupy(without, l, 1); s.wouldFit(without, m) {
			p.victims = slices.Delete(p.victims, i, i+1)
			continue
		}
		s.occupy(without, l, -1)
	}
}

func (s *State) priorityOf(slot int32) int32 { return s.leases.slots.at(slot).priority }

// mayBePreempted reports whether another task may take the room of a lease.
func (l *lease) mayBePreempted() bool {
	return l.flags&(leasePreemptible|leasePreempted) == leasePreemptible && (l.state == wire.StateGranted || l.state == wire.StateBegun)
}

// wouldFit reports whether a task has room on a worker as it would be.
func (s *State) wouldFit(w *worker, m *member) bool {
	return w.load() != index.Full && s.couldRun(w, m)
}

// without returns a copy of a worker from which leases can be taken away. It is
// valid until the next call.
func (s *State) without(w *worker) *worker {
	s.scratch = *w
	if w.held != nil {
		h := &s.scratchHeld
		h.amounts = append(h.amounts[:0], w.held.amounts...)
		h.devices = append(h.devices[:0], w.held.devices...)
		h.astray = w.held.astray
		s.scratch.held = h
	}
	return &s.scratch
}
