package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestASignalDrains: the worker that is told to stop waits for its task, whose
// program goes on to use the sidecar, and takes nothing new.
func TestASignalDrains(t *testing.T) {
	t.Parallel()
	s := realScheduler(t)
	p, at := withSidecar(t, s, "--id=worker-001", "--scheduler=dtask://"+s.Addr(), "--tasks-die-with-agent", "--drain-timeout=1m")
	base := "http://" + s.HTTPAddr() + "/api/v1"
	lease := post(t, base+"/schedule", `{"task_id":"task-1"}`)
	post(t, "http://"+at+"/begin?keepalive_ms=60000", lease)

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	flags := func() []string {
		return query[*wire.Worker](t, s, &wire.GetWorker{ID: "worker-001"}).Info.Flags
	}
	require.Eventually(t, func() bool { return len(flags()) == 2 }, patience, 10*time.Millisecond)
	require.Equal(t, []string{"cordoned", "draining"}, flags())
	require.Contains(t, narrow(printed(t, "-sidecar", at)), "connected, draining\n")
	post(t, "http://"+at+"/end?outcome=ok", lease)
	require.NoError(t, p.cmd.Wait())
	require.Contains(t, p.stderr(), "Worker drained")
	require.Equal(t, wire.ReasonOK, query[*wire.EndedLeases](t, s, &wire.ListEnded{Task: "task-1"}).Rows[0].Reason)
	require.Empty(t, query[*wire.Workers](t, s, &wire.ListWorkers{}).Rows, "deregistered")
}

// TestASecondSignalEndsTheDrain: whoever does not want to wait need not.
func TestASecondSignalEndsTheDrain(t *testing.T) {
	t.Parallel()
	s := realScheduler(t)
	p, at := withSidecar(t, s, "--id=worker-001", "--scheduler=dtask://"+s.Addr(), "--tasks-die-with-agent", "--drain-timeout=1h")
	post(t, "http://"+at+"/begin?keepalive_ms=60000", post(t, "http://"+s.HTTPAddr()+"/api/v1/schedule", `{"task_id":"task-1"}`))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		return len(query[*wire.Worker](t, s, &wire.GetWorker{ID: "worker-001"}).Info.Flags) == 2
	}, patience, 10*time.Millisecond)
	p.stop(syscall.SIGINT)
	require.Contains(t, p.stderr(), "Worker is not drained: agent: tasks go on: 1 of worker worker-001")
	require.Equal(t, wire.ReasonLost, query[*wire.EndedLeases](t, s, &wire.ListEnded{Task: "task-1"}).Rows[0].Reason)
}
