package agent_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// ends waits for a channel to be closed.
func ends(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.Fail(t, what)
	}
}

// runs starts a program and reaps it.
func runs(t *testing.T, command string) (pid int, over chan error) {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", command)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = out.Read(make([]byte, 1)) // it says that its traps are set
	require.NoError(t, err)
	over = make(chan error, 1)
	go func() { over <- c.Wait() }()
	t.Cleanup(func() { c.Process.Kill() })
	return c.Process.Pid, over
}

// TestPreempted: at the deadline of a drain every task gets its notice, and
// those that go on are killed. Their room returns when they are over, no sooner.
func TestPreempted(t *testing.T) {
	cfg := config(t)
	cfg.Sched.PreemptGrace = 1500
	s := serveWith(t, cfg)
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 4, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	c, err := client.Dial(t.Context(), []string{s.Addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	begin := func(name string, caller agent.Caller) *agent.Task {
		task, err := a.Begin(hand(t, schedule(t, c, name)), caller)
		require.NoError(t, err)
		return task
	}
	obeys, obeyed := runs(t, `trap 'exit 7' TERM; echo x; while :; do sleep 0.05; done`)
	defies, defied := runs(t, `trap '' TERM; echo x; while :; do sleep 0.05; done`)
	obedient, defiant := begin("obedient", agent.Caller{PID: obeys}), begin("defiant", agent.Caller{PID: defies})
	here, alive := begin("here", agent.Caller{}), begin("alive", agent.Caller{KeepAlive: time.Minute})

	_, err = c.DrainWithin(t.Context(), "w1", "driver", time.Millisecond)
	require.NoError(t, err)
	for _, task := range []*agent.Task{obedient, defiant, here, alive} {
		ends(t, task.Preempted(), "a task is not told")
	}
	require.ErrorContains(t, <-obeyed, "exit status 7", "SIGTERM")
	require.NoError(t, alive.KeepAlive(), "the grace is its own")
	require.True(t, here.Status().Preempted)
	require.InDelta(t, 1.5, here.Grace().Seconds(), 1.5)
	ends(t, obedient.Over(), "the dead program's task goes on")
	select {
	case <-defiant.Killed():
		require.Fail(t, "killed within its grace")
	default:
	}
	ends(t, defiant.Killed(), "nobody is killed")
	require.ErrorContains(t, <-defied, "killed")
	ends(t, defiant.Over(), "the killed program's task goes on")
	ends(t, here.Killed(), "the task in this process is not told")
	ends(t, alive.Killed(), "the task with keep-alives is not told")
	require.ErrorIs(t, alive.KeepAlive(), agent.ErrPreempted)
	require.EqualValues(t, 2, stats(t, s.Addr()).Begun, "what is not over keeps its room")
	require.NoError(t, alive.End(wire.ReasonFailed))
	require.NoError(t, here.End(wire.ReasonFailed))
	flagged(t, c, "w1", "drained")
	require.NoError(t, a.Stop(t.Context()))
}

// TestAWorkerTellsTheNextSchedulerWhoseRoomMayBeTaken: a scheduler that was
// started anew knows by the worker's list alone that one of two tasks of the
// same priority must not be preempted, and that the other may be.
func TestAWorkerTellsTheNextSchedulerWhoseRoomMayBeTaken(t *testing.T) {
	cfg := config(t)
	cfg.Sched.PreemptGrace = 60_000
	s := serveWith(t, cfg)
	cfg.Addr, cfg.HTTPAddr = s.Addr(), s.HTTPAddr()
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 2, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	c, err := client.Dial(t.Context(), []string{s.Addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Release(t.Context(), schedule(t, c, "first"))) // the worker is there
	tasks := map[client.OnPreempt]*agent.Task{}
	for _, on := range []client.OnPreempt{client.OnPreemptEnd, client.OnPreemptNever} {
		l, err := c.Schedule(t.Context(), client.Task{ID: "t-" + on.String(), OnPreempt: on})
		require.NoError(t, err)
		tasks[on], err = a.Begin(hand(t, l), agent.Caller{})
		require.NoError(t, err)
	}
	s.Kill()
	require.Eventually(t, func() bool { return !a.Status().Connected }, patience, time.Millisecond)
	s = serveWith(t, cfg)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Begun == 2 }, patience, 10*time.Millisecond)

	high := make(chan error, 1)
	go func() {
		_, err := c.Schedule(t.Context(), client.Task{ID: "high", Priority: 1, Preempt: true, Wait: time.Minute})
		high <- err
	}()
	ends(t, tasks[client.OnPreemptEnd].Preempted(), "nobody makes room")
	require.NoError(t, tasks[client.OnPreemptEnd].End(wire.ReasonFailed))
	require.NoError(t, <-high)
	require.False(t, tasks[client.OnPreemptNever].Status().Preempted)
	require.NoError(t, a.Stop(t.Context()))
}
