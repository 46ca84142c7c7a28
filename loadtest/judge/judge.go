// Package judge keeps the load test's own account of what the simulated
// workers began and ended, and says where the scheduler's answers contradict
// it. It believes no number of the scheduler and shares no code with either
// side of the protocol: a map of leases, and a count for each worker.
//
// The life of a lease here, with the calls that move it:
//
//	Granted --> granted --Began--> running --Ended, Restarted--> over
//	               |                                              ^
//	               +----Revoked, GivenUp, a newer incarnation-----+
//
// Workers that report one number and speak no leases are judged by what is
// promised of them: answers name a worker of the fleet with the required tags,
// and ids do not repeat. That such a worker holds more tasks than it has slots
// is counted, and no violation.
package judge

import (
	"fmt"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

const (
	maxOver       = 1 << 20 // ended leases that are remembered
	maxViolations = 100     // violations kept with their text; all are counted
)

// Rule names what was broken.
type Rule string

// The rules.
const (
	UnknownWorker Rule = "unknown-worker" // a placement names a worker that is not of the fleet
	WrongTags     Rule = "wrong-tags"     // the worker lacks a required tag, or its tags do not satisfy the selector
	RuledOut      Rule = "ruled-out"      // the task was not to run on this worker

	WrongResources Rule = "wrong-resources" // the worker has not what the task asks for, not even idle
	WrongDevices   Rule = "wrong-devices"   // the lease names other devices than the task can take
	OverAmount     Rule = "over-amount"     // running tasks take more of a resource, or of a device's memory, than there is
	DeviceTwice    Rule = "device-twice"    // a device that one running task has whole is taken by another
	NotAlone       Rule = "not-alone"       // something runs beside a task that has the whole worker
	GangInPart     Rule = "gang-in-part"    // of a gang some tasks were placed and others not
	NotDistinct    Rule = "not-distinct"    // two tasks of a gang on one worker, against its wish
	NotInfeasible  Rule = "not-infeasible"  // a task was called infeasible that a worker could take
	OutOfOrder     Rule = "out-of-order"    // a task that waited got its answer long after one that mattered less got a place

	WrongVictim  Rule = "wrong-victim"  // a task was preempted that must not be, or without a task of a higher class that preempts
	ToldTwice    Rule = "told-twice"    // a worker or a client got two notices of one preemption
	KilledEarly  Rule = "killed-early"  // a task was to be killed without a notice, or long before its grace was over
	WrongRequeue Rule = "wrong-requeue" // a client heard twice of the end of one lease, or of a task that did not ask to be requeued

	ReusedLease  Rule = "reused-lease"  // one lease id was granted for two tasks
	TwoLeases    Rule = "two-leases"    // a task of a client has two live leases
	NeverGranted Rule = "never-granted" // a lease began that no client was given
	WrongWorker  Rule = "wrong-worker"  // a lease began on another worker than its own
	BegunAgain   Rule = "begun-again"   // a lease began after it was over
	OverCapacity Rule = "over-capacity" // a worker holds more begun tasks than it has slots
	RefusedFull  Rule = "refused-full"  // a worker refused a granted lease for lack of a slot
	RevokedBegun Rule = "revoked-begun" // a worker gave a lease back that runs
	ToldBegun    Rule = "told-begun"    // the scheduler says begun of a lease that never began
	ToldEnded    Rule = "told-ended"    // the scheduler says ended of a lease that runs
	Forgotten    Rule = "forgotten"     // the scheduler's list of a worker is not what it runs
	Unanswered   Rule = "unanswered"    // a call was not answered in time
	Unexpected   Rule = "unexpected"    // an answer that no correct call can get
	NotDrained   Rule = "not-drained"   // slots stay taken after everything has ended
)

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{
		UnknownWorker, WrongTags, RuledOut, WrongResources, WrongDevices, OverAmount, DeviceTwice, NotAlone,
		GangInPart, NotDistinct, NotInfeasible, OutOfOrder, WrongVictim, ToldTwice, KilledEarly, WrongRequeue, ReusedLease, TwoLeases, NeverGranted, WrongWorker, BegunAgain, OverCapacity,
		RefusedFull, RevokedBegun, ToldBegun, ToldEnded, Forgotten, Unanswered, Unexpected, NotDrained,
	}
}

// Worker is what the judge knows of a worker.
type Worker struct {
	ID    string
	Tags  []string
	Slots int
	// Amounts are its resources by name, Devices the memories of its GPUs in MiB.
	Amounts map[string]int64
	Devices []int64
	// Heuristic: the worker speaks no leases, so its room is guessed.
	Heuristic bool
}

// Task names a task: the number of its client, and its own, which is not 0.
type Task struct {
	Client uint32
	Number uint64
}

// String is the task as violations show it.
func (t Task) String() string { return fmt.Sprintf("client %d task %d", t.Client, t.Number) }

// Violation is one broken rule.
type Violation struct {
	At     time.Duration `json:"at_ns"` // since the start of the run
	Rule   Rule          `json:"rule"`
	Detail string        `json:"detail"`
}

// String is one line: when, which rule, what.
func (v Violation) String() string {
	return fmt.Sprintf("%8.3fs %s: %s", v.At.Seconds(), v.Rule, v.Detail)
}

type state uint8

const (
	granted state = iota
	running
	over
)

// String is the state as violations show it.
func (s state) String() string { return [...]string{"granted", "running", "over"}[s] }

// lease is the account of one lease.
type lease struct {
	task        Task
	worker      int
	incarnation uint64 // of the worker, as the grant names it
	need        *Need
	devices     uint64
	state       state
	since       time.Duration // of the state
	began       bool

	yield  *Yield        // nil if it is not known
	warned time.Duration // when its worker got the notice of its preemption; 0: never
	grace  time.Duration // that it has then
	heard  bool          // its client heard so
	closed bool          // and how it ended
}

// worker is the account of one worker.
type worker struct {
	Worker
	incarnation uint64
	running     map[wire.LeaseID]bool
	taken       taken
}

// Judge is the account of a fleet. It is safe for concurrent use; a call costs
// about 0.3 us.
type Judge struct {
	mu         sync.Mutex // Guards everything below: the loops of a load test share one account.
	now        func() time.Duration
	report     func(Violation)
	workers    []worker
	byID       map[string]int
	leases     map[wire.LeaseID]lease
	tasks      map[Task]wire.LeaseID // the latest lease of each task that is not over
	waits      map[Task]*waiting
	lines      map[Wait]*line
	lately     []preemptor    // that were settled a moment ago, the oldest first
	over       []wire.LeaseID // in the order in which they ended
	remember   int            // how many of them are remembered
	forgotten  int            // of over, from its front
	violations []Violation
	count      int
	exceeded   int // begins on heuristic workers without a free slot
}

// New returns the account of a fleet that runs nothing. now reads the time of
// the run; report hears of each violation and may be nil.
func New(fleet []Worker, now func() time.Duration, report func(Violation)) *Judge {
	j := &Judge{
		now: now, report: report, remember: maxOver,
		workers: make([]worker, len(fleet)),
		byID:    make(map[string]int, len(fleet)),
		leases:  make(map[wire.LeaseID]lease),
		tasks:   make(map[Task]wire.LeaseID),
		waits:   make(map[Task]*waiting),
		lines:   make(map[Wait]*line),
	}
	for i, w := range fleet {
		j.workers[i] = worker{Worker: w, running: make(map[wire.LeaseID]bool),
			taken: taken{amounts: make(map[string]int64), devices: make([]deviceTaken, len(w.Devices))}}
		j.byID[w.ID] = i
	}
	return j
}

// Broken records a violation that was found outside: a call without an answer,
// an answer that makes no sense, a fleet that does not drain.
func (j *Judge) Broken(r Rule, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken(r, format, args...)
}

func (j *Judge) broken(r Rule, format string, args ...any) {
	j.count++
	if len(j.violations) >= maxViolations {
		return
	}
	v := Violation{At: j.now(), Rule: r, Detail: fmt.Sprintf(format, args...)}
	j.violations = append(j.violations, v)
	if j.report != nil {
		j.report(v)
	}
}

// Violations returns the first violations and the number of all.
func (j *Judge) Violations() ([]Violation, int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Violation(nil), j.violations...), j.count
}

// Exceeded returns how often a task began on a heuristic worker whose slots were
// all taken.
func (j *Judge) Exceeded() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.exceeded
}

// end moves a lease to over. Old ones are forgotten, the oldest first.
func (j *Judge) end(id wire.LeaseID, l lease) {
	if l.state == over {
		return
	}
	if l.state == running {
		delete(j.workers[l.worker].running, id)
		j.workers[l.worker].taken.add(&l, -1)
	}
	l.state, l.since = over, j.now()
	j.leases[id] = l
	if j.tasks[l.task] == id {
		delete(j.tasks, l.task)
	}
	j.over = append(j.over, id)
	if len(j.over)-j.forgotten > j.remember {
		delete(j.leases, j.over[j.forgotten])
		j.forgotten++
	}
	if j.forgotten > j.remember {
		j.over = append(j.over[:0], j.over[j.forgotten:]...)
		j.forgotten = 0
	}
}
