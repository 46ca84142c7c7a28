package main

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestATaskOfAHigherPriorityTakesTheRoom: end to end with real processes. The
// worker signals the program of the low task, which ends as it likes; then the
// room passes on, and the next program begins.
func TestATaskOfAHigherPriorityTakesTheRoom(t *testing.T) {
	t.Parallel()
	s := realScheduler(t)
	_, at := withSidecar(t, s, "--id=worker-001", "--scheduler=dtask://"+s.Addr(), "--tasks-die-with-agent", "--max-tasks=1")
	base := "http://" + s.HTTPAddr() + "/api/v1"
	low := post(t, base+"/schedule", `{"task_id":"low","priority":-1}`)
	program := exec.Command("/bin/sh", "-c", `trap 'echo saved; exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() { program.Process.Kill() })
	said := make([]byte, 6)
	_, err = io.ReadFull(out, said)
	require.NoError(t, err)
	require.Equal(t, "ready\n", string(said))
	post(t, fmt.Sprintf("http://%s/begin?pid=%d", at, program.Process.Pid), low)

	high := make(chan int, 1)
	go func() {
		r, err := http.Post(base+"/schedule", "", strings.NewReader(`{"task_id":"high","priority":1,"preempt":true,"max_wait_ms":60000}`))
		if err != nil {
			high <- 0
			return
		}
		r.Body.Close()
		high <- r.StatusCode
	}()
	_, err = io.ReadFull(out, said)
	require.NoError(t, err)
	require.Equal(t, "saved\n", string(said), "it had time to do so")
	require.ErrorContains(t, program.Wait(), "exit status 3")
	require.Equal(t, http.StatusOK, <-high)
	require.Equal(t, wire.ReasonPreempted, query[*wire.EndedLeases](t, s, &wire.ListEnded{Task: "low"}).Rows[0].Reason)
}
