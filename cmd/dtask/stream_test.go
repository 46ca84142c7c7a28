package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// streaming is a dtask schedule whose output is read line by line.
type streaming struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr strings.Builder
}

func (f *fleet) stream(args ...string) *streaming {
	s := &streaming{t: f.t, cmd: exec.CommandContext(f.t.Context(), "dtask", append([]string{"--addr", f.addr, "schedule"}, args...)...)}
	out, err := s.cmd.StdoutPipe()
	require.NoError(f.t, err)
	s.cmd.Stderr, s.lines = &s.stderr, bufio.NewScanner(out)
	s.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	require.NoError(f.t, s.cmd.Start())
	return s
}

// next waits for a line.
func (s *streaming) next() string {
	require.True(s.t, s.lines.Scan(), "no further line")
	return s.lines.Text()
}

// end waits for the end and returns the exit code.
func (s *streaming) end() int {
	require.False(s.t, s.lines.Scan(), s.lines.Text())
	_ = s.cmd.Wait() // its error is the exit code
	return s.cmd.ProcessState.ExitCode()
}

// await waits until so many tasks wait.
func (f *fleet) await(n uint64) {
	for {
		waiting, err := f.c.CountWaiting(f.t.Context(), client.QueueFilter{})
		require.NoError(f.t, err)
		if waiting == n {
			return
		}
	}
}

// Rows come as room does, and what was printed lives on while others wait.
func TestRowsOfTasksThatWaitComeAtOnce(t *testing.T) {
	f := newFleet(t)
	_, err := f.c.ScheduleAll(t.Context(), f.filling(70))
	require.NoError(t, err) // 30 slots are left
	s := f.stream("a", "--count", "33", "--task", "t", "--wait", "2m", "--ttl", "2s", "-o", "json")
	var rows []placement
	for range 30 {
		var row placement
		require.NoError(t, json.Unmarshal([]byte(s.next()), &row))
		rows = append(rows, row)
	}
	f.await(3)
	for time.Now().Before(rows[0].BeginBy.Add(100 * time.Millisecond)) {
		require.Len(t, f.leases("t"), 30) // asks the scheduler again and again
	}
	for i := range 3 {
		require.ErrorIs(t, f.c.ReleaseID(t.Context(), rows[i].Lease, true), client.ErrAskedBack)
		var row placement
		require.NoError(t, json.Unmarshal([]byte(s.next()), &row))
		require.Positive(t, time.Until(row.BeginBy))
		rows = append(rows, row)
	}
	require.Zero(t, s.end(), s.stderr.String())
	live := f.leases("t")
	require.Len(t, live, 30)
	for _, row := range rows[3:] {
		require.Contains(t, live, row.Task)
	}
}

// filling returns tasks that fill slots of the worker with room.
func (f *fleet) filling(n int) (tasks []client.Task) {
	for range n {
		tasks = append(tasks, client.Task{ID: f.name("filling"), Tags: []string{"a"}, TTL: time.Hour})
	}
	return tasks
}

// Who interrupts the command wants nothing of what it has printed.
func TestInterruptGivesBackWhatWasPrinted(t *testing.T) {
	f := newFleet(t)
	_, err := f.c.ScheduleAll(t.Context(), f.filling(98))
	require.NoError(t, err)
	for _, format := range []string{"--output=table", "--output=json", "--quiet"} {
		task := f.name("t")
		s := f.stream("a", "--count", "4", "--task", task, "--wait", "2m", format)
		if format == "--output=table" {
			require.Regexp(t, `^TASK +LEASE `, s.next())
		}
		s.next()
		s.next()
		f.await(2)
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGINT))
		require.Equal(t, exitInterrupted, s.end(), s.stderr.String())
		require.Contains(t, s.stderr.String(), "what was printed is given back: 2 leases")
		require.Empty(t, f.leases(task))
		f.await(0)
	}
}

// The one that nobody could read goes back at once, and nobody waits any more.
func TestTheUnseenRowOfAStreamIsGivenBack(t *testing.T) {
	f := newFleet(t)
	_, err := f.c.ScheduleAll(t.Context(), f.filling(98))
	require.NoError(t, err)
	out := lines(1)
	code, stderr := f.execute(&out, "schedule", "a", "--count", "4", "--task", "t", "--wait", "2m", "-q")
	require.Equal(t, exitError, code, stderr)
	require.Equal(t, []string{"t-1"}, f.leases("t-"))
	f.await(0)
}

func TestAStreamJudgesEveryTask(t *testing.T) {
	f := newFleet(t)
	var out strings.Builder
	code, stderr := f.execute(&out, "schedule", "b", "--count", "2", "--task", "t", "--wait", "10ms")
	require.Equal(t, exitUnavailable, code)
	require.Contains(t, stderr, "2 of 2 tasks got no place")
	require.Regexp(t, `^TASK +LEASE +WORKER +ADDRESS +BEGIN BY +NOTE\nt-[12] +- +- +- +- +unavailable\nt-[12] .*\n$`, out.String())
	code, stderr = f.execute(io.Discard, "schedule", "c", "--count", "2", "--wait", "1h")
	require.Equal(t, exitInfeasible, code, stderr)
	out.Reset()
	code, stderr = f.execute(&out, "schedule", "a", "--count", "3", "--task", "t", "--wait", "1h", "-q")
	require.Zero(t, code, stderr)
	ids := strings.Fields(out.String())
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), 3)
	for _, id := range ids {
		_, err := wire.ParseLeaseID(id)
		require.NoError(t, err)
	}
}
