package judge

import "github.com/dtask/dtask-scheduler/wire"

// Granted: a client was given a lease on the worker that the answer names, with
// some of its devices; need is what the task asked for.
func (j *Judge) Granted(t Task, id wire.LeaseID, at string, incarnation uint64, need *Need, devices uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w, known := j.byID[at]
	if !known {
		j.broken(UnknownWorker, "%v was given lease %v on worker %q", t, id, at)
		return
	}
	j.suits(t, id, need, &j.workers[w].Worker, devices)
	if l, seen := j.leases[id]; seen {
		j.repeated(t, id, l, w)
		return
	}
	if first, other := j.other(t, id); other {
		l := j.leases[first]
		j.broken(TwoLeases, "%v was given lease %v on %s, and holds %v on %s, %v since %.3fs", t, id, at, first, j.workers[l.worker].ID, l.state, l.since.Seconds())
	}
	j.leases[id] = lease{task: t, worker: w, incarnation: incarnation, since: j.now(), need: need, devices: devices}
	j.tasks[t] = id
}

// repeated judges the answer to a repeated request: the same lease, which
// changes nothing.
func (j *Judge) repeated(t Task, id wire.LeaseID, l lease, worker int) {
	switch {
	case l.task == Task{}: // given back before this answer came
		l.task = t
		j.leases[id] = l
	case l.task != t:
		j.broken(ReusedLease, "lease %v was given to %v and to %v", id, l.task, t)
	case l.worker != worker:
		j.broken(ReusedLease, "lease %v of %v was given on %s and on %s", id, t, j.workers[l.worker].ID, j.workers[worker].ID)
	}
}

// other returns a live lease that the task has besides id. A scheduler that
// was restarted knows a running lease only after its worker came back, so
// leases of two instances are not compared. Nor does one on a heuristic worker
// count, which the scheduler forgets after seconds.
func (j *Judge) other(t Task, id wire.LeaseID) (wire.LeaseID, bool) {
	first, held := j.tasks[t]
	if !held || first.Instance != id.Instance {
		return first, false
	}
	l := j.leases[first]
	if j.workers[l.worker].Heuristic {
		return first, false
	}
	live := l.state == running || l.state == granted && l.incarnation == j.workers[l.worker].incarnation
	return first, live
}

// GivenUp: a client dropped a lease and will never hand it over.
func (j *Judge) GivenUp(id wire.LeaseID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l, known := j.leases[id]; known && l.state == granted {
		j.end(id, l)
	}
}

// Told: the scheduler told a client that a lease has begun, or that it has
// ended. It hears neither from a heuristic worker: there nothing is ever begun,
// and a lease ends when it is no longer needed to guess the worker's room.
func (j *Judge) Told(id wire.LeaseID, s wire.State) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, known := j.leases[id]
	switch {
	case !known:
	case j.workers[l.worker].Heuristic:
		if s == wire.StateBegun {
			j.broken(ToldBegun, "%v got begun for lease %v on %s, which speaks no leases", l.task, id, j.workers[l.worker].ID)
		}
	case s == wire.StateBegun && !l.began:
		j.broken(ToldBegun, "%v got begun for lease %v on %s, which never began it", l.task, id, j.workers[l.worker].ID)
	case s == wire.StateEnded && l.state == running:
		j.broken(ToldEnded, "%v got ended for lease %v, and it runs on %s", l.task, id, j.workers[l.worker].ID)
	}
}
