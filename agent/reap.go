package agent

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// How the processes of a task are looked at and ended.
const (
	// reapGrace is how long the processes that a task left behind have between
	// SIGTERM and SIGKILL.
	reapGrace = 2 * time.Second
	// reapInterval is how soon processes that are being ended are looked at again,
	// at first; each look without a change doubles it up to watchInterval.
	reapInterval = 20 * time.Millisecond
	// endTimeout bounds how long Stop waits for the processes that it ends.
	endTimeout = 5 * time.Second
	// lookShare bounds the time for looking at all processes of the machine: one
	// part in so many.
	lookShare = 50
)

// finish gives the task its outcome and has its processes ended. Its lease is
// over when none of them lives. One that was preempted keeps its grace. The lock
// is held.
func (t *Task) finish(outcome wire.Reason, now time.Time) {
	if t.ending != wire.ReasonNone {
		return
	}
	t.ending, t.reapAt = outcome, now.Add(reapGrace)
	if t.killAt.After(t.reapAt) {
		t.reapAt = t.killAt
	}
	t.agent.poke()
}

// poke has the tasks looked at now.
func (a *Agent) poke() {
	select {
	case a.poked <- struct{}{}:
	default:
	}
}

// watch ends the tasks whose processes died or whose keep-alives stopped, and
// the processes of tasks that are over.
func (a *Agent) watch(ctx context.Context) {
	pause := watchInterval
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.poked:
			timer.Stop()
			pause = reapInterval
		case <-timer.C:
			pause = min(2*pause, watchInterval)
		}
		if !a.sweep(time.Now()) {
			pause = watchInterval
		}
	}
}

// sweep looks at every task once, and reports whether one is being ended.
func (a *Agent) sweep(now time.Time) (busy bool) {
	a.reaping.Lock()
	defer a.reaping.Unlock()
	a.mu.Lock()
	apart, urgent := a.apart()
	a.mu.Unlock()
	if a.mustLook(apart, urgent) {
		a.reap(apart, now)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, t := range a.tasks {
		if t.deadline.IsZero() || !now.After(t.deadline) || t.ending != wire.ReasonNone {
			continue
		}
		a.log.Warn("a task is lost: its keep-alive is late", "task", t.handover.Task, "pid", t.watch.PID)
		if apart[t] != nil && !t.shared() {
			t.finish(wire.ReasonLost, now)
		} else {
			_ = a.end(k, wire.ReasonLost)
		}
	}
	_, busy = a.apart()
	return busy
}

// apart returns the tasks that run in processes of their own, and whether one of
// them is being ended. The lock is held.
func (a *Agent) apart() (tasks map[*Task]*tree, urgent bool) {
	tasks = make(map[*Task]*tree)
	for _, t := range a.tasks {
		if t.watch.PID != 0 && !t.inProcess() {
			tasks[t] = t.tree
			urgent = urgent || t.ending != wire.ReasonNone || closed(t.preempted)
		}
	}
	return tasks, urgent
}

// mustLook reports whether all processes of the machine are to be looked at:
// because a task is being ended or its process is dead, or to learn what the
// tasks have started. a.reaping is held.
func (a *Agent) mustLook(tasks map[*Task]*tree, urgent bool) bool {
	if len(tasks) == 0 {
		return false
	}
	if urgent || now() >= a.nextLook {
		return true
	}
	for _, tree := range tasks {
		if tree.root.dead() {
			return true
		}
	}
	return false
}

// reap looks at the processes of tasks, ends the tasks that have none any more,
// and signals those that must go. a.reaping is held.
func (a *Agent) reap(tasks map[*Task]*tree, at time.Time) {
	from := now()
	s, err := look()
	took := now() - from
	a.nextLook = now() + lookShare*took
	if err != nil {
		if !a.blind {
			a.log.Warn("the processes of the machine could not be read", "error", err)
		}
		a.blind = true
		return
	}
	a.blind = false
	roots := make(map[process]bool)
	for _, tree := range tasks {
		roots[tree.root] = true
	}
	for t, tree := range tasks {
		members := tree.members(s, roots)
		a.mu.Lock()
		signal := t.judge(members, s.lives(tree.root), at)
		a.mu.Unlock()
		if signal == nil {
			continue
		}
		if err := signal(tree, members, roots); err != nil {
			a.log.Warn("a process of a task could not be signalled", "task", t.handover.Task, "pid", tree.root.PID, "error", err)
		}
	}
}

// signal sends something to the processes of a task.
type signal func(t *tree, members []process, others map[process]bool) error

// judge decides about a task whose living processes are known: it ends it, or
// says what they are to be sent. The lock is held.
func (t *Task) judge(members []process, alive bool, at time.Time) signal {
	a := t.agent
	k := keyOf(&t.handover)
	if a.tasks[k] != t {
		return nil
	}
	if !alive && t.ending == wire.ReasonNone {
		a.log.Warn("a task is lost: its process is gone", "task", t.handover.Task, "pid", t.watch.PID, "left", len(members))
		t.finish(wire.ReasonLost, at)
	}
	if len(members) == 0 {
		if t.ending != wire.ReasonNone && t.tree.gone() {
			_ = a.end(k, t.ending)
		}
		return nil
	}
	switch {
	case closed(t.killed) || t.ending != wire.ReasonNone && !at.Before(t.reapAt):
		return (*tree).kill
	case t.told || t.ending == wire.ReasonNone && !closed(t.preempted):
		return nil
	}
	t.told = true
	return func(_ *tree, members []process, _ map[process]bool) error { return terminate(members) }
}

// Processes returns the ids of the living processes that End ends: the task's
// own, their descendants, and the members of the groups that they lead. There
// are none for a task inside this process, for one that lives by keep-alives
// alone, and for one whose process runs another task as well or started the
// agent.
func (t *Task) Processes() ([]int, error) {
	a := t.agent
	a.reaping.Lock()
	defer a.reaping.Unlock()
	a.mu.Lock()
	tasks, _ := a.apart()
	a.mu.Unlock()
	tree := tasks[t]
	if tree == nil {
		return nil, nil
	}
	s, err := look()
	if err != nil {
		return nil, err
	}
	roots := make(map[process]bool)
	for other, its := range tasks {
		if other != t && its.root == tree.root {
			return nil, nil
		}
		roots[its.root] = true
	}
	if s.lives(tree.root) && s.above(tree.root.PID, os.Getpid()) {
		return nil, nil
	}
	var pids []int
	for _, p := range tree.members(s, roots) {
		pids = append(pids, p.PID)
	}
	return pids, nil
}

// endWhole ends a task with its processes, at once if none lives.
func (a *Agent) endWhole(k key, outcome wire.Reason) error {
	a.mu.Lock()
	t := a.tasks[k]
	a.mu.Unlock()
	if !outcome.IsOutcome() {
		return ErrOutcome
	}
	if t == nil {
		return ErrNotRunning
	}
	pids, err := t.Processes()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.tasks[k] != t:
		return ErrNotRunning
	case len(pids) == 0:
		return a.end(k, outcome)
	}
	t.finish(outcome, time.Now())
	return nil
}

// endAll ends the tasks that do not outlive the agent, and returns when nothing
// of them runs, or endTimeout is over.
func (a *Agent) endAll() {
	for _, t := range a.Tasks() {
		if a.cfg.TasksDieWithAgent || t.inProcess() {
			if err := a.endWhole(keyOf(&t.handover), wire.ReasonLost); err != nil && !errors.Is(err, ErrNotRunning) {
				a.log.Warn("a task could not be ended", "task", t.handover.Task, "error", err)
			}
		}
	}
	a.hurry(time.Now().Add(reapGrace))
	for end := time.Now().Add(endTimeout); a.finishing() && time.Now().Before(end); {
		if a.sweep(time.Now()) {
			time.Sleep(reapInterval)
		}
	}
}

// hurry has what is being ended killed by then.
func (a *Agent) hurry(by time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tasks {
		if t.reapAt.After(by) {
			t.reapAt = by
		}
	}
}

// finishing reports whether a task has its outcome and something of it runs.
func (a *Agent) finishing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tasks {
		if t.ending != wire.ReasonNone {
			return true
		}
	}
	return false
}
