package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fill fills a pipe without a wait, as a reader that stalls would.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	// Opened again: the flag is of the open file, which the process shares.
	fd, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer func() { _ = syscall.Close(fd) }()
	for n := 4096; n > 0; {
		if _, err := syscall.Write(fd, make([]byte, n)); errors.Is(err, syscall.EAGAIN) {
			n /= 2
		} else {
			require.NoError(t, err)
		}
	}
}

// post sends a request of which the scheduler writes a log line.
func post(t *testing.T, url, body string) {
	t.Helper()
	client := &http.Client{Timeout: patience}
	res, err := client.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 200, res.StatusCode)
}

// A log that nobody reads any more, or whose reader is gone, neither stops the
// scheduler nor ends it, and SIGTERM still does.
func TestTheReaderOfTheLogFails(t *testing.T) {
	for name, fail := range map[string]func(r, w *os.File){
		"stalls": func(_, w *os.File) { fill(t, w) },
		"goes":   func(r, _ *os.File) { require.NoError(t, r.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer func() { _ = r.Close() }()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "--port=0")
			cmd.Env = append(os.Environ(), "DTASK_TEST_SCHEDULER=1")
			cmd.Stderr, cmd.Stdout = w, w
			require.NoError(t, cmd.Start())
			url := ""
			for in := bufio.NewReader(r); ; {
				line, err := in.ReadString('\n')
				require.NoError(t, err)
				if rest, ok := strings.CutPrefix(line, "HTTP on "); ok {
					url = "http://" + strings.Split(rest, ",")[0]
					break
				}
			}
			fail(r, w)
			if name == "goes" {
				require.NoError(t, w.Close())
			}
			post(t, url+"/api/v1/heartbeat", `{"worker_id":"w1","max_tasks":1}`)
			for range 10 {
				post(t, url+"/api/v1/workers/w1/cordon", `{}`)
				post(t, url+"/api/v1/workers/w1/uncordon", `{}`)
			}
			require.Contains(t, get(t, url+"/livez"), "ok")
			require.Contains(t, get(t, url+"/metrics"), "dtask_log_lines_dropped_total")
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, cmd.Wait())
		})
	}
}
