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
	plan    *gangPlan                // of a gang
	at      int                      // of a gang: the task that is being placed
}

// made is a lease that a gang was granted, and the give stamp of its worker from
// before.
type made struct {
	slot  int32
	stamp uint32
}

// alone returns the admission of a task that comes alone, of a member of a class if
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
// neither it returns which of them was refused, and why; nowWaiting, notReady and
// planUndecided are no refusals.
func (s *State) admit(c *caller, a *admission, b bundle, results []wire.BatchResult) (failed int, err *wire.Error) {
	if s.queue.list.Len() > 0 {
		if err, handled := s.again(c, b); handled {
			return 0, err
		}
	}
	first := &b.tasks[0]
	a.request.rank = rank{reach: lastResort, priority: first.Priority}
	if failed, err = s.placeAll(a, b, results); err == nil || err == notReady || err == planUndecided {
		return failed, err
	}
	if s.waits(first, err.Code) && !(b.gang && s.queue.neverFits(b.tasks)) {
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
	for k, p := a.request.rank, a.plan; ; {
		if k.reach == lastResort {
			a.request.rank.reach = unreserved
			if p.lastResort {
				a.request.rank.reach = together
			}
		}
		failed, err = s.placeGang(a, b, results)
		switch {
		case err == planUndecided || err == notReady:
			return failed, err
		case k.reach == lastResort && !p.lastResort && err != nil && err.Code == wire.CodeUnavailable && s.reservations.usesAny(&k):
			*p = gangPlan{lastResort: true}
		default:
			*p = gangPlan{}
			return failed, err
		}
	}
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
