package judge

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/wire"
)

// Incarnation: the worker goes by a new incarnation, and runs on what it runs.
// What was granted to the old one can never begin.
func (j *Judge) Incarnation(w int, incarnation uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.workers[w].incarnation = incarnation
}

// Lost: the worker died, and all its tasks with it.
func (j *Judge) Lost(w int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id := range j.workers[w].running {
		j.end(id, j.leases[id])
	}
}

// Began: the worker accepted the begin of a lease. A repeated begin of a lease
// that runs is no event.
func (j *Judge) Began(w int, id wire.LeaseID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := &j.workers[w]
	l, known := j.leases[id]
	switch {
	case !known:
		j.broken(NeverGranted, "%s began lease %v, which no client was given", at.ID, id)
		return
	case l.worker != w:
		j.broken(WrongWorker, "%s began lease %v of %v, which was granted on %s", at.ID, id, l.task, j.workers[l.worker].ID)
		return
	case l.state == over:
		j.broken(BegunAgain, "%s began lease %v of %v, which was over since %.3fs", at.ID, id, l.task, l.since.Seconds())
		return
	case l.state == running:
		return
	}
	l.state, l.since, l.began = running, j.now(), true
	j.leases[id] = l
	at.running[id] = true
	at.taken.add(&l, 1)
	j.within(at, id, l.task)
	switch {
	case len(at.running) <= at.Slots:
	case at.Heuristic:
		j.exceeded++
	default:
		j.broken(OverCapacity, "%s holds %d tasks on %d slots, the last is lease %v of %v", at.ID, len(at.running), at.Slots, id, l.task)
	}
}

// Full: the worker refused a lease for lack of a slot.
func (j *Judge) Full(w int, id wire.LeaseID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := &j.workers[w]
	j.broken(RefusedFull, "%s refused lease %v of %v: %d tasks run on %d slots", at.ID, id, j.leases[id].task, len(at.running), at.Slots)
	if l, known := j.leases[id]; known && l.state == granted {
		j.end(id, l)
	}
}

// Ended: the task of a lease is over.
func (j *Judge) Ended(w int, id wire.LeaseID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l, known := j.leases[id]; known && l.state == running && l.worker == w {
		j.end(id, l)
	}
}

// Revoked: the worker gave a lease back. Its client may not have heard of it
// yet: an answer can take longer than a lease lives.
func (j *Judge) Revoked(w int, id wire.LeaseID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, known := j.leases[id]
	switch {
	case !known:
		j.end(id, lease{worker: w})
	case l.state == running:
		j.broken(RevokedBegun, "%s gave lease %v of %v back, and it runs", j.workers[w].ID, id, l.task)
	case l.state == granted:
		j.end(id, l)
	}
}

// Agrees compares the scheduler's list of a worker with what the worker runs.
// It returns the first difference, "" for none, and records nothing: reports
// may still be on their way.
func (j *Judge) Agrees(w int, listed []wire.LeaseInfo) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := &j.workers[w]
	begun := make(map[wire.LeaseID]bool, len(listed))
	for i := range listed {
		if listed[i].State != wire.StateBegun {
			continue
		}
		id := listed[i].Lease
		begun[id] = true
		if !at.running[id] {
			return fmt.Sprintf("%s does not run lease %v of task %q, which the scheduler lists as begun", at.ID, id, listed[i].Task)
		}
	}
	for id := range at.running {
		if !begun[id] {
			return fmt.Sprintf("%s runs lease %v of %v, which the scheduler does not list as begun", at.ID, id, j.leases[id].task)
		}
	}
	return ""
}
