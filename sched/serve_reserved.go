package sched

import (
	"cmp"
	"slices"
)

// This file places waiters that have reserved workers, once these have got enough.

// duePreemptions returns the reservations of freed workers on which tasks are
// preempted, in their order. They are valid until the next call.
func (s *State) duePreemptions() []*reservation {
	t := &s.reservations
	t.due = t.due[:0]
	if t.preemptions == 0 {
		return nil
	}
	for _, n := range s.queue.freed {
		if v := s.workers.At(n).reserved; v != nil && v.cause == preemption {
			t.due = append(t.due, v)
		}
	}
	slices.SortStableFunc(t.due, func(a, b *reservation) int { return cmp.Compare(a.order, b.order) })
	return slices.Compact(t.due)
}

// servePreemptions places the waiters for which tasks were preempted, of a priority
// or a higher one. It returns the others.
func (s *State) servePreemptions(due []*reservation, priority int32, out *Outbox) (rest []*reservation) {
	rest = due[:0]
	for _, v := range due {
		switch {
		case s.workers.At(v.worker).reserved != v: // its waiter was placed already
		case v.priority < priority:
			rest = append(rest, v)
		case s.fitsAny(s.queue.needsOf(s.queue.at(v.waiter).Bucket), v.worker, &rank{reach: together, queued: true, waiter: v.waiter + 1}):
			s.serveReserved(v.waiter, out)
		}
	}
	return rest
}

// serveHolder places the bypassed waiter, if a worker that is reserved for it has
// got enough. The rest of a gang may go to other workers.
func (s *State) serveHolder(out *Outbox) {
	q := &s.queue
	slot, ok := s.reservations.holder()
	if ok && slices.ContainsFunc(q.freed, func(n int32) bool { return s.servesHolder(n, slot) }) {
		s.serveReserved(slot, out)
	}
}

// servesHolder reports whether a worker fits a task of the bypassed waiter.
func (s *State) servesHolder(n, slot int32) bool {
	w, k := s.queue.at(slot), s.workers.At(n)
	own := k.reserved != nil && k.reserved.waiter == slot
	return (own || w.gang != nil) && s.fitsAny(s.queue.needsOf(w.Bucket), n, &rank{reach: together, queued: true, waiter: slot + 1, priority: w.Priority()})
}

// serveReserved places a waiter that has reserved workers. Its turn is over then.
func (s *State) serveReserved(slot int32, out *Outbox) bool {
	t := s.queue.at(slot).Bucket.Queue
	served := s.serveHead(slot, out)
	if served {
		s.queue.list.EndTurn(t)
	}
	return served
}
