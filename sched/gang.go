package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file places a gang: all of its tasks, or none. Each task may take a long
// search, so a gang is planned over turns. At the end of a turn what it was granted is
// undone, so that others never see it, and the next turn grants the same again without
// a search.

// gangPlan is the workers that the first tasks of a gang were granted when it was last
// tried. A task whose worker has lost its room meanwhile is searched for again, and so
// are those behind it.
type gangPlan struct {
	workers    []int32 // -1: the task holds a lease already
	lastResort bool    // with reserved workers, after it found no room without
}

// planUndecided says that the turn is over before a gang is placed or refused. It
// leaves this package in no answer.
var planUndecided = &wire.Error{Code: wire.CodeInternal}

// placeGang places all tasks of a gang, or none. If the turn does not suffice for the
// searches it returns planUndecided, and the plan goes on with the next call.
func (s *State) placeGang(a *admission, b bundle, results []wire.BatchResult) (failed int, err *wire.Error) {
	a.workers, a.spreads, a.made = nil, nil, a.made[:0]
	if b.distinct {
		a.workers = s.holders(a.sess, b.tasks)
	}
	s.index.KeepStamps(uint32(len(b.tasks)))
	defer s.index.FreeStamps()
	searched := false
	for a.at = range b.tasks {
		if a.at < len(a.plan.workers) {
			s.spend(planWork)
		} else if searched && s.isGangLate(a) {
			s.disband(a)
			return a.at, planUndecided
		}
		made := len(a.made)
		if err := s.place(a, &b.tasks[a.at], &results[a.at].Placed); err != nil {
			s.disband(a)
			return a.at, err
		}
		if a.at == len(a.plan.workers) {
			s.spend(taskWork)
			searched = true
			a.plan.add(s, a.made[made:])
		}
	}
	for i := 0; s.queue.list.Len() > 0 && i < len(a.made); i++ {
		s.countBypass(s.leases.slots.At(a.made[i].slot).worker)
	}
	s.queue.applyLimit(b.tasks[0].Owner)
	return 0, nil
}

// add notes what the next task was granted.
func (p *gangPlan) add(s *State, granted []made) {
	n := int32(-1)
	if len(granted) > 0 {
		n = s.leases.slots.At(granted[0].slot).worker
	}
	p.workers = append(p.workers, n)
}

// isGangLate reports whether the turn, or what an event may do for waiting tasks, is
// used up.
func (s *State) isGangLate(a *admission) bool {
	if a.request.rank.queued {
		return s.exhausted()
	}
	s.spend(s.index.TakeWork())
	return s.late()
}

// chooseAgain returns the worker that the plan of a gang has for a task, and the
// devices that it takes there, if the task still fits there.
func (s *State) chooseAgain(a *admission) (n int32, devices uint64, ok bool) {
	p, r := a.plan, &a.request
	if a.at >= len(p.workers) {
		return 0, 0, false
	}
	if n = p.workers[a.at]; n >= 0 && s.fitsAgain(r, n) {
		if devices, ok = s.pick(s.workers.At(n), s.demands.at(r.demand), r.m.Exclusive); ok {
			return n, devices, true
		}
	}
	p.workers = p.workers[:a.at]
	return 0, 0, false
}

// fitsAgain reports whether a worker still fits a request.
func (s *State) fitsAgain(r *request, n int32) bool {
	w := s.workers.At(n)
	return w.known && s.now < w.seen+s.quiet(w) && s.mayUse(n, &r.rank) && s.index.LoadOf(index.Worker(n)) != index.Full &&
		s.index.Matches(r.req, index.Worker(n)) && !s.excludes(r, n) && s.fitsNow(w, r.demand, r.m.Exclusive)
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
