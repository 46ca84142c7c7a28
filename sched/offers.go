package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/waitlist"
)

// This file compares what workers offer with what waiters need. Whether an offer
// serves a class never changes as long as the dimensions do not.

// classesFor returns the classes that a worker could serve were it idle. It reports
// false if the present event is exhausted before they are all known.
func (s *State) classesFor(n int32) ([]*waitlist.Class, bool) {
	return s.queue.list.ClassesFor(&s.workers.At(n).kit.served, s.dims.changes,
		func(c *waitlist.Class) bool { return s.serves(n, c) }, s.exhausted)
}

// servesFirst reports whether a worker could serve a class were it idle, for one
// class that is asked for again and again.
func (s *State) servesFirst(n int32, c *waitlist.Class) bool {
	return s.queue.list.Serves(&s.workers.At(n).kit.served, s.dims.changes, c,
		func(c *waitlist.Class) bool { return s.serves(n, c) })
}

// serves reports whether a worker could serve one of the tasks of a class were it
// idle.
func (s *State) serves(n int32, c *waitlist.Class) bool {
	k := s.workers.At(n).kit
	return slices.ContainsFunc(s.membersOf(s.queue.needs.At(c.Slot)), func(m member) bool {
		return s.index.Matches(m.req, index.Worker(n)) && capacity.CouldEver(&k.Offer, &s.demands.at(m.demand).Demand)
	})
}
