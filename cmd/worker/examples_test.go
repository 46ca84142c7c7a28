package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

const examples = "../../agent/examples/"

// tools are what each example runs with.
var tools = map[string][]string{
	"task.sh": {"/bin/sh", "curl", "sha256sum"},
	"task.py": {"/usr/bin/python3"},
}

// TestExamples runs the examples that docs/worker.md shows, with a scheduler
// and a worker process, over each transport.
func TestExamples(t *testing.T) {
	for name, needs := range tools {
		for _, transport := range []string{"tcp", "udp", "http"} {
			t.Run(name+" "+transport, func(t *testing.T) {
				t.Parallel()
				for _, tool := range needs {
					if _, err := exec.LookPath(tool); err != nil {
						t.Skipf("%s is missing: %v", tool, err)
					}
				}
				runExample(t, append(needs[:1:1], examples+name), transport)
			})
		}
	}
}

func runExample(t *testing.T, command []string, transport string) {
	s := realScheduler(t)
	args := []string{"--scheduler=http://" + s.HTTPAddr(), "--heartbeat-interval=100ms"}
	if transport != "http" {
		args = []string{"--id=worker-001", "--scheduler=dtask://" + s.Addr(), "--heartbeat=" + transport, "--state-dir=" + t.TempDir()}
	}
	p, sidecar := withSidecar(t, s, args...)
	file := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(file, []byte("to be hashed"), 0o600))
	sum := sha256.Sum256([]byte("to be hashed"))

	run := func(task, path string) (string, error) {
		c := exec.CommandContext(t.Context(), command[0], append(command[1:], task, path)...)
		c.Env = append(os.Environ(), "DTASK_HTTP=http://"+s.HTTPAddr(), "DTASK_SIDECAR=http://"+sidecar, "no_proxy=*")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := run("good", file)
	require.NoError(t, err, out)
	require.Equal(t, []string{hex.EncodeToString(sum[:]), file}, strings.Fields(out))
	out, _ = run("bad", file+".missing")
	require.Contains(t, out, "No such file")

	require.Eventually(t, func() bool { return totals(t, s).Used == 0 }, patience, 20*time.Millisecond, "the leases are gone")
	if transport != "http" {
		for task, want := range map[string]wire.Reason{"good": wire.ReasonOK, "bad": wire.ReasonFailed} {
			rows := query[*wire.EndedLeases](t, s, &wire.ListEnded{Task: task}).Rows
			require.Len(t, rows, 1)
			require.Equal(t, want, rows[0].Reason)
			require.Equal(t, "worker", rows[0].By)
		}
	}
	if transport == "udp" {
		require.Eventually(t, func() bool { return totals(t, s).Counters["beats"] > 0 }, patience, 20*time.Millisecond)
	}
	require.Less(t, p.stop(syscall.SIGTERM), patience)
	require.Zero(t, totals(t, s).Online)
}

// TestTheShellExampleHandsTheDevicesOn: what the program of the task sees.
func TestTheShellExampleHandsTheDevicesOn(t *testing.T) {
	for _, tool := range []string{"/bin/sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: %v", tool, err)
		}
	}
	bin := t.TempDir()
	program := "#!/bin/sh\necho \"saw ${CUDA_DEVICE_ORDER-unset} ${CUDA_VISIBLE_DEVICES-unset}\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "sha256sum"), []byte(program), 0o700))
	for env, want := range map[string]string{
		`,"devices":[0,1],"env":{"CUDA_DEVICE_ORDER":"PCI_BUS_ID","CUDA_VISIBLE_DEVICES":"GPU-1,GPU-2"}`: "saw PCI_BUS_ID GPU-1,GPU-2",
		`,"env":{"CUDA_DEVICE_ORDER":"PCI_BUS_ID","CUDA_VISIBLE_DEVICES":""}`:                            "saw PCI_BUS_ID",
		``: "saw unset unset",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"status":"begun","task_id":"\"CUDA_VISIBLE_DEVICES\":\"9\""`+env+`}`)
		}))
		c := exec.CommandContext(t.Context(), "/bin/sh", examples+"task.sh", "t", "f")
		c.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "DTASK_HTTP=" + s.URL, "DTASK_SIDECAR=" + s.URL, "no_proxy=*"}
		out, err := c.CombinedOutput()
		s.Close()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, strings.TrimSpace(string(out)))
	}
}
