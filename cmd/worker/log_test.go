package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// With --log-format=json every line is an object, at every level.
func TestJSONLines(t *testing.T) {
	url, requests := scheduler(t)
	p := launch(t, "--scheduler="+url, "--heartbeat=20ms", "--log-format=json", "--log-level=error")
	receive(t, requests)
	p.stop(syscall.SIGTERM)
	var messages []string
	for line := range strings.SplitSeq(strings.TrimSpace(p.stderr()), "\n") {
		var record struct{ Level, Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		messages = append(messages, record.Msg)
	}
	require.Len(t, messages, 3)
	require.Equal(t, "dtask-worker starting...", messages[0])
	require.Contains(t, messages[1], "Worker \"worker-001\" at ")
	require.Equal(t, "Worker stopped", messages[2])
}

func TestLogLevels(t *testing.T) {
	url, requests := scheduler(t)
	p := launch(t, "--scheduler="+url, "--heartbeat=20ms", "--log-level=error")
	receive(t, requests)
	p.stop(syscall.SIGTERM)
	require.True(t, strings.HasSuffix(p.stderr(), "Worker stopped\n"), "the lines of the program come at every level")
	require.NotContains(t, p.stderr(), "INFO")
}

// A log that nobody reads any more, or whose reader is gone, neither stops the
// worker nor ends it, and SIGTERM still does.
func TestTheReaderOfTheLogFails(t *testing.T) {
	for name, fail := range map[string]func(r, w *os.File){
		"stalls": fill,
		"goes":   func(r, _ *os.File) { require.NoError(t, r.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			url, requests := scheduler(t)
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			defer w.Close()
			fail(r, w)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "--scheduler="+url, "--heartbeat=20ms")
			cmd.Env = append(os.Environ(), asWorker+"=1", "GORACE=atexit_sleep_ms=0")
			cmd.Stderr = w
			require.NoError(t, cmd.Start())
			for range 3 {
				require.Contains(t, receive(t, requests), "heartbeat")
			}
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, cmd.Wait())
		})
	}
}

// fill fills a pipe without a wait, as a reader that stalls would.
func fill(_, w *os.File) {
	// Opened again: the flag is of the open file, which the process shares.
	fd, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	for n := 4096; n > 0 && (err == nil || errors.Is(err, syscall.EAGAIN)); {
		if _, err = syscall.Write(fd, make([]byte, n)); err != nil {
			n /= 2
		}
	}
	_ = syscall.Close(fd)
}
