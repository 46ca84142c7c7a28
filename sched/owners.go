package sched

import (
	"bytes"
	"fmt"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file refuses what would exceed the limit of one owner's leases. Package
// waitlist counts them, and what waits for an owner at its limit.

// ownerAtLimit reports whether the owner of a request may have no further lease.
func (q *queue) ownerAtLimit(name []byte) bool {
	return q.list.MaxLeases() > 0 && q.list.AtLimit(clip(name))
}

// applyLimit brings what waits for an owner up to date with its leases.
func (q *queue) applyLimit(name []byte) {
	if q.list.MaxLeases() > 0 {
		q.list.ApplyLimit(clip(name))
	}
}

// overLimit refuses a request whose owner may have no further lease. What can
// never run is refused as such.
func (s *State) overLimit(r *request) *wire.Error {
	if !s.learning && (s.unknown(r) || !s.feasible(r)) {
		s.log.infeasible++
		return refusals[wire.CodeInfeasible]
	}
	s.log.ownerLimited++
	return &s.queue.ownerRefusal
}

// checkOwners refuses a gang of several owners where leases of an owner are
// bounded: it would wait for all of them at once.
func (q *queue) checkOwners(tasks []wire.Schedule) *wire.Error {
	for i := range tasks {
		if q.list.MaxLeases() > 0 && !bytes.Equal(tasks[i].Owner, tasks[0].Owner) {
			field := fmt.Sprintf("tasks[%d].owner", i)
			return badField(field, "must be the same for all tasks of a gang, because the leases of an owner are limited")
		}
	}
	return nil
}

// neverFits reports whether a gang has more tasks than its owner may have
// leases: it would wait in vain.
func (q *queue) neverFits(tasks []wire.Schedule) bool {
	most := q.list.MaxLeases()
	return most > 0 && len(tasks) > most
}
