package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// asWorker makes the test binary be the program.
const asWorker = "DTASK_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is one run of the worker.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	mu  sync.Mutex // guards log
	log bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// command prepares a run of the program.
func command(t *testing.T, args ...string) *program {
	p := &program{t: t, cmd: exec.Command(os.Args[0], args...)}
	// The race detector would have the program wait for a second at its end.
	p.cmd.Env = append(os.Environ(), asWorker+"=1", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = p
	return p
}

// launch starts the program; the test ends it at the latest.
func launch(t *testing.T, args ...string) *program {
	p := command(t, args...)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

// stop ends the program by a signal and returns how long that took.
func (p *program) stop(s os.Signal) time.Duration {
	p.t.Helper()
	from := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(s))
	require.NoError(p.t, p.cmd.Wait(), p.stderr())
	return time.Since(from)
}

// scheduler answers heartbeats and shows requests to the test.
func scheduler(t *testing.T) (url string, requests chan string) {
	requests = make(chan string, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- r.Method + " " + r.URL.Path + " " + string(body)
		io.WriteString(w, `{"status":"ok"}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

func receive(t *testing.T, requests chan string) string {
	t.Helper()
	select {
	case r := <-requests:
		return r
	case <-time.After(patience):
		require.Fail(t, "no request came")
		return ""
	}
}

func TestTheFlagsAndLogLinesOfTheSeed(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		url, requests := scheduler(t)
		p := launch(t, "--id=worker-001", "-addr", "localhost:9001", "--tags=gpu, cuda-12.0,", "--max-tasks=3", "--scheduler="+url+"/", "--heartbeat=20ms")
		for range 5 {
			request := receive(t, requests)
			body, ok := strings.CutPrefix(request, "POST /api/v1/heartbeat ")
			require.True(t, ok, request)
			var got map[string]any
			require.NoError(t, json.Unmarshal([]byte(body), &got))
			delete(got, "timestamp")
			require.Equal(t, map[string]any{
				"worker_id": "worker-001", "address": "localhost:9001", "resource_tags": []any{"gpu", "cuda-12.0"},
				"max_tasks": 3.0, "current_tasks": 0.0,
			}, got)
		}
		require.Less(t, p.stop(s), 2*time.Second)
		last := ""
		for len(requests) > 0 {
			last = receive(t, requests)
		}
		require.Equal(t, "DELETE /api/v1/workers/worker-001 ", last)
		log := p.stderr()
		require.Contains(t, log, "dtask-worker starting...")
		require.True(t, strings.HasSuffix(log, "Worker stopped\n"), log)
		require.LessOrEqual(t, strings.Count(log, "\n"), 5, "no line for each heartbeat:\n%s", log)
	}
}

func TestASchedulerThatHangsDelaysNoStop(t *testing.T) {
	for _, scheme := range []string{"http://", "dtask://"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		p := launch(t, "--scheduler="+scheme+l.Addr().String(), "--gpus=0")
		c, err := l.Accept()
		require.NoError(t, err)
		defer c.Close()
		require.Less(t, p.stop(syscall.SIGTERM), 2*time.Second, scheme)
		require.Contains(t, p.stderr(), "Worker stopped")
	}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--bogus"}, "flag provided but not defined: -bogus"},
		{[]string{"--max-tasks=-1"}, "invalid value"},
		{[]string{"--max-tasks=3000000000"}, "--max-tasks 3000000000 is over"},
		{[]string{"--id="}, "Config.Worker is missing"},
		{[]string{"--scheduler=h:1"}, "must start with dtask:// or http://"},
		{[]string{"--resources=cpu"}, "is not name=amount"},
		{[]string{"--resources=cpu=-4"}, "is not name=amount"},
		{[]string{"--state-dir=x"}, "--state-dir needs a dtask:// scheduler"},
		{[]string{"--heartbeat=carrier"}, "want tcp, udp, or a duration"},
		{[]string{"--heartbeat=udp"}, "which needs a dtask:// scheduler"},
		{[]string{"--heartbeat=1ms"}, "Config.Heartbeat is outside"},
		{[]string{"--sidecar=0.0.0.0:9700"}, "is not on the loopback interface"},
		{[]string{"--sidecar=127.0.0.1:9700", "--scheduler=dtask://h:1"}, "--sidecar needs --state-dir"},
		{[]string{"extra"}, `unexpected argument "extra"`},
	} {
		p := command(t, c.args...)
		var exit *exec.ExitError
		require.ErrorAs(t, p.cmd.Run(), &exit, "%v", c.args)
		require.Equal(t, 2, exit.ExitCode(), "%v", c.args)
		require.Contains(t, p.stderr(), c.says)
		require.Contains(t, p.stderr(), "Usage of worker:")
		require.NotContains(t, p.stderr(), "starting")
	}
}

func TestWhatIsPrinted(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--version"}, []string{"worker ", "go1."}},
		{[]string{"--detect", "--gpus=2"}, []string{"cpu ", "mem ", "gpu       2          given", "tags", "arch=", ",gpu"}},
	} {
		p := command(t, c.args...)
		out, err := p.cmd.Output()
		require.NoError(t, err, p.stderr())
		for _, s := range c.says {
			require.Contains(t, string(out), s)
		}
	}
	p := command(t, "--help")
	require.NoError(t, p.cmd.Run())
	require.Contains(t, p.stderr(), "(default \"http://localhost:8080\")")
}

func TestADamagedStateDirectoryIsNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/leases", []byte("something else altogether"), 0o600))
	p := command(t, "--scheduler=dtask://127.0.0.1:1", "--gpus=0", "--state-dir="+dir)
	var exit *exec.ExitError
	require.ErrorAs(t, p.cmd.Run(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, p.stderr(), "damaged at offset 0")
}

func TestHeartbeatFlags(t *testing.T) {
	for args, want := range map[string]heartbeat{
		"":                               {},
		"--heartbeat=tcp":                {by: "tcp"},
		"--heartbeat=udp":                {by: "udp"},
		"--heartbeat=5s":                 {every: 5 * time.Second},
		"-heartbeat 0":                   {},
		"--heartbeat=5s --heartbeat=udp": {by: "udp", every: 5 * time.Second},
		"--heartbeat=udp --heartbeat-interval=2s": {by: "udp", every: 2 * time.Second},
	} {
		o, _, done := parse(append(strings.Fields(args), "--scheduler=dtask://h:1"), io.Discard)
		require.False(t, done, args)
		require.Equal(t, want, o.heartbeat, args)
		cfg := o.announced()
		require.Equal(t, want, heartbeat{cfg.HeartbeatBy, cfg.Heartbeat}, args)
	}
}

func TestDetectionIsAnnouncedOnlyWhereItIsWanted(t *testing.T) {
	for _, c := range []struct {
		args      string
		tags      bool
		resources []string
	}{
		{"--scheduler=http://h:1 --gpus=0", false, nil},
		{"--scheduler=http://h:1 --gpus=0 --detect-tags", true, nil},
		{"--scheduler=dtask://h:1 --gpus=0", true, []string{"cpu", "mem"}},
		{"--scheduler=dtask://h:1 --gpus=0 --detect-tags=false --detect-resources=false", false, nil},
		{"--scheduler=dtask://h:1 --gpus=0 --resources cpu=1,mem=off,disk=7", true, []string{"cpu", "disk"}},
		{"--scheduler=dtask://h:1 --gpus=2", true, []string{"cpu", "gpu", "mem"}},
	} {
		o, _, done := parse(strings.Fields(c.args), io.Discard)
		require.False(t, done, c.args)
		cfg := o.config(t.Context())
		require.NoError(t, cfg.Verify(), c.args)
		require.Equal(t, "cpu", cfg.Tags[0])
		require.Equal(t, c.tags, len(cfg.Tags) > 1, c.args)
		var names []string
		for _, name := range []string{"cpu", "disk", "gpu", "mem"} {
			if _, ok := cfg.Resources[name]; ok {
				names = append(names, name)
			}
		}
		require.Equal(t, c.resources, names, c.args)
	}
}
