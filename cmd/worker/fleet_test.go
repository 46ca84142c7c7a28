package main

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// realScheduler starts a scheduler on free ports.
func realScheduler(t *testing.T) *server.Server {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.MaxConnections = 64
	cfg.Sched.Heartbeat = 100
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	return s
}

// query asks the scheduler by the native protocol.
func query[M wire.Message](t *testing.T, s *server.Server, m wire.Message) M {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.DialConn(ctx, s.Addr(), &wire.Hello{Role: wire.RoleClient}, nil)
	require.NoError(t, err)
	defer c.Close()
	answered := make(chan M, 1)
	require.NoError(t, c.Go(m, func(m wire.Message, err error) {
		if got, ok := m.(M); ok {
			answered <- got
		}
	}))
	select {
	case m := <-answered:
		return m
	case <-ctx.Done():
		require.Fail(t, "no answer came")
		panic("unreachable")
	}
}

// totals returns the scheduler's totals.
func totals(t *testing.T, s *server.Server) *wire.Stats {
	return query[*wire.Stats](t, s, &wire.GetStats{})
}

// ready reports whether the one worker may be given tasks.
func ready(t *testing.T, s *server.Server) bool {
	rows := query[*wire.Workers](t, s, &wire.ListWorkers{}).Rows
	return len(rows) == 1 && rows[0].State == "online" && !slices.Contains(rows[0].Flags, "connecting")
}

// withSidecar launches a worker with a sidecar on a free port, waits until it is
// registered, and returns the sidecar's address.
func withSidecar(t *testing.T, s *server.Server, args ...string) (p *program, sidecar string) {
	t.Helper()
	p = launch(t, append([]string{"--sidecar=127.0.0.1:0", "--gpus=0"}, args...)...)
	at := regexp.MustCompile(`Sidecar at "([^"]+)"`)
	require.Eventually(t, func() bool {
		m := at.FindStringSubmatch(p.stderr())
		if m != nil {
			sidecar = m[1]
		}
		return m != nil && ready(t, s)
	}, patience, 10*time.Millisecond, p.stderr())
	return p, sidecar
}
