package sidecar

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhoEndsATask: a task that reports its own end gets the answer and goes on,
// over both kinds of sockets. One that another process ends is ended, unless
// that process says that it is to go on.
func TestWhoEndsATask(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("curl is missing: %v", err)
	}
	sched := scheduler(t)
	s := start(t, "dtask://"+sched.Addr(), 4)
	s.connected()
	path := filepath.Join(t.TempDir(), "w.sock")
	l, err := Listen("unix:" + path)
	require.NoError(t, err)
	second := New(s.agent, nil)
	go second.Serve(l)
	defer second.Shutdown(t.Context())
	for name, to := range map[string]string{"tcp": s.url, "unix": "--unix-socket " + path + " http://localhost"} {
		out := filepath.Join(t.TempDir(), "out")
		lease := schedule(t, sched, name)
		script := fmt.Sprintf(`read go; curl -sS -d '%s' %s/end?outcome=ok >%s.new; mv %s.new %s; read go; echo`, lease, to, out, out, out)
		c := exec.Command("/bin/sh", "-c", script)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		in, err := c.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		s.post(fmt.Sprintf("/begin?pid=%d", c.Process.Pid), lease)
		_, err = in.Write([]byte("\n"))
		require.NoError(t, err)
		var text []byte
		require.Eventually(t, func() bool { text, err = os.ReadFile(out); return err == nil }, patience, 10*time.Millisecond)
		require.Contains(t, string(text), `"status":"ended"`)
		require.NoError(t, in.Close())
		require.NoError(t, c.Wait(), "it went on to its own end")
	}

	for _, leave := range []bool{false, true} {
		c := exec.Command("/bin/sh", "-c", "read go; exit 0")
		in, err := c.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		lease := schedule(t, sched, fmt.Sprint("other-", leave))
		s.post(fmt.Sprintf("/begin?pid=%d", c.Process.Pid), lease)
		got := s.post(fmt.Sprintf("/end?outcome=ok&leave_running=%t", leave), lease)
		if leave {
			require.Equal(t, "ended", got["status"])
			require.NoError(t, in.Close())
			require.NoError(t, c.Wait())
			continue
		}
		require.Equal(t, "ending", got["status"])
		require.ErrorContains(t, c.Wait(), "terminated")
	}
	require.Eventually(t, func() bool { return len(s.agent.Tasks()) == 0 }, patience, 10*time.Millisecond)
}
