package sched

import "github.com/dtask/dtask-scheduler/ds"

// This file preempts what runs on workers whose drain has reached its deadline.

// deadlineHeap holds the drains with a deadline: a binary min-heap in the order of
// the deadlines, and of equal ones in the order in which they were set. Every
// cordon knows its place. The number of drains is bounded by Config.MaxWorkers, and
// a change moves a few of them alone.
type deadlineHeap struct {
	ds.Chunks[*cordon]
	last uint64 // number that was given
}

// sooner reports whether the deadline of c comes before that of o.
func (c *cordon) sooner(o *cordon) bool {
	return c.deadline < o.deadline || c.deadline == o.deadline && c.number < o.number
}

// first returns the cordon whose deadline is the next, nil if there is none.
func (h *deadlineHeap) first() *cordon {
	if h.Len() == 0 {
		return nil
	}
	return *h.At(0)
}

// add enters a cordon that has a deadline.
func (h *deadlineHeap) add(c *cordon) {
	h.last++
	c.number = h.last
	h.Grow(h.Len() + 1)
	h.put(c, int32(h.Len()-1))
}

// remove takes a cordon out, if it is in.
func (h *deadlineHeap) remove(c *cordon) {
	if c.place == 0 {
		return
	}
	place := c.place - 1
	c.place = 0
	h.Truncate(h.Len() - 1)
	last := *h.At(int32(h.Len()))
	*h.At(int32(h.Len())) = nil
	if last != c {
		h.put(last, place)
	}
}

// put gives a cordon its place, given a vacant one.
func (h *deadlineHeap) put(c *cordon, i int32) {
	for ; i > 0 && c.sooner(*h.At((i - 1) / 2)); i = (i - 1) / 2 {
		h.stand(*h.At((i - 1) / 2), i)
	}
	for child := 2*i + 1; child < int32(h.Len()); child = 2*i + 1 {
		if child+1 < int32(h.Len()) && (*h.At(child + 1)).sooner(*h.At(child)) {
			child++
		}
		if c.sooner(*h.At(child)) {
			break
		}
		h.stand(*h.At(child), i)
		i = child
	}
	h.stand(c, i)
}

func (h *deadlineHeap) stand(c *cordon, i int32) {
	*h.At(i) = c
	c.place = i + 1
}

// awaitDeadline has the pulse look at a drain when its time is over.
func (s *State) awaitDeadline(c *cordon) {
	if c.deadline != Never {
		s.deadlines.add(c)
	}
}

// forgetDeadline undoes awaitDeadline, if the deadline has not passed.
func (s *State) forgetDeadline(c *cordon) {
	if c != nil {
		s.deadlines.remove(c)
	}
}

// nextDeadline returns when the next drain has waited long enough, or a worker is
// emptied further.
func (s *State) nextDeadline() Time {
	switch c := s.deadlines.first(); {
	case s.emptying.cordon != nil:
		return s.now
	case c != nil:
		return c.deadline
	}
	return Never
}

// emptying is the worker whose leases are preempted because its drain has reached
// the deadline. A worker with many leases takes several pulses.
type emptying struct {
	cordon *cordon // nil: there is none
	worker int32
	next   int32 // the lease to preempt next; slot + 1
}

// overdue preempts what runs on workers whose drain has waited long enough, one
// lease for each unit of the budget. It returns what is left of the budget.
func (s *State) overdue(left int, out *Outbox) int {
	e := &s.emptying
	for left > 0 && s.nextDeadline() <= s.now {
		if e.cordon == nil {
			c := s.deadlines.first()
			s.deadlines.remove(c)
			left--
			n, known := s.byID[c.worker]
			if !known {
				continue
			}
			*e = emptying{c, n, s.workers.At(n).head}
		}
		left = s.empty(left, out)
	}
	return left
}

// empty preempts leases of the worker that is emptied, as many as are left.
func (s *State) empty(left int, out *Outbox) int {
	e := &s.emptying
	if s.workers.At(e.worker).cordon != e.cordon {
		e.next = 0 // it was lifted meanwhile
	}
	for ; left > 0 && e.next != 0; left-- {
		slot := e.next - 1
		e.next = s.leases.slots.At(slot).next
		s.spend(leaseWork)
		s.preempt(slot, out)
	}
	if e.next == 0 {
		*e = emptying{}
	}
	return left
}

// mustEmpty reports whether the drain of a worker has waited long enough.
func (s *State) mustEmpty(w *worker) bool {
	return w.cordon != nil && w.cordon.deadline <= s.now
}
