package agent_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

const patience = 15 * time.Second

// config is a scheduler on free ports.
func config(t *testing.T) server.Config {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr = ports.Addr(t), ports.Addr(t)
	cfg.MaxConnections = 64
	cfg.Sched.Heartbeat = 200
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// serve starts a scheduler; an address of "" takes ports that stay its own until
// the test ends.
func serve(t *testing.T, addr, httpAddr string) *server.Server {
	cfg := config(t)
	if addr != "" {
		cfg.Addr, cfg.HTTPAddr = addr, httpAddr
	}
	return serveWith(t, cfg)
}

func serveWith(t *testing.T, cfg server.Config) *server.Server {
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	return s
}

// stats asks the scheduler for its totals.
func stats(t *testing.T, addr string) *wire.Stats {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.DialConn(ctx, addr, &wire.Hello{Role: wire.RoleClient}, nil)
	require.NoError(t, err)
	defer c.Close()
	got := make(chan *wire.Stats, 1)
	require.NoError(t, c.Go(&wire.GetStats{}, func(m wire.Message, err error) {
		if s, ok := m.(*wire.Stats); ok {
			copied := *s
			got <- &copied
		}
	}))
	select {
	case s := <-got:
		return s
	case <-ctx.Done():
		require.Fail(t, "no stats came")
		return nil
	}
}

// schedule gets a lease, once the worker is there.
func schedule(t *testing.T, c *client.Client, task string) *client.Lease {
	t.Helper()
	var l *client.Lease
	require.Eventually(t, func() (ok bool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		l, err = c.Schedule(ctx, client.Task{ID: task, Tags: []string{"cpu"}})
		return err == nil
	}, patience, 10*time.Millisecond)
	return l
}

func hand(t *testing.T, l *client.Lease) wire.Handover {
	t.Helper()
	h, err := l.Hand()
	require.NoError(t, err)
	return h
}

// TestWithAScheduler runs a task from schedule to its end on a real scheduler,
// and another one across a restart of that scheduler.
func TestWithAScheduler(t *testing.T) {
	s := serve(t, "", "")
	addr, httpAddr := s.Addr(), s.HTTPAddr()
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + addr, Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 2, StateDir: t.TempDir(),
	})
	require.NoError(t, err)
	c, err := client.Dial(t.Context(), []string{addr}, nil)
	require.NoError(t, err)
	defer c.Close()

	l := schedule(t, c, "task-1")
	require.Equal(t, "w1", l.Worker())
	task, err := a.Begin(hand(t, l), agent.Caller{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stats(t, addr).Begun == 1 }, patience, 10*time.Millisecond)
	require.NoError(t, task.End(wire.ReasonOK))
	require.Eventually(t, func() bool { return a.Status().Unacknowledged == 0 }, patience, time.Millisecond)
	require.Zero(t, stats(t, addr).Begun)

	l = schedule(t, c, "task-2")
	task, err = a.Begin(hand(t, l), agent.Caller{})
	require.NoError(t, err)
	before := a.Status().Grantor
	s.Kill()
	require.Eventually(t, func() bool { return !a.Status().Connected }, patience, time.Millisecond)
	serve(t, addr, httpAddr)
	require.Eventually(t, func() bool { return a.Status().Connected }, patience, time.Millisecond)
	require.Greater(t, a.Status().Grantor.Epoch, before.Epoch)
	require.EqualValues(t, 1, stats(t, addr).Begun, "the new scheduler learnt of what runs")
	require.NoError(t, task.End(wire.ReasonOK))
	require.Eventually(t, func() bool { return stats(t, addr).Begun == 0 }, patience, 10*time.Millisecond)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+httpAddr+"/api/v1/workers/w1", nil)
	require.NoError(t, err)
	old := a.Status().Incarnation
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Eventually(t, func() bool { return a.Status().Incarnation != old && a.Status().Connected }, patience, time.Millisecond,
		"a worker that was removed comes back as a new incarnation")

	require.NoError(t, a.Stop(t.Context()))
	require.Zero(t, stats(t, addr).Online)
	require.Zero(t, a.Status().Refused)
}

// TestWithAnHTTPScheduler runs the same side by the HTTP API.
// TestTheSecondAgentWithAnIDIsRefused starts two agents with one worker id: the
// first and its task go on.
func TestTheSecondAgentWithAnIDIsRefused(t *testing.T) {
	s := serve(t, "", "")
	start := func(address string) *agent.Agent {
		a, err := agent.Start(t.Context(), agent.Config{
			Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: address, Tags: []string{"cpu"}, Slots: 2, TasksDieWithAgent: true,
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_ = a.Stop(ctx)
		})
		return a
	}
	first := start("h:1")
	c, err := client.Dial(t.Context(), []string{s.Addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	task, err := first.Begin(hand(t, schedule(t, c, "task-1")), agent.Caller{})
	require.NoError(t, err)
	incarnation := first.Status().Incarnation

	second := start("h:2")
	require.Eventually(t, func() bool {
		return strings.Contains(second.Status().LastError, "the worker id w1 belongs to the agent at h:1")
	}, patience, time.Millisecond)
	require.False(t, second.Status().Connected)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Begun == 1 }, patience, 10*time.Millisecond)
	require.NotZero(t, stats(t, s.Addr()).Counters["identity_conflicts"])
	require.NoError(t, task.End(wire.ReasonOK))
	require.Equal(t, incarnation, first.Status().Incarnation)
	require.Zero(t, stats(t, s.Addr()).Counters["superseded"])
}

func TestWithAnHTTPScheduler(t *testing.T) {
	s := serve(t, "", "")
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "http://" + s.HTTPAddr() + "/", Worker: "w 1", Address: "h:1", Tags: []string{"cpu"}, Slots: 2,
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Online == 1 }, patience, 10*time.Millisecond)
	task, err := a.Begin(wire.Handover{Task: "task-001"}, agent.Caller{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Used == 1 }, patience, 10*time.Millisecond)
	require.NoError(t, task.End(wire.ReasonOK))
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Used == 0 }, patience, 10*time.Millisecond)
	require.NoError(t, a.Stop(t.Context()))
	require.Zero(t, stats(t, s.Addr()).Online)
}
