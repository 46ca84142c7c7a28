package judge

import (
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file judges preemptions: their victims, how long these may go on, and
// which notices their clients get.

// Yield says how the task of a lease stands to others that want its room.
type Yield struct {
	Class   int  // the greater goes first
	May     bool // one of a higher class may take its room
	Requeue bool // it asked to wait again then, and its client hears of its end
}

// preemptor is a task that preempts and was settled a moment ago.
type preemptor struct {
	class int
	need  *Need
	at    time.Duration
}

// Yields: the task of a lease that was just granted stands so to others. What
// was said of a lease first stays.
func (j *Judge) Yields(id wire.LeaseID, y Yield) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l, known := j.leases[id]; known && l.yield == nil {
		l.yield = &y
		j.leases[id] = l
	}
}

// Noticed: a worker got the notice of a preemption with its grace. Call it
// without judged if another scheduler may have sent one before.
func (j *Judge) Noticed(w int, id wire.LeaseID, grace time.Duration, judged bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, known := j.leases[id]
	if !known || l.state != running || l.worker != w {
		return // they crossed
	}
	at := &j.workers[w].Worker
	switch y := l.yield; {
	case y == nil:
	case !y.May:
		j.broken(WrongVictim, "%v, lease %v on %s, was preempted and must not be", l.task, id, at.ID)
	case !j.wanted(y.Class, at):
		j.broken(WrongVictim, "%v of class %d, lease %v on %s, was preempted, and no task of a higher class preempts", l.task, y.Class, id, at.ID)
	}
	if l.warned > 0 && judged {
		j.broken(ToldTwice, "%s got two notices that %v, lease %v, is preempted", at.ID, l.task, id)
	}
	l.warned, l.grace = j.now(), grace
	j.leases[id] = l
}

// wanted reports whether a task of a higher class waits that preempts and could
// run on a worker, or did so until a moment ago.
func (j *Judge) wanted(class int, at *Worker) bool {
	for _, w := range j.waits {
		if w.preempts != nil && w.Class > class && w.preempts.Could(at) {
			return true
		}
	}
	for _, p := range j.lately {
		if p.class > class && j.now()-p.at <= slack && p.need.Could(at) {
			return true
		}
	}
	return false
}

// settledLately remembers a task that preempted, for as long as notices on its
// behalf may be on their way.
func (j *Judge) settledLately(w *waiting, now time.Duration) {
	for len(j.lately) > 0 && now-j.lately[0].at > slack {
		j.lately = j.lately[1:]
	}
	if w.preempts != nil {
		j.lately = append(j.lately, preemptor{w.Class, w.preempts, now})
	}
}

// Killed: a worker got the kill of a preempted task. Call it
// without judged if the notice may have been delayed.
func (j *Judge) Killed(w int, id wire.LeaseID, judged bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, known := j.leases[id]
	if !known || l.state != running || l.worker != w || !judged {
		return
	}
	switch lived := j.now() - l.warned; {
	case l.warned == 0:
		j.broken(KilledEarly, "%s got a kill of %v, lease %v, without a notice", j.workers[w].ID, l.task, id)
	case lived+slack < l.grace:
		j.broken(KilledEarly, "%s got a kill of %v, lease %v, %.3fs after the notice, and the grace is %v", j.workers[w].ID, l.task, id, lived.Seconds(), l.grace)
	}
}

// Heard: a client heard news of a lease. Of the end of a task that may be
// requeued it hears once.
func (j *Judge) Heard(id wire.LeaseID, news wire.News, judged bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, known := j.leases[id]
	if !known {
		return
	}
	switch {
	case news == wire.NewsPreempted && l.heard && judged:
		j.broken(ToldTwice, "%v got two notices that lease %v is preempted", l.task, id)
	case news == wire.NewsPreempted:
		l.heard = true
	case l.closed:
		j.broken(WrongRequeue, "%v heard twice of the end of lease %v, now that it is %v", l.task, id, news)
	case l.yield != nil && !l.yield.Requeue:
		j.broken(WrongRequeue, "%v heard that lease %v is %v, and did not ask to be requeued", l.task, id, news)
	case l.state == running:
		j.broken(ToldEnded, "%v heard that lease %v is %v, and it runs on %s", l.task, id, news, j.workers[l.worker].ID)
	default:
		l.closed = true
	}
	j.leases[id] = l
}
