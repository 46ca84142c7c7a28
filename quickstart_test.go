package house

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// TestQuickstartProgram runs the Go code of the quickstart against a real
// scheduler, on a port that is free.
func TestQuickstartProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.NewTextHandler(io.Discard, nil))
	srv, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, srv.Start())
	defer srv.Kill()

	a, err := agent.Start(ctx, agent.Config{
		Scheduler: "dtask://" + srv.Addr(), Worker: "worker-002", Address: "localhost:9002",
		Tags: []string{"gpu"}, Slots: 8, TasksDieWithAgent: true,
		Devices: []wire.Device{{Model: "A100", Memory: 40 << 10}},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return a.Status().Connected }, 10*time.Second, 5*time.Millisecond)
	c, err := client.Dial(ctx, []string{srv.Addr()}, nil)
	require.NoError(t, err)
	var lease *client.Lease
	require.Eventually(t, func() bool {
		lease, err = c.Schedule(ctx, client.Task{ID: "task-003", Tags: []string{"gpu"}, Resources: map[string]int64{"gpu": 1}})
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	handover, err := lease.Hand()
	require.NoError(t, err)
	task, err := a.Begin(handover, agent.Caller{})
	require.NoError(t, err)
	err = task.End(wire.ReasonOK)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, a.Stop(ctx))
}

// TestQuickstartProgramIsTheOneShown: each line of Go in the quickstart and the
// README is a line of the test above.
func TestQuickstartProgramIsTheOneShown(t *testing.T) {
	source := squeeze(read(t, "quickstart_test.go"))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```")
	for _, file := range []string{"README.md", "docs/quickstart.md"} {
		found := blocks.FindAllStringSubmatch(read(t, file), -1)
		require.NotEmpty(t, found)
		for _, block := range found {
			for line := range strings.SplitSeq(block[1], "\n") {
				code, _, _ := strings.Cut(line, " // ")
				code = strings.NewReplacer(`"dtask://127.0.0.1:8081"`, `"dtask://" + srv.Addr()`,
					`"127.0.0.1:8081"`, "srv.Addr()", "lease, err := c.Schedule", "lease, err = c.Schedule").Replace(code)
				require.Contains(t, source, squeeze(code), "%s shows %q", file, line)
			}
		}
	}
}

// squeeze makes texts comparable that differ in white space alone.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
