package agent

import (
	"crypto/rand"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Caller identifies the caller of a begin, and how the agent notices that the task is
// dead: by the process it runs in, or by keep-alives that fail to come. The
// zero Caller is a task inside this very process.
type Caller struct {
	// Token names the caller: the one that knows it may begin the same lease
	// again, and gets the task that runs. Empty means a random one, so that
	// every later begin is refused.
	Token string
	// PID is the process that the task runs in; it must be alive.
	PID int
	// KeepAlive is the longest time between two calls of Task.KeepAlive; 0 means
	// that none are needed.
	KeepAlive time.Duration
}

// key names a task: by its lease, or by its task id if an HTTP scheduler placed
// it without one.
type key struct {
	lease wire.LeaseID
	task  string
}

func keyOf(h *wire.Handover) key {
	if h.Lease.IsZero() {
		return key{task: h.Task}
	}
	return key{lease: h.Lease}
}

// watch is how a task's life is observed, in the form that is stored.
type watch struct {
	Token string `json:"token"`
	process
	Here      bool          `json:"here,omitempty"` // the process is the agent's own
	KeepAlive time.Duration `json:"keep_alive,omitempty"`
	Begun     time.Time     `json:"begun,omitzero"` // for display
}

// watch resolves what the caller said.
func (c Caller) watch() (watch, error) {
	w := watch{Token: c.Token, KeepAlive: c.KeepAlive, Begun: time.Now()}
	if w.Token == "" {
		w.Token = rand.Text()
	}
	if c.PID == 0 {
		if c.KeepAlive == 0 {
			w.process, w.Here = self(), true
		}
		return w, nil
	}
	p, err := identify(c.PID)
	w.process = p
	return w, err
}

// Task is one task that runs on the worker. Its methods are safe for concurrent
// use.
type Task struct {
	agent    *Agent
	handover wire.Handover

	// Guarded by the agent's lock.
	watch    watch
	deadline time.Time // of the next keep-alive; zero without them
	over     chan struct{}

	preempted, killed chan struct{}
	killAt            time.Time // when a preempted task is killed; zero for others

	tree   *tree       // its processes; what is in it is guarded by the agent's reaping
	told   bool        // they were sent SIGTERM
	ending wire.Reason // the outcome, while they are being ended; ReasonNone before
	reapAt time.Time   // when they are killed then
}

// Handover returns what the task was begun with.
func (t *Task) Handover() wire.Handover { return t.handover }

// TaskStatus is how a task is watched.
type TaskStatus struct {
	Begun     time.Time     // the time of day, maybe by an earlier agent
	PID       int           // of the task's process; 0: keep-alives alone
	KeepAlive time.Duration // the longest time between two keep-alives; 0: none are needed
	Left      time.Duration // until the next one is due
	Preempted bool          // it is preempted
	Grace     time.Duration // how long it may go on then
	Ending    bool          // it has its outcome, and its processes are being ended
}

// Status returns how the task is watched.
func (t *Task) Status() TaskStatus {
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	s := TaskStatus{Begun: t.watch.Begun, PID: t.watch.PID, KeepAlive: t.watch.KeepAlive}
	if !t.deadline.IsZero() {
		s.Left = max(time.Until(t.deadline), 0)
	}
	s.Preempted, s.Grace, s.Ending = closed(t.preempted), t.grace(), t.ending != wire.ReasonNone
	return s
}

// Over is closed when the task has ended, with all its processes: by End, or
// because its process died or its keep-alives stopped.
func (t *Task) Over() <-chan struct{} { return t.over }

// End reports the outcome of the task: ReasonOK, ReasonFailed, ReasonRefused or
// ReasonLost. The slot is free when it returns; the report goes out at once,
// or on the next connection. ErrNotRunning says that it has ended before.
//
// If Processes of the task live, they are sent SIGTERM, and SIGKILL two seconds
// later. Then the slot is free, and Over closed, when the last of them is gone.
func (t *Task) End(outcome wire.Reason) error {
	return t.agent.endWhole(keyOf(&t.handover), outcome)
}

// Leave is End for a task whose processes go on without the lease: one that
// reports its own end, or a process that runs one task after the other.
func (t *Task) Leave(outcome wire.Reason) error {
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	if t.ending != wire.ReasonNone {
		return ErrNotRunning
	}
	return t.agent.end(keyOf(&t.handover), outcome)
}

// KeepAlive puts the end of a task that was begun with Caller.KeepAlive off for
// that time. ErrNotRunning says that it came too late, ErrPreempted that the task
// was preempted and its grace is over.
func (t *Task) KeepAlive() error {
	a := t.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tasks[keyOf(&t.handover)] != t || t.ending != wire.ReasonNone {
		return ErrNotRunning
	}
	if closed(t.killed) {
		return ErrPreempted
	}
	t.touch(time.Now())
	return nil
}

// touch sets the next deadline; the agent's lock is held.
func (t *Task) touch(now time.Time) {
	if t.watch.KeepAlive > 0 {
		t.deadline = now.Add(t.watch.KeepAlive)
	}
}

// inProcess reports whether the task lives in this very process.
func (t *Task) inProcess() bool { return t.watch.PID != 0 && t.watch.process == self() }

// shared reports whether another task runs in the same process; the agent's lock
// is held.
func (t *Task) shared() bool {
	for _, other := range t.agent.tasks {
		if other != t && other.watch.process == t.watch.process {
			return true
		}
	}
	return false
}
