package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
)

// process starts the tool as a process of its own: TestMain runs it under this name.
func process(t *testing.T, addr string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	binary, err := os.Executable()
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "dtask")
	require.NoError(t, os.Symlink(binary, link))
	cmd := exec.CommandContext(t.Context(), link, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "DTASK_ADDR="+addr, "GORACE=atexit_sleep_ms=0")
	return cmd, &stderr
}

// TestASignalIsToldByTheExitCode: a script can tell Ctrl-C from everything else,
// whatever the command was doing.
func TestASignalIsToldByTheExitCode(t *testing.T) {
	addr, stop, err := embed()
	require.NoError(t, err)
	defer stop()
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + addr, Worker: "w1", Address: "h:1", Slots: 1, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	require.NoError(t, waitEligible(addr, "w1"))
	defer func() { _ = a.Stop(context.Background()) }()
	c, err := client.Dial(t.Context(), []string{addr}, nil)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Schedule(t.Context(), client.Task{ID: "first"})
	require.NoError(t, err)
	for _, k := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		for _, args := range [][]string{{"schedule", "--wait", "1m", "--task", "waits"}, {"schedule", "--wait", "1m", "--task", "waits", "--count", "2"}} {
			cmd, stderr := process(t, addr, args...)
			require.NoError(t, cmd.Start())
			for waiting := uint64(0); waiting == 0; {
				waiting, err = c.CountWaiting(t.Context(), client.QueueFilter{})
				require.NoError(t, err)
			}
			require.NoError(t, cmd.Process.Signal(k.signal))
			require.Error(t, cmd.Wait())
			require.Equal(t, k.code, cmd.ProcessState.ExitCode(), "%v: %s", args, stderr.String())
			require.Contains(t, stderr.String(), "interrupted")
			for waiting := uint64(1); waiting > 0; {
				waiting, err = c.CountWaiting(t.Context(), client.QueueFilter{})
				require.NoError(t, err)
			}
		}
		for _, args := range [][]string{{"worker", "list", "--watch"}, {"events", "--follow"}} {
			cmd, stderr := process(t, addr, args...)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(out)
			require.True(t, lines.Scan())
			require.NoError(t, cmd.Process.Signal(k.signal))
			for lines.Scan() {
				continue
			}
			require.Error(t, cmd.Wait())
			require.Equal(t, k.code, cmd.ProcessState.ExitCode(), "%v: %s", args, stderr.String())
			require.Empty(t, stderr.String())
		}
	}
}

// TestWhatEndsByItselfIsNotInterrupted: --for is no signal.
func TestWhatEndsByItselfIsNotInterrupted(t *testing.T) {
	addr, stop, err := embed()
	require.NoError(t, err)
	defer stop()
	for _, args := range [][]string{{"worker", "list", "--watch", "--for", "1ms"}, {"events", "--follow", "--for", "1ms"}} {
		cmd, stderr := process(t, addr, args...)
		require.NoError(t, cmd.Run(), stderr.String())
	}
}
