package loadtest

import (
	"strconv"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// Of the profile overload: priorities, the owners of tasks, and how long tasks
// wait.
const (
	classes = 3
	waitMS  = 5_000
)

var owners = [][]byte{[]byte("ann"), []byte("bob"), []byte("cid"), []byte("dan"), []byte("eve")}

// taskPrefix is in front of the number of a task in its id.
const taskPrefix = "task-"

// step is what a job waits for.
type step uint8

const (
	stepSchedule step = iota
	stepRepeat        // the same request again, while the lease lives
	stepRenew
	stepRelease
	stepOther // a call of the run itself
)

// String is the step as violations show it.
func (s step) String() string {
	return [...]string{"schedule", "repeated schedule", "renew", "release", "a list"}[s]
}

// plan is what a job does with its lease.
type plan uint8

const (
	planBegin   plan = iota // hands it over at once
	planRelease             // gives it back
	planHold                // keeps it by renewals for a while, then hands it over
	planLate                // sits on it beyond its time to live, then hands it over
	planRepeat              // asks for the same task again, before and after it hands it over
	planLost                // hands it over, never hears the answer, and releases
	planTwice               // hands it over, and the network delivers that twice
)

// job is the client's side of one task. A job is over when its task runs, or
// will never run.
type job struct {
	client  *client
	task    judge.Task
	need    *requirement
	lease   wire.LeaseID
	at      *worker // the worker of the lease
	granted uint64  // incarnation of that worker
	devices uint64  // that the lease takes
	plan    plan
	handed  bool
	web     bool  // speaks HTTP
	apart   bool  // of a gang that wants distinct workers: they may be too few
	closed  bool  // keeps a closed loop going
	due     int64 // when a sleeping job hands its lease over
	sleep   uint64
	class   int // of the profile overload: the greater goes first
	owner   []byte

	preempts bool // of the profile overload: takes the room of others
	on       wire.OnPreempt

	schedule wire.Schedule
	renew    wire.Renew
	release  wire.Release
	kept     [1]wire.LeaseID
	id       []byte // the task id
}

// submit asks for a place for a new task.
func (c *client) submit(intended int64, closed bool) {
	s := c.sh
	j := c.newJob(closed)
	k := call{job: j, step: stepSchedule, intended: intended}
	if s.run.cfg.Profile == ProfileGangs && !j.web && s.rng.Float64() < gangShare {
		k.gang = c.gather(j)
	}
	j.begin(s.loop.Now(), k)
}

// begin sends the first request of a job.
func (j *job) begin(now int64, k call) {
	if j.owner != nil {
		var preempts *judge.Need
		if j.preempts {
			preempts = &j.need.need
		}
		j.client.sh.run.judge.Asked(j.task, judge.Wait{Need: j.need.number, Class: j.class}, preempts)
	}
	j.dispatch(now, k)
}

// takeJob returns an empty job, which lives from now on.
func (c *client) takeJob() *job {
	s := c.sh
	j := &job{}
	if n := len(s.jobs); n > 0 {
		j, s.jobs = s.jobs[n-1], s.jobs[:n-1]
	}
	*j = job{client: c, sleep: j.sleep, id: j.id[:0]}
	s.living++
	return j
}

// newJob draws a new task and what becomes of it.
func (c *client) newJob(closed bool) *job {
	s := c.sh
	j := c.takeJob()
	c.next++
	j.task, j.closed = judge.Task{Client: c.number, Number: c.next}, closed
	j.id = strconv.AppendUint(append(j.id, taskPrefix...), c.next, 10)
	j.need = &s.run.needs[s.rng.IntN(len(s.run.needs))]
	j.plan = s.draw()
	// The HTTP API is asked for plain tasks.
	j.web = s.run.web != nil && j.need.kind == kindSlot && s.rng.Float64() < webShare
	if s.run.cfg.Profile == ProfileOverload {
		j.class = s.rng.IntN(classes)
		j.owner = owners[min(s.rng.IntN(2*len(owners)), len(owners)-1)] // the last has half of all tasks
		if !j.web {
			j.drawYield()
		}
	}
	return j
}

// draw draws what a job will do with its lease.
func (s *shard) draw() plan {
	c, x := &s.run.cfg, s.rng.Float64()
	for _, share := range [...]struct {
		of   float64
		plan plan
	}{
		{c.Release, planRelease}, {c.Hold, planHold}, {c.Late, planLate}, {c.Repeat, planRepeat},
		{s.run.lostShare, planLost}, {s.run.lostShare, planTwice},
	} {
		if x < share.of {
			return share.plan
		}
		x -= share.of
	}
	return planBegin
}

// message builds the request of a step.
func (j *job) message(s step) wire.Message {
	switch s {
	case stepRenew:
		j.kept[0] = j.lease
		j.renew.Leases = j.kept[:]
		return &j.renew
	case stepRelease:
		j.release = wire.Release{Lease: j.lease, Handed: j.handed}
		return &j.release
	default:
		j.schedule = j.need.ask
		j.schedule.Task = j.id
		if j.owner != nil {
			j.schedule.Priority, j.schedule.Owner, j.schedule.WaitMS = j.priority(), j.owner, waitMS
			j.schedule.Preempt, j.schedule.OnPreempt = j.preempts, j.on
			if j.plan == planRelease && !j.preempts && !j.client.sh.loading {
				j.schedule.WaitMS = 0 // the placement is not needed any more
			}
		}
		return &j.schedule
	}
}

func (j *job) send(now int64, s step) {
	j.dispatch(now, call{job: j, step: s, intended: now})
}

// dispatch puts a call into flight, over the client's connection or by HTTP.
func (j *job) dispatch(now int64, k call) {
	if j.web {
		j.client.busy++
		j.ask(k)
		return
	}
	j.client.send(now, k)
}

// answered goes on with the answer to a call.
func (j *job) answered(now int64, k *call, m wire.Message) {
	switch m := m.(type) {
	case *wire.Placed:
		if k.step == stepSchedule || k.step == stepRepeat {
			j.placed(now, k, m)
			return
		}
	case *wire.Error:
		j.refused(now, k, m)
		return
	case *wire.Renewed:
		if k.step == stepRenew && len(m.Leases) == 1 {
			j.renewed(now, m.Leases[0])
			return
		}
	case *wire.Released:
		if k.step == stepRelease {
			j.released(m)
			return
		}
	}
	j.client.sh.run.judge.Broken(judge.Unexpected, "%v: %s was answered with %v", j.task, k.step, m.Kind())
	j.over()
}

// over ends the job.
func (j *job) over() {
	s := j.client.sh
	j.sleep++
	s.living--
	s.jobs = append(s.jobs, j)
}

// asked notes that the first request of the job was answered.
func (j *job) asked(now int64, k *call, placed bool) {
	s := j.client.sh
	s.record(k.intended, now, placed, j.web)
	if j.owner != nil {
		s.run.judge.Settled(j.task, placed, !s.run.cfg.Faults)
		if placed {
			_ = s.waits[j.class].RecordValue(min(max(now-k.intended, shortest), longest))
		}
	}
	if !j.closed {
		return
	}
	if placed {
		j.client.loading--
	} else {
		s.loop.At(now+refusedPause, j.client, clientResume)
	}
}

// refused handles an error. To be out of room is an answer like any other.
func (j *job) refused(now int64, k *call, e *wire.Error) {
	s := j.client.sh
	switch e.Code {
	case wire.CodeInfeasible:
		if j.need.feasible && !j.apart && !s.run.cfg.Faults {
			s.run.judge.Broken(judge.NotInfeasible, "%v: %+v was called infeasible", j.task, j.need.need)
		}
	case wire.CodeUnavailable, wire.CodeBusy, wire.CodeDraining, wire.CodeLeaseLimit, wire.CodeSearchLimit, wire.CodeAllOrNone, wire.CodeQueueFull, wire.CodeOwnerLimit:
	default:
		s.run.judge.Broken(judge.Unexpected, "%v: %s was answered %v", j.task, k.step, e)
	}
	switch {
	case k.step == stepSchedule:
		s.counts.refuse(e.Code)
		s.counts.Kinds[j.need.kind].Refused++
		j.asked(now, k, false)
	case k.step != stepRelease && !j.handed:
		j.giveBack(now)
		return
	}
	j.over()
}
