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

	"github.com/dtask/dtask-scheduler/wire"
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
		require.Less(t, p.stop(s), patience)
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
		require.Less(t, p.stop(syscall.SIGTERM), patience, scheme)
		require.Contains(t, p.stderr(), "Worker stopped")
	}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--bogus"}, "there is no flag --bogus"},
		{[]string{"--max-tasks=-1"}, `--max-tasks: "-1" is no whole number from 0 on`},
		{[]string{"--max-tasks=3000000000"}, "--max-tasks 3000000000 is over"},
		{[]string{"--id="}, "--id is empty"},
		{[]string{"--scheduler=h:1"}, "must start with dtask:// or http://"},
		{[]string{"--resources=cpu"}, "is not name=amount"},
		{[]string{"--resources=cpu=-4"}, `cpu: "-4" is negative`},
		{[]string{"--resources=cpu=4Gi"}, `cpu: "4Gi" has an unknown unit`},
		{[]string{"--resources=cpu=off,cpu=4"}, "names the resource twice"},
		{[]string{"--resources=a b=4"}, "is no name"},
		{[]string{"--resources=a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1", "--scheduler=dtask://h:1"}, "--resources are more than 8"},
		{[]string{"--resources=gpu_mem=1", "--scheduler=dtask://h:1"}, "--resources count gpu or gpu_mem"},
		{[]string{"--resources=gpu=2", "--devices=A100:40Gi", "--scheduler=dtask://h:1"}, "--resources count gpu or gpu_mem"},
		{[]string{"--devices=A100", "--scheduler=dtask://h:1"}, `--devices entry 1, "A100", is not MODEL:MEMORY`},
		{[]string{"--devices=A100:40Gi", "--gpus=0", "--scheduler=dtask://h:1"}, "--devices and --gpus exclude each other"},
		{[]string{"--devices=A100:40Gi"}, "--devices needs a dtask:// scheduler"},
		{[]string{"--devices=A:1@u,B:1@u", "--scheduler=dtask://h:1"}, `--devices entry 2 has the UUID "u" of another one`},
		{[]string{"--addr=", "--scheduler=dtask://h:1"}, `--addr "" is empty; give the host:port where clients reach this worker, such as`},
		{[]string{"--addr=localhost", "--scheduler=dtask://h:1"}, `--addr "localhost" has no port`},
		{[]string{"--addr=::1:9001", "--scheduler=dtask://h:1"}, `--addr "::1:9001" is an IPv6 address without brackets`},
		{[]string{"--gpus=-2"}, "--gpus -2 is outside -1..64"},
		{[]string{"--state-dir=x"}, "--state-dir needs a dtask:// scheduler"},
		{[]string{"--heartbeat=carrier"}, "want tcp, udp, or a duration"},
		{[]string{"--heartbeat=udp"}, "which needs a dtask:// scheduler"},
		{[]string{"--heartbeat=1ms"}, "--heartbeat-interval is outside 10ms..1h0m0s"},
		{[]string{"--sidecar=0.0.0.0:9700"}, "is not on the loopback interface"},
		{[]string{"--sidecar=127.0.0.1:9700", "--scheduler=dtask://h:1"}, "--sidecar needs --state-dir"},
		{[]string{"extra"}, `unexpected argument "extra"`},
	} {
		p := command(t, c.args...)
		var exit *exec.ExitError
		require.ErrorAs(t, p.cmd.Run(), &exit, "%v", c.args)
		require.Equal(t, 2, exit.ExitCode(), "%v", c.args)
		require.Contains(t, p.stderr(), c.says)
		require.Contains(t, p.stderr(), "\nnext: worker -h\n")
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

func TestWhatCannotBePrinted(t *testing.T) {
	s := realScheduler(t)
	_, at := withSidecar(t, s, "--id=worker-001", "--scheduler=dtask://"+s.Addr(), "--tasks-die-with-agent")
	for _, args := range [][]string{
		{"--version"}, {"--detect", "--gpus=0"}, {"status", "--sidecar=" + at}, {"status", "-o=json", "--sidecar=" + at},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		p := command(t, args...)
		p.cmd.Stdout = full
		require.Error(t, p.cmd.Run())
		full.Close()
		require.Equal(t, 1, p.cmd.ProcessState.ExitCode(), p.stderr())
		require.Contains(t, p.stderr(), "the output could not be written")
	}
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
		o, _, done := parse(append(strings.Fields(args), "--scheduler=dtask://h:1"), io.Discard, io.Discard)
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
		{"--scheduler=dtask://h:1 --resources gpu=off", true, []string{"cpu", "mem"}},
		{"--scheduler=dtask://h:1 --resources gpu=3", true, []string{"cpu", "gpu", "mem"}},
		{"--scheduler=dtask://h:1 --gpus=2", true, []string{"cpu", "gpu", "mem"}},
	} {
		o, _, done := parse(strings.Fields(c.args), io.Discard, io.Discard)
		require.False(t, done, c.args)
		cfg, err := o.config(t.Context())
		require.NoError(t, err, c.args)
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

func TestAmountsHaveUnits(t *testing.T) {
	o, _, done := parse([]string{"--scheduler=dtask://h:1", "--gpus=0", "--resources", "cpu=16, mem=64Gi,scratch=500", "--resources=cpu=1500m,disk=1.9k"}, io.Discard, io.Discard)
	require.False(t, done)
	cfg, err := o.config(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"cpu": 1500, "mem": 65536, "scratch": 500, "disk": 0}, cfg.Resources)
}

// TestDevicesOfTheWorker: those of --devices, by what the worker was told to
// call them, else those that are found.
func TestDevicesOfTheWorker(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho '0, T4, 15360, GPU-1'\necho '1, T4, 15360, GPU-2'\n"
	require.NoError(t, os.WriteFile(dir+"/nvidia-smi", []byte(script), 0o700))
	t.Setenv("PATH", dir)
	found := []wire.Device{{Model: "T4", Memory: 15360, UUID: "GPU-1"}, {Model: "T4", Memory: 15360, UUID: "GPU-2"}}
	listed := []wire.Device{{Model: "A100", Memory: 40960}}
	for _, c := range []struct {
		args, shown string // CUDA_VISIBLE_DEVICES; "-" is not set
		devices     []wire.Device
		visible     []string
	}{
		{"", "-", found, []string{"GPU-1", "GPU-2"}},
		{"", "1", found[1:], []string{"GPU-2"}},
		{"", "", nil, nil},
		{"--gpus=2", "-", nil, nil},
		{"--resources=gpu=2", "-", nil, nil},
		{"--resources=gpu=off", "-", nil, nil},
		{"--detect-resources=false", "-", nil, nil},
		{"--devices=A100:40Gi", "-", listed, nil},
		{"--devices=A100:40Gi --detect-resources=false", "-", listed, nil},
		{"--devices=A100:40Gi", "3", listed, []string{"3"}},
	} {
		t.Setenv("CUDA_VISIBLE_DEVICES", c.shown)
		if c.shown == "-" {
			require.NoError(t, os.Unsetenv("CUDA_VISIBLE_DEVICES"))
		}
		o, _, done := parse(append(strings.Fields(c.args), "--scheduler=dtask://h:1"), io.Discard, io.Discard)
		require.False(t, done, c.args)
		cfg, err := o.config(t.Context())
		require.NoError(t, err, c.args)
		require.NoError(t, cfg.Verify(), c.args)
		require.Equal(t, c.devices, cfg.Devices, c)
		require.Equal(t, c.visible, cfg.VisibleDevices, c)
		if len(c.devices) > 0 {
			require.NotContains(t, cfg.Resources, "gpu", c)
			require.Contains(t, cfg.Tags, "gpu", c)
		}
	}
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	_, code, done := parse([]string{"--devices=A100:40Gi", "--scheduler=dtask://h:1"}, io.Discard, io.Discard)
	require.True(t, done)
	require.Equal(t, 2, code)
}
