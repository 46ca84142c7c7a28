package sched

import (
	"bytes"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file lets requests that do not come from the queue have what is held for
// waiters of a lower priority.

// opened is room held for waiters of a lower priority while it is open for the
// tasks of a batch. It stays open for those that need the same as the first: they
// find no other room either, and opening costs a look at every worker that is held.
type opened struct {
	workers  []int32
	priority int32
	need     []byte
}

// placeOver is place for a request that does not come from the queue. What is
// held for a waiter of a lower priority is there for it, if there is no other
// room. After the last task of a batch comes shut.
func (s *State) placeOver(a *admission, m *wire.Schedule, p *wire.Placed) *wire.Error {
	if q := &s.queue; q.hold.slot == 0 && len(q.claims) == 0 {
		return s.place(a, m, p)
	}
	if len(a.opened.workers) > 0 {
		s.queue.keyBuf = appendNeeds(s.queue.keyBuf[:0], m)
		if a.opened.priority == m.Priority && bytes.Equal(a.opened.need, s.queue.keyBuf) {
			return s.place(a, m, p)
		}
		s.shut(a)
	}
	err := s.place(a, m, p)
	if err == nil || err.Code != wire.CodeUnavailable {
		return err
	}
	workers := s.openBelow(m.Priority)
	if len(workers) == 0 {
		return err
	}
	err = s.place(a, m, p)
	if !a.batch {
		s.reserve(workers...)
	} else {
		a.opened = opened{workers, m.Priority, appendNeeds(a.opened.need[:0], m)}
	}
	return err
}

// shut holds again what is open for a batch, as far as it is still held for
// somebody.
func (s *State) shut(a *admission) {
	for _, n := range a.opened.workers {
		if s.queue.claimOn(n) >= 0 || slices.Contains(s.queue.hold.workers, n) {
			s.reserve(n)
		}
	}
	a.opened.workers = nil
}

// placeGangOver is placeGang for a gang that does not come from the queue: as
// there, its priority is that of its first task.
func (s *State) placeGangOver(sess *session, m *wire.Batch, results []wire.BatchResult) (a *admission, failed int) {
	a, failed = s.placeGang(sess, m.Tasks, m.Distinct, results)
	if failed < 0 || results[failed].Code != wire.CodeUnavailable {
		return a, failed
	}
	if workers := s.openBelow(m.Tasks[0].Priority); len(workers) > 0 {
		clear(results)
		a, failed = s.placeGang(sess, m.Tasks, m.Distinct, results)
		s.reserve(workers...)
	}
	return a, failed
}

// openBelow opens the workers that are held for waiters below a priority, and
// returns them.
func (s *State) openBelow(priority int32) (opened []int32) {
	q := &s.queue
	if q.hold.slot != 0 && q.at(q.hold.slot-1).priority() < priority {
		opened = append(opened, q.hold.workers...)
	}
	opened = s.claimedBelow(opened, priority)
	s.unreserve(opened...)
	return opened
}

// claimedBelow appends the workers with room that are held, now, for waiters
// below a priority for which tasks make room there.
func (s *State) claimedBelow(to []int32, priority int32) []int32 {
	q := &s.queue
	for _, c := range q.claims {
		if s.workers.At(c.worker).reserved && s.workers.At(c.worker).load() != index.Full && q.at(c.slot).priority() < priority {
			to = append(to, c.worker)
		}
	}
	return to
}
