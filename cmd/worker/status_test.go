package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/sidecar"
	"github.com/dtask/dtask-scheduler/wire"
)

// post sends a body and returns the answer to it.
func post(t *testing.T, url, body string) string {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", text)
	return string(text)
}

// printed runs "worker status" and returns what it prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	p := command(t, append([]string{"status"}, args...)...)
	out, err := p.cmd.Output()
	require.NoError(t, err, p.stderr())
	return string(out)
}

// narrow takes the columns out of a table.
func narrow(table string) string { return regexp.MustCompile(" +").ReplaceAllString(table, " ") }

// TestARestartKeepsWhatRuns: a worker that is killed knows its tasks again, and
// shows them.
func TestARestartKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	s := realScheduler(t)
	args := []string{"--id=worker-001", "--scheduler=dtask://" + s.Addr(), "--heartbeat=udp", "--state-dir=" + t.TempDir(), "--max-tasks=2"}
	p, at := withSidecar(t, s, args...)
	require.Contains(t, printed(t, "--sidecar="+at), "0 of 2")

	program := exec.Command("sleep", "60")
	require.NoError(t, program.Start())
	defer func() { program.Process.Kill(); program.Wait() }()
	lease := post(t, "http://"+s.HTTPAddr()+"/api/v1/schedule", `{"task_id":"task-1","required_tags":["cpu"],"owner":"ann"}`)
	post(t, fmt.Sprintf("http://%s/begin?pid=%d", at, program.Process.Pid), lease)
	require.NoError(t, p.cmd.Process.Kill())
	require.Error(t, p.cmd.Wait())
	require.Eventually(t, func() bool { return !ready(t, s) }, patience, 10*time.Millisecond)

	_, at = withSidecar(t, s, args...)
	require.EqualValues(t, 1, totals(t, s).Begun)
	var got sidecar.Status
	require.NoError(t, json.Unmarshal([]byte(printed(t, "-o", "json", "--sidecar="+at)), &got))
	require.Len(t, got.Running, 1)
	require.Equal(t, "task-1", got.Running[0].Task)
	require.True(t, got.Connected)

	table := narrow(printed(t, "-sidecar", at))
	for _, want := range []string{
		"WORKER worker-001 at localhost:9000\n", "SCHEDULER " + s.Addr() + ", connected\n",
		"PROMISED epoch 1, instance ", "HEARTBEAT udp, every 100ms\n", "RUNNING 1 of 2\n", "REFUSALS -\n",
		got.Running[0].Lease.String() + " task-1 ann ", fmt.Sprint(program.Process.Pid),
	} {
		require.Contains(t, table, want)
	}
	post(t, "http://"+at+"/end?outcome=ok", lease)
	require.Eventually(t, func() bool { return totals(t, s).Begun == 0 }, patience, 10*time.Millisecond)
	require.Equal(t, wire.ReasonOK, query[*wire.EndedLeases](t, s, &wire.ListEnded{Task: "task-1"}).Rows[0].Reason)
}

func TestStatusWithoutAWorker(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--sidecar=127.0.0.1:1"}, 1, "Start it with --sidecar=127.0.0.1:1."},
		{[]string{"--sidecar=unix:/nowhere/w.sock"}, 1, "no answer from the worker"},
		{[]string{"--sidecar=h:1"}, 2, "not on the loopback interface"},
		{[]string{"-o", "yaml"}, 2, "the formats are table and json"},
		{[]string{"extra"}, 2, "takes flags alone"},
		{[]string{"--bogus"}, 2, "there is no flag --bogus\nnext: worker status -h"},
		{[]string{"-h"}, 0, "Usage of worker status"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, c.code, status(c.args, &stdout, &stderr), "%v", c.args)
		require.Contains(t, stderr.String(), c.says)
		require.Empty(t, stdout.String())
	}
}

func TestAStatusIsNoTerminalCommand(t *testing.T) {
	now := time.Now()
	long := now.Add(-3*time.Minute - 12*time.Second)
	var b bytes.Buffer
	printStatus(&b, &sidecar.Status{
		Worker: "w\x1b[2J", Time: now, LastError: "a\nb", LastContact: &long,
		Refusals: map[string]uint64{"full": 2, "ended": 1},
		Running:  []sidecar.Task{{Begun: &long, KeepAliveMS: 5000, LeftMS: 1500}, {}},
	})
	require.NotContains(t, b.String(), "\x1b")
	for _, want := range []string{`"w\x1b[2J"`, `"a\nb"`, "3m12s ago", "not connected", "ended 1, full 2", "1.5s", "INCARNATION -"} {
		require.Contains(t, narrow(b.String()), want)
	}
}

func TestASidecarAddressInUseStopsTheStart(t *testing.T) {
	s := realScheduler(t)
	_, at := withSidecar(t, s, "--scheduler=http://"+s.HTTPAddr())
	p := command(t, "--sidecar="+at, "--gpus=0", "--scheduler=http://"+s.HTTPAddr())
	var exit *exec.ExitError
	require.ErrorAs(t, p.cmd.Run(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, p.stderr(), "address already in use")
}
