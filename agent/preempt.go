package agent

import (
	"errors"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// ErrPreempted says that a task was preempted and its grace is over.
var ErrPreempted = errors.New("agent: the task was preempted and must be over")

// Preempted is closed when the scheduler wants the room of the task back: it
// should save what it has and End, within Grace. If it was begun with the id of
// another process, the task's Processes are sent SIGTERM then, and SIGKILL when
// the scheduler says that the grace is over.
func (t *Task) Preempted() <-chan struct{} { return t.preempted }

// Killed is closed when the grace of a preempted task is over. A task inside
// this process must be ended by its caller; the keep-alives of one that
// lives by them are refused with ErrPreempted from here on.
func (t *Task) Killed() <-chan struct{} { return t.killed }

// Grace returns how long a preempted task may go on; 0 for others, and when the
// time is over.
func (t *Task) Grace() time.Duration {
	t.agent.mu.Lock()
	defer t.agent.mu.Unlock()
	return t.grace()
}

// grace is Grace; the agent's lock is held.
func (t *Task) grace() time.Duration {
	if t.killAt.IsZero() {
		return 0
	}
	return max(time.Until(t.killAt), 0)
}

// closed reports whether a channel that carries nothing is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// preempt reads the scheduler's preempt message for a task. The lock is
// held. What the worker does not run, it does not have to end.
func (n *native) preempt(m *wire.Preempt) {
	a := n.agent
	t := a.tasks[key{lease: m.Lease}]
	if m.Handle != n.ledger.Handle() || t == nil {
		return
	}
	grace := time.Duration(m.GraceMS) * time.Millisecond
	if !closed(t.preempted) {
		a.log.Warn("a task is preempted", "task", t.handover.Task, "grace", grace, "reason", m.Reason)
		t.killAt = time.Now().Add(grace)
		close(t.preempted)
	}
	a.poke()
	if grace > 0 {
		return
	}
	if !closed(t.killed) {
		a.log.Warn("a preempted task is killed", "task", t.handover.Task, "pid", t.watch.PID)
		close(t.killed)
	}
}
