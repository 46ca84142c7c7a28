package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file admits tasks: single ones, those of a batch, gangs, and those that come
// from the queue. What differs between them is in the admission.

// bundle is the tasks that are admitted together: one task, or a gang.
type bundle struct {
	tasks    []wire.Schedule
	gang     bool   // all are placed, or none
	distinct bool   // each on a worker of its own
	index    uint32 // the task's place in a batch + 1; 0: it came alone
}

// admission is who asks for places, and what the tasks of one message share while
// they are placed one after the other.
type admission struct {
	sess    *session
	request request // the task that is being placed
	member  *member // what it requires if it comes from the queue, else nil

	batch   bool
	gang    bool
	workers map[int32]bool           // of a distinct gang: those that hold one of its tasks
	spreads map[string]*index.Spread // of a batch, by tag key
	made    []made                   // of a gang, to undo it
}

// made is a lease that a gang was granted, and the give stamp of its worker from
// before.
type made struct {
	slot  int32
	stamp uint32
}

// alone returns the admission of a task that comes alone, of a member of a want if
// it comes from the queue. It is valid until the next call.
func (s *State) alone(sess *session, of *member) *admission {
	a := &s.single
	a.sess, a.member, a.batch, a.gang, a.workers = sess, of, false, false, nil
	a.request.rank = rank{}
	return a
}

// nowWaiting says that tasks wait. It leaves this package in no answer.
var nowWaiting = &wire.Error{Code: wire.CodeWaiting}

// admit places the tasks of a message that came now, or lets them wait. If it does
// neither it returns which of them was refused, and why; nowWaiting and notReady are
// no refusals.
func (s *State) admit(c *caller, a *admission, b bundle, results []wire.BatchResult) (failed int, err *wire.Error) {
	if s.queue.n > 0 {
		if err, handled := s.again(c, b); handled {
			return 0, err
		}
	}
	first := &b.tasks[0]
	a.request.rank = rank{reach: lastResort, priority: first.Priority}
	if failed, err = s.placeAll(a, b, results); err == nil || err == notReady {
		return failed, err
	}
	if s.waits(first, err.Code) && !(b.gang && s.queue.owners.neverFits(b.tasks)) {
		return 0, s.enqueue(c, b)
	}
	return failed, s.explain(&a.request, err)
}

// placeAll places tasks that are admitted together. If one is refused it returns
// which, and why; none of a gang is placed then.
func (s *State) placeAll(a *admission, b bundle, results []wire.BatchResult) (failed int, err *wire.Error) {
	if !b.gang {
		return 0, s.place(a, &b.tasks[0], &results[0].Placed)
	}
	k := a.request.rank
	if k.reach == lastResort {
		a.request.rank.reach = unreserved
	}
	failed, err = s.placeGang(a, b, results)
	if k.reach == lastResort && err != nil && err.Code == wire.CodeUnavailable && s.reservations.usesAny(&k) {
		a.request.rank.reach = together
		failed, err = s.placeGang(a, b, results)
	}
	return failed, err
}

// placeGang places all tasks of a gang, or none.
func (s *State) placeGang(a *admission, b bundle, results []wire.BatchResult) (failed int, err *wire.Error) {
	a.workers, a.spreads, a.made = nil, nil, a.made[:0]
	if b.distinct {
		a.workers = s.holders(a.sess, b.tasks)
	}
	s.index.KeepStamps(uint32(len(b.tasks)))
	defer s.index.FreeStamps()
	for i := range b.tasks {
		if err := s.place(a, &b.tasks[i], &results[i].Placed); err != nil {
			s.disband(a)
			return i, err
		}
	}
	for i := 0; s.queue.n > 0 && i < len(a.made); i++ {
		s.countBypass(s.leases.slots.At(a.made[i].slot).worker)
	}
	s.queue.seatOwner(b.tasks[0].Owner)
	return 0, nil
}

// add notes the lease of a task of a batch.
func (a *admission) add(s *State, slot int32, stamp uint32) {
	n := s.leases.slots.At(slot).worker
	if r := &a.request; !r.plain && r.query.Spread != nil {
		s.index.Count(r.query.Spread, index.Worker(n), 1)
	}
	if a.gang {
		a.made = append(a.made, made{slot, stamp})
	}
	if a.workers != nil {
		a.workers[n] = true
	}
}

// holders returns the workers on which tasks of a gang hold leases already.
func (s *State) holders(sess *session, tasks []wire.Schedule) map[int32]bool {
	workers := map[int32]bool{}
	for i := range tasks {
		if slot, ok, _, _ := s.held(sess, &tasks[i]); ok {
			workers[s.leases.slots.At(slot).worker] = true
		}
	}
	return workers
}

// disband undoes what was granted to a gang, the last first.
func (s *State) disband(a *admission) {
	for i := len(a.made) - 1; i >= 0; i-- {
		s.undo(a.made[i].slot, a.made[i].stamp)
	}
}
