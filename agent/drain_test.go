package agent_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// drains starts a Drain and returns what it will return.
func drains(t *testing.T, a *agent.Agent) chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- a.Drain(ctx)
	}()
	return done
}

// flagged waits until a worker is listed with a flag.
func flagged(t *testing.T, c *client.Client, worker, flag string) {
	t.Helper()
	require.Eventually(t, func() bool {
		w, err := c.Worker(t.Context(), worker)
		return err == nil && slices.Contains(w.Info.Flags, flag)
	}, patience, 10*time.Millisecond, "%s is never %s", worker, flag)
}

func waits(t *testing.T, done chan error, why string) {
	t.Helper()
	select {
	case err := <-done:
		require.Fail(t, why, "Drain returned %v", err)
	case <-time.After(300 * time.Millisecond):
	}
}

// TestDrain: the agent waits for what runs and for what was granted and has not
// begun, over a restart of the scheduler as well, and leaves no cordon behind.
func TestDrain(t *testing.T) {
	s := serve(t, "", "")
	addr, httpAddr := s.Addr(), s.HTTPAddr()
	cfg := agent.Config{Scheduler: "dtask://" + addr, Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 3, TasksDieWithAgent: true}
	a, err := agent.Start(t.Context(), cfg)
	require.NoError(t, err)
	c, err := client.Dial(t.Context(), []string{addr}, nil)
	require.NoError(t, err)
	defer c.Close()
	runs, granted := schedule(t, c, "runs"), schedule(t, c, "granted")
	task, err := a.Begin(hand(t, runs), agent.Caller{})
	require.NoError(t, err)

	done := drains(t, a)
	flagged(t, c, "w1", "draining")
	require.True(t, a.Status().Draining)
	_, err = c.Schedule(t.Context(), client.Task{ID: "new"})
	require.ErrorIs(t, err, client.ErrUnavailable)
	require.NoError(t, task.End(wire.ReasonOK))
	waits(t, done, "a lease was granted and may begin")
	task, err = a.Begin(hand(t, granted), agent.Caller{})
	require.NoError(t, err, "what was granted before begins")
	waits(t, done, "a task runs")

	s.Kill()
	require.Eventually(t, func() bool { return !a.Status().Connected }, patience, time.Millisecond)
	serve(t, addr, httpAddr)
	flagged(t, c, "w1", "draining")
	_, err = c.Uncordon(t.Context(), "w1", "by mistake")
	require.NoError(t, err)
	require.NoError(t, task.End(wire.ReasonOK))
	require.NoError(t, <-done)
	flagged(t, c, "w1", "drained")
	require.NoError(t, a.Stop(t.Context()))
	require.ErrorIs(t, a.Drain(t.Context()), agent.ErrStopped)

	a, err = agent.Start(t.Context(), cfg)
	require.NoError(t, err)
	schedule(t, c, "another")
	require.NoError(t, a.Stop(t.Context()))
}

// TestADrainIsBounded: the time is over before the task.
func TestADrainIsBounded(t *testing.T) {
	s := serve(t, "", "")
	a, err := agent.Start(t.Context(), agent.Config{Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 1, TasksDieWithAgent: true})
	require.NoError(t, err)
	c, err := client.Dial(t.Context(), []string{s.Addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	_, err = a.Begin(hand(t, schedule(t, c, "task")), agent.Caller{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = a.Drain(ctx)
	require.ErrorIs(t, err, agent.ErrTasksRemain)
	require.ErrorContains(t, err, "1 of worker w1")
	require.NoError(t, a.Stop(t.Context()))
}

// TestADrainByHTTP: the worker says that it is full.
func TestADrainByHTTP(t *testing.T) {
	s := serve(t, "", "")
	a, err := agent.Start(t.Context(), agent.Config{Scheduler: "http://" + s.HTTPAddr(), Worker: "w1", Address: "h:1", Slots: 5, Heartbeat: 50 * time.Millisecond})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Online == 1 }, patience, 10*time.Millisecond)
	task, err := a.Begin(wire.Handover{Task: "task-001"}, agent.Caller{})
	require.NoError(t, err)
	done := drains(t, a)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Used == 5 }, patience, 10*time.Millisecond)
	waits(t, done, "a task runs")
	require.NoError(t, task.End(wire.ReasonOK))
	require.NoError(t, <-done)
	require.NoError(t, a.Stop(t.Context()))
}
