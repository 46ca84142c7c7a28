package loadtest

import (
	"strconv"
	"time"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file is tasks of the profile overload that take the room of others, or
// have to give theirs: what they say of it, what their workers do when they are
// told, and what their clients do when they hear of the end.

// Shares of the tasks of a class, the lowest first.
var (
	preempting = [classes]float64{0, 0.1, 0.3} // take the room of others, if the grace is short enough
	requeuing  = [classes]float64{0.5, 0.2, 0.1}
	yielding   = [classes]float64{0.2, 0.1, 0.3} // end when they are preempted
	unyielding = [classes]float64{0.1, 0, 0.1}   // say that they are never preempted
)

// stubborn is the share of told tasks that go on until they are killed.
const stubborn = 0.25

// drawYield draws what a task says of preemption. One that is asked for twice
// is not requeued: its two requests would mix up its two lives.
func (j *job) drawYield() {
	s := j.client.sh
	switch x := s.rng.Float64(); {
	case x < requeuing[j.class] && j.plan != planRepeat:
		j.on = wire.OnPreemptRequeue
	case x < requeuing[j.class]+yielding[j.class]:
		j.on = wire.OnPreemptEnd
	case x < requeuing[j.class]+yielding[j.class]+unyielding[j.class]:
		j.on = wire.OnPreemptNever
	}
	grace := j.client.grace
	j.preempts = j.on != wire.OnPreemptRequeue && grace > 0 && grace <= waitMS && s.rng.Float64() < preempting[j.class]
	if j.preempts {
		s.counts.Preempting++
	}
}

// priority is the class as the protocol has it: low below 0, normal 0, high
// above.
func (j *job) priority() int32 { return int32(j.class - 1) }

// yields tells the judge of a fresh lease, and remembers which task to ask for again.
func (j *job) yields(m *wire.Placed) {
	if j.owner == nil || m.Flags&wire.PlacedBestEffort != 0 {
		return
	}
	requeue := j.on == wire.OnPreemptRequeue
	j.client.sh.run.judge.Yields(m.Lease, judge.Yield{Class: j.class, May: j.on.Preemptible(j.priority()), Requeue: requeue})
	if requeue {
		j.client.follows[m.Lease] = follower{j.task, j.need, j.class, j.owner}
	}
}

// follower is a task whose client gets a notice of its end.
type follower struct {
	task  judge.Task
	need  *requirement
	class int
	owner []byte
}

// noticed reads a notice to a client about its task. One that waits again
// is asked for again: the answer belongs to that request.
func (c *client) noticed(now int64, m *wire.Notice) {
	s := c.sh
	s.run.judge.Heard(m.Lease, m.News, !s.run.cfg.Faults)
	f, known := c.follows[m.Lease]
	if m.News == wire.NewsPreempted || !known {
		return
	}
	delete(c.follows, m.Lease)
	if m.News != wire.NewsRequeued {
		return
	}
	s.counts.Requeued++
	j := c.takeJob()
	j.task, j.need, j.class, j.owner, j.on = f.task, f.need, f.class, f.owner, wire.OnPreemptRequeue
	j.id = strconv.AppendUint(append(j.id, taskPrefix...), f.task.Number, 10)
	if j.plan = s.draw(); j.plan == planRepeat {
		j.plan = planBegin
	}
	if !s.loading {
		j.plan = planRelease // and it does not wait
	}
	j.begin(now, call{job: j, step: stepSchedule, intended: now})
}

// preempt implements what a worker does with a preempted task:
// most end soon, some go on until they are killed.
func (n *native) preempt(now int64, m *wire.Preempt) {
	s := n.sh
	t, judged := n.running[m.Lease], !s.run.cfg.Faults
	if m.GraceMS == 0 {
		s.run.judge.Killed(n.index, m.Lease, judged)
		s.counts.Killed++
		s.loop.At(now, &farewell{n.worker, m.Lease, wire.ReasonLost}, 0)
		return
	}
	grace := time.Duration(m.GraceMS) * time.Millisecond
	s.run.judge.Noticed(n.index, m.Lease, grace, judged)
	s.counts.Preempted++
	if t == nil {
		return
	}
	if s.rng.Float64() < stubborn {
		t.stubborn = true
		return
	}
	s.loop.At(now+s.rng.Int64N(int64(grace)/4+1), &farewell{n.worker, m.Lease, wire.ReasonFailed}, 0)
}

// farewell is the end of a preempted task.
type farewell struct {
	worker  *worker
	lease   wire.LeaseID
	outcome wire.Reason
}

// Ring implements poll.Alarm.
func (f *farewell) Ring(now int64, _ uint64) {
	t := f.worker.running[f.lease]
	switch s := f.worker.sh; {
	case t == nil: // it has come to its own end
	case s.pausing:
		s.loop.At(now+pauseStep, f, 0)
	default:
		f.worker.finish(now, t, f.outcome)
	}
}

// followed returns how many ends of tasks had no notice to their clients. With
// faults none is required.
func (r *run) followed() (n int) {
	if r.cfg.Faults {
		return 0
	}
	r.each(func(s *shard) {
		for _, c := range s.clients {
			n += len(c.follows)
		}
	})
	return n
}
