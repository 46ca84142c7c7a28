package client_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// placed is what a call in the background came to.
type placed struct {
	lease *client.Lease
	err   error
}

func background(call func() (*client.Lease, error)) <-chan placed {
	out := make(chan placed, 1)
	go func() {
		l, err := call()
		out <- placed{l, err}
	}()
	return out
}

// run hands a lease to the agent of its worker.
func run(t *testing.T, w *agent.Agent, l *client.Lease) *agent.Task {
	t.Helper()
	h, err := l.Hand()
	require.NoError(t, err)
	task, err := w.Begin(h, agent.Caller{})
	require.NoError(t, err)
	l.Began()
	return task
}

// TestRoundAndRoundWithTheRealScheduler: a task of low priority is preempted by
// three of high priority, one after the other, and comes back each time, before
// the task that came after it.
func TestRoundAndRoundWithTheRealScheduler(t *testing.T) {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.DiscardHandler)
	cfg.Sched.PreemptGrace = 60_000
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	w := startWorker(t, s.Addr(), 1)
	c, boss := dial(t, s.Addr()), dial(t, s.Addr())

	low, err := c.Schedule(t.Context(), client.Task{ID: "low", Priority: -1, OnPreempt: client.OnPreemptRequeue})
	require.NoError(t, err)
	runs := run(t, w, low)
	behind := background(func() (*client.Lease, error) {
		return c.Schedule(t.Context(), client.Task{ID: "behind", Priority: -1, Wait: time.Hour})
	})
	require.Eventually(t, func() bool { return stats(t, c).Counters["waiting"] == 1 }, patience, time.Millisecond)
	for _, id := range []string{"high-1", "high-2", "high-3"} {
		next := background(func() (*client.Lease, error) { return c.Requeued(t.Context(), low) })
		high := background(func() (*client.Lease, error) {
			return boss.Schedule(t.Context(), client.Task{ID: id, Preempt: true, Wait: time.Minute})
		})
		<-low.Preempted()
		<-runs.Preempted()
		require.InDelta(t, 60, low.Grace().Seconds(), 30)
		require.NoError(t, runs.End(wire.ReasonFailed)) // it has saved what it has
		got := <-high
		require.NoError(t, got.err)
		require.NoError(t, run(t, w, got.lease).End(wire.ReasonOK))
		back := <-next
		require.NoError(t, back.err)
		low, runs = back.lease, run(t, w, back.lease)
	}
	require.Empty(t, behind)
	next := background(func() (*client.Lease, error) { return c.Requeued(t.Context(), low) })
	require.NoError(t, runs.End(wire.ReasonOK))
	var over *client.EndedError
	require.ErrorAs(t, (<-next).err, &over)
	require.Equal(t, wire.ReasonOK, over.Reason)
	require.NoError(t, (<-behind).err)
	st := stats(t, c)
	require.EqualValues(t, 3, st.Counters["preempted"])
	require.EqualValues(t, 3, st.Counters["requeued"])
}
