package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A scheduler that was stopped for longer than it keeps silent workers keeps
// them when it goes on, and their leases.
func TestAPauseIsNoSilenceOfTheWorkers(t *testing.T) {
	p := launch(t, "--port=0", "--suspicious-threshold=1s", "--offline-threshold=1500ms", "--retention=1500ms", "--heartbeat=250ms")
	api := "http://127.0.0.1:" + p.line("Scheduler listening on port ") + "/api/v1"
	post := func(path, body string) {
		t.Helper()
		res, err := http.Post(api+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	report := func() { post("/heartbeat", `{"worker_id":"w1","address":"h:1","max_tasks":2}`) }
	report()
	post("/schedule", `{"task_id":"t1"}`)
	report()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(3500 * time.Millisecond) // more than offline and retention together
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
	require.Contains(t, get(t, api+"/workers"), `"w1"`)
	report()
	require.Contains(t, get(t, api+"/workers/w1"), `"online"`)
	require.NotContains(t, get(t, api+"/events"), "removed")
}
