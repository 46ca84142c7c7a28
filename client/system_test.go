package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// Tests against the real scheduler and agent.

const patience = 20 * time.Second

func startServer(t *testing.T, addr string, startTTL sched.Time) *server.Server {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = addr, "", slog.New(slog.DiscardHandler)
	cfg.Sched.StartTTL = startTTL
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	return s
}

func startWorker(t *testing.T, addr string, slots uint32) *agent.Agent {
	w, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + addr, Worker: "w1", Address: "h:1", Slots: slots, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Stop(context.Background()) })
	waitEligible(t.Context(), addr)
	return w
}

func dial(t *testing.T, addr string) *client.Client {
	c, err := client.Dial(t.Context(), []string{addr}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func stats(t *testing.T, c *client.Client) *wire.Stats {
	s, err := c.Stats(t.Context())
	require.NoError(t, err)
	return s
}

// startTTL is short, and long enough for a machine that is busy with other
// tests, in milliseconds.
const startTTL = 1_000

func TestRenewalsKeepALeaseOfTheRealScheduler(t *testing.T) {
	t.Parallel()
	s := startServer(t, "127.0.0.1:0", startTTL)
	w := startWorker(t, s.Addr(), 1)
	c := dial(t, s.Addr())
	kept, err := c.Schedule(t.Context(), client.Task{ID: "kept"})
	require.NoError(t, err)
	granted := time.Now()
	require.Eventually(t, func() bool { return time.Since(granted) > 2*startTTL*time.Millisecond }, patience, 10*time.Millisecond)
	require.NoError(t, kept.Err())
	require.Equal(t, uint32(1), stats(t, c).Granted)

	h, err := kept.Hand()
	require.NoError(t, err)
	task, err := w.Begin(h, agent.Caller{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stats(t, c).Begun == 1 }, patience, time.Millisecond)
	require.ErrorIs(t, c.Release(t.Context(), kept), client.ErrBegun)
	require.NoError(t, task.End(wire.ReasonOK))
	require.Eventually(t, func() bool { return stats(t, c).Used == 0 }, patience, time.Millisecond)
}

func TestClosedClientsLeaseGoesBack(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", 90)
	startWorker(t, s.Addr(), 1)
	gone := dial(t, s.Addr())
	_, err := gone.Schedule(t.Context(), client.Task{ID: "t1"})
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	c := dial(t, s.Addr())
	require.Eventually(t, func() bool { return stats(t, c).Used == 0 }, patience, time.Millisecond)
}

func TestARestartedSchedulerForgetsWhatHasNotBegun(t *testing.T) {
	first := startServer(t, ports.Addr(t), 90)
	startWorker(t, first.Addr(), 2)
	c := dial(t, first.Addr())
	l, err := c.Schedule(t.Context(), client.Task{ID: "t1"})
	require.NoError(t, err)
	lost := l.Lost()

	first.Kill()
	second := startServer(t, first.Addr(), 90)
	require.Equal(t, first.Addr(), second.Addr())
	select {
	case <-lost:
	case <-time.After(patience):
		require.Fail(t, "the lease was not reported as lost")
	}
	require.ErrorIs(t, l.Err(), client.ErrLost)

	// The same task gets a new lease from the new scheduler.
	waitEligible(t.Context(), second.Addr())
	again, err := c.Schedule(t.Context(), client.Task{ID: "t1"})
	require.NoError(t, err)
	require.NotEqual(t, l.ID(), again.ID())
}

func TestNothingIsLeftAfterManyCalls(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", 10_000)
	startWorker(t, s.Addr(), 8)
	c := dial(t, s.Addr())
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%4)*200*time.Microsecond)
				l, err := c.Schedule(ctx, client.Task{ID: fmt.Sprintf("t-%d-%d", g, i)})
				cancel()
				if err == nil {
					err = c.Release(t.Context(), l)
				}
				if err != nil && !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { return stats(t, c).Used == 0 }, patience, time.Millisecond)
}

// BenchmarkRealScheduler is schedule and release through the whole system, many
// callers on one connection.
func BenchmarkRealScheduler(b *testing.B) {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(b, err)
	require.NoError(b, s.Start())
	b.Cleanup(s.Kill)
	w, err := agent.Start(b.Context(), agent.Config{Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "h:1", Slots: 1000, TasksDieWithAgent: true})
	require.NoError(b, err)
	b.Cleanup(func() { _ = w.Stop(context.Background()) })
	waitEligible(b.Context(), s.Addr())
	c, err := client.Dial(b.Context(), []string{s.Addr()}, nil)
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })

	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := c.Schedule(b.Context(), client.Task{ID: "t" + strconv.FormatInt(n.Add(1), 10)})
			if err == nil {
				err = c.Release(b.Context(), l)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkConnections is the same load on one, two and four connections, each
// with a client of its own: whether a pool would help.
func BenchmarkConnections(b *testing.B) {
	for _, conns := range []int{1, 2, 4} {
		for _, callers := range []int{64, 1024} {
			b.Run(fmt.Sprintf("conns=%d/callers=%d", conns, callers), func(b *testing.B) { benchConnections(b, conns, callers) })
		}
	}
}

func benchConnections(b *testing.B, conns, callers int) {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(b, err)
	require.NoError(b, s.Start())
	b.Cleanup(s.Kill)
	w, err := agent.Start(b.Context(), agent.Config{Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "h:1", Slots: 4096, TasksDieWithAgent: true})
	require.NoError(b, err)
	b.Cleanup(func() { _ = w.Stop(context.Background()) })
	waitEligible(b.Context(), s.Addr())
	pool := make([]*client.Client, conns)
	for i := range pool {
		pool[i], err = client.Dial(b.Context(), []string{s.Addr()}, nil)
		require.NoError(b, err)
		b.Cleanup(func() { pool[i].Close() })
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range callers {
		c, n := pool[i%conns], 0
		all.Go(func() {
			for ; left.Add(-1) >= 0; n++ {
				l, err := c.Schedule(b.Context(), client.Task{ID: fmt.Sprintf("t%d-%d", i, n)})
				if err == nil {
					err = c.Release(b.Context(), l)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
