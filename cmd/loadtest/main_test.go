package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/loadtest"
)

// call runs the command in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, diag bytes.Buffer
	code = run(context.Background(), args, &out, &diag)
	return code, out.String(), diag.String()
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"help", []string{"-h"}, 0, "-faults"},
		{"an address", []string{"--addr", "h:99999"}, exitUsage, "65535"},
		{"two addresses", []string{"--addr", "a,b"}, exitUsage, "one scheduler"},
		{"unknown flag", []string{"--nope"}, exitUsage, "there is no flag --nope"},
		{"an argument", []string{"now"}, exitUsage, `unexpected argument "now"`},
		{"a number out of range", []string{"--workers=0"}, exitUsage, "--workers must be in 1.."},
		{"a transport that is none", []string{"--transport=pigeon"}, exitUsage, "--transport must be tcp, udp, http or mixed"},
		{"HTTP without its address", []string{"--transport=mixed", "--addr=127.0.0.1:1"}, exitUsage, "--http-addr must be host:port"},
		{"no time to live", []string{"--start-ttl=0s"}, exitUsage, "--start-ttl must be in 1ms..24h0m0s, not 0s"},
		{"an address that is none", []string{"--addr=::1"}, exitUsage, "[::1]:8081"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := call(t, c.args...)
			require.Equal(t, c.code, code, stderr)
			require.Contains(t, stderr, c.stderr)
			require.Empty(t, stdout)
		})
	}
}

// The profile overload is one on any machine: its fleet is small unless somebody
// says what it shall be.
func TestOverloadHasASmallFleet(t *testing.T) {
	for _, c := range []struct {
		args           []string
		workers, slots int
	}{
		{[]string{"--profile=overload"}, overloadWorkers, overloadSlots},
		{[]string{"--profile=overload", "--workers=7"}, 7, 0},
		{[]string{"--profile=overload", "--slots=3"}, 5_000, 3},
		{[]string{"--profile=slots"}, 5_000, 0},
	} {
		o, err := parse(c.args, io.Discard)
		require.NoError(t, err)
		require.Equal(t, []int{c.workers, c.slots}, []int{o.load.Workers, o.load.Slots}, c.args)
	}
}

func TestReportAsJSON(t *testing.T) {
	code, stdout, stderr := call(t, "-workers=5", "-clients=2", "-duration=200ms", "-task-time=10ms", "-seed=7", "-json")
	require.Zero(t, code, stderr)
	var r loadtest.Report
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Equal(t, 5, r.Workers)
	require.Equal(t, uint64(7), r.Seed)
	require.Positive(t, r.Placed.Count)
	require.True(t, r.Embedded)
}

func TestAnInterruptedRunSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	progress := writeFunc(func(b []byte) (int, error) {
		cancel() // it has begun
		return stderr.Write(b)
	})
	code := run(ctx, []string{"-workers=2", "-clients=1", "-duration=1m", "-task-time=10ms"}, &stdout, progress)
	require.Equal(t, exitInterrupted, code, stderr.String())
	require.Contains(t, stderr.String(), "\ninterrupted\n")
	require.Empty(t, stdout.String())
}

// writeFunc is a function as a writer.
type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(b []byte) (int, error) { return f(b) }

func TestAReportThatCannotBeWritten(t *testing.T) {
	for _, json := range []string{"-json=true", "-json=false"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"-workers=2", "-clients=1", "-duration=100ms", "-task-time=10ms", json}, full, &stderr)
		require.Equal(t, exitFailed, code, stderr.String())
		require.Contains(t, stderr.String(), "could not be written")
	}
}

func TestDatagramsToTheEmbeddedScheduler(t *testing.T) {
	code, stdout, stderr := call(t, "-transport=udp", "-burst", "-workers=20", "-duration=300ms", "-heartbeat=100ms", "-task-time=10ms")
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.Regexp(t, `(?m)^datagrams +[1-9][0-9]* sent, [1-9][0-9]* acknowledged, 0 lost`, stdout)
}

func TestEmbeddedSchedulerRestarts(t *testing.T) {
	code, stdout, stderr := call(t, "-workers=10", "-duration=500ms", "-task-time=10ms", "-start-ttl=300ms", "-faults")
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.Contains(t, stdout, "1 restarts of the scheduler")
}
