package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/cmd/logflags"
	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/sched"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// TestMain makes the test binary the scheduler itself when it is told to.
func TestMain(m *testing.M) {
	if os.Getenv("DTASK_TEST_SCHEDULER") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// process is a scheduler in a process of its own.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines chan string
	seen  []string
}

func launch(t testing.TB, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "DTASK_TEST_SCHEDULER=1")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{t: t, cmd: cmd, lines: make(chan string, 1_000)}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

// line waits for a line that starts with start, and returns the rest of it.
func (p *process) line(start string) string {
	p.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case l, ok := <-p.lines:
			require.Truef(p.t, ok, "no line %q in %q", start, p.seen)
			p.seen = append(p.seen, l)
			if rest, found := strings.CutPrefix(l, start); found {
				return rest
			}
		case <-limit:
			p.t.Fatalf("no line %q in %q", start, p.seen)
		}
	}
}

// exit waits for the end and returns the exit code.
func (p *process) exit() int {
	p.t.Helper()
	for l := range p.lines {
		p.seen = append(p.seen, l)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: patience}
	res, err := client.Get(url)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(b)
}

func TestStartAndStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			p := launch(t, "-port", "0")
			require.Empty(t, p.line("dtask-scheduler starting..."))
			port := p.line("Scheduler listening on port ")
			where := p.line("HTTP on 127.0.0.1:" + port)
			require.Contains(t, where, "native protocol on 127.0.0.1:")
			require.Contains(t, where, "(TCP and UDP)")
			require.Contains(t, where, "--host 0.0.0.0 --insecure")
			require.Equal(t, "[]\n", get(t, "http://127.0.0.1:"+port+"/api/v1/workers"))
			require.NoError(t, p.cmd.Process.Signal(sig))
			require.NoError(t, p.cmd.Process.Signal(sig), "some senders signal twice")
			require.Empty(t, p.line("Shutting down gracefully..."))
			require.Empty(t, p.line("Server stopped"))
			require.Equal(t, exitOK, p.exit())
		})
	}
}

func TestTheNativePortIsTheNext(t *testing.T) {
	number := ports.Row(t, 2)
	free, next := strconv.Itoa(number), net.JoinHostPort("127.0.0.1", strconv.Itoa(number+1))
	p := launch(t, "--port="+free)
	require.Equal(t, free, p.line("Scheduler listening on port "))
	conn, err := net.Dial("tcp", next)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	taken := ln.Addr().String()
	for _, args := range [][]string{
		{"--port=" + port(taken)},
		{"--port=0", "--listen=" + taken},
	} {
		p := launch(t, args...)
		require.Equal(t, exitError, p.exit())
		all := strings.Join(p.seen, "\n")
		require.Contains(t, all, taken+" is in use")
		require.Contains(t, all, "--port")
		require.NotContains(t, all, "listening on port")
	}
}

func TestUDPPortInUse(t *testing.T) {
	taken := takeUDP(t)
	defer func() { _ = taken.Close() }()
	addr := taken.LocalAddr().String()
	p := launch(t, "--port=0", "--listen="+addr)
	require.Equal(t, exitError, p.exit())
	require.Contains(t, strings.Join(p.seen, "\n"), addr+" is in use")
	p = launch(t, "--port=0", "--listen="+addr, "--udp=false")
	require.Contains(t, p.line("HTTP on "), "native protocol on "+addr+" (TCP)")
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--nonsense", exitUsage, "there is no flag --nonsense"},
		{"--port=x", exitUsage, "--port: \"x\" is no whole number\nnext: scheduler -h\n"},
		{"--port=70000", exitUsage, "outside 0..65535"},
		{"--port=65535", exitUsage, "--listen host:port"},
		{"serve", exitUsage, `unexpected argument "serve"`},
		{"--suspicious-threshold=soon", exitUsage, "want a duration"},
		{"--offline-threshold=1us", exitUsage, "whole milliseconds"},
		{"--port=0 --offline-threshold=1s", exitError, "--offline-threshold"},
		{"--port=0 --loops=0", exitError, "--loops"},
		{"--slow-decision=soon", exitUsage, "is no duration"},
		{"--port=0 --slow-decision=-1ms", exitError, "--slow-decision"},
		{"--log-level=loud", exitUsage, "want debug, info, warn or error"},
		{"--http-hosts=a,,b", exitUsage, "want names with commas between"},
		{"--log-format=xml", exitUsage, "want text or json"},
		{"--port=0 --quarantine-failures=2", exitError, "--quarantine-owners 3 is outside 1..--quarantine-failures 2"},
		{"--port=0 --quarantine-failures=16", exitError, "--quarantine-failures 16 is outside 1..15"},
		{"--port=0 --quarantine-first=2h", exitError, "--quarantine-first"},
		{"--host=0.0.0.0 --port=0", exitError, "Add --insecure"},
		{"--listen=:0 --port=0", exitError, "Add --insecure"},
		{"--version", exitOK, "dtask-scheduler dev"},
		{"-h", exitOK, "-start-ttl"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out bytes.Buffer
			require.Equal(t, c.code, run(context.Background(), strings.Fields(c.args), &out, &out))
			require.Contains(t, out.String(), c.want)
			require.NotContains(t, out.String(), "listening on port")
		})
	}
}

func TestAVersionThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	var stderr bytes.Buffer
	require.Equal(t, exitError, run(t.Context(), []string{"--version"}, full, &stderr))
	require.Contains(t, stderr.String(), "could not be written")
}

func TestFlagsReachTheConfiguration(t *testing.T) {
	o, err := parse(strings.Fields("-port 9 --host ::1 --suspicious-threshold 1s --offline-threshold=2s --retention 3m "+
		"--max-body-bytes 77 --heartbeat 500ms --start-ttl 4s --loops 2 --max-connections 5 --max-connections-per-source 4 --udp=false --insecure --queue 9 --queue-per-owner 8 --leases-per-owner 6 --hold-after-bypasses 7 --hold-after 6s --preempt-grace 3s --mass-loss-percent 5 --mass-loss-hold 4s "+
		"--quarantine=false --quarantine-failures 9 --quarantine-owners 8 --quarantine-percent 7 --quarantine-first 6s --quarantine-most 5m --quarantine-memory 4h "+
		"--metrics=false --pprof --slow-decision 3ms --log-format json --log-level warn --http-hosts a.example,b --any-content-type"), io.Discard)
	require.NoError(t, err)
	c := o.config
	require.Equal(t, "[::1]:9 [::1]:10", c.HTTPAddr+" "+c.Addr)
	require.EqualValues(t, []int64{1000, 2000, 180_000, 500, 4000}, []int64{int64(c.Sched.Suspicious),
		int64(c.Sched.Offline), int64(c.Sched.Retention), int64(c.Sched.Heartbeat), int64(c.Sched.StartTTL)})
	require.EqualValues(t, []int64{9, 8, 6, 7, 6000, 5, 4000, 3000}, []int64{int64(c.Sched.MaxWaiting), int64(c.Sched.MaxOwnerWaiting), int64(c.Sched.MaxOwnerLeases),
		int64(c.Sched.HoldAfterBypasses), int64(c.Sched.HoldAfter), int64(c.Sched.MassLossShare), int64(c.Sched.MassLossHold), int64(c.Sched.PreemptGrace)})
	q := sched.DefaultConfig()
	require.True(t, q.Quarantine)
	q.Quarantine, q.QuarantineFailures, q.QuarantineOwners, q.QuarantineShare = false, 9, 8, 7
	q.QuarantineFirst, q.QuarantineMost, q.QuarantineMemory = 6000, 300_000, 14_400_000
	require.Equal(t, quarantineOf(q), quarantineOf(c.Sched))
	require.EqualValues(t, 77, c.MaxBody)
	require.Equal(t, []int{2, 5, 4}, []int{c.Loops, c.MaxConnections, c.MaxConnectionsPerSource})
	require.True(t, c.Insecure)
	require.False(t, c.UDP)
	require.False(t, c.Metrics)
	require.True(t, c.Pprof)
	require.True(t, c.AnyContentType)
	require.Equal(t, []string{"a.example", "b"}, c.HTTPHosts)
	require.Equal(t, 3*time.Millisecond, c.SlowDecision)
	require.Equal(t, logflags.Options{JSON: true, Level: slog.LevelWarn}, o.log)
}

// In JSON every line is an object, those that scripts look for included, at
// every level.
func TestJSONLines(t *testing.T) {
	p := launch(t, "--port=0", "--log-format=json", "--log-level=error")
	var messages []string
	message := func(line string) string {
		var record struct{ Level, Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		messages = append(messages, record.Msg)
		return record.Msg
	}
	for {
		if strings.HasPrefix(message(p.line("")), "HTTP on ") {
			break
		}
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitOK, p.exit())
	messages = nil
	for _, line := range p.seen {
		message(line)
	}
	require.Len(t, messages, 5)
	require.Equal(t, "dtask-scheduler starting...", messages[0])
	require.Contains(t, messages[1], "Scheduler listening on port ")
	require.Equal(t, []string{"Shutting down gracefully...", "Server stopped"}, messages[3:])
}

func TestHealthAndMetricsAreServed(t *testing.T) {
	p := launch(t, "--port=0", "--heartbeat=50ms", "--pprof")
	url := "http://127.0.0.1:" + p.line("Scheduler listening on port ")
	require.Contains(t, get(t, url+"/livez"), "ok")
	require.Eventually(t, func() bool { return strings.Contains(get(t, url+"/readyz"), `"ok"`) }, patience, 50*time.Millisecond)
	metrics := get(t, url+"/metrics")
	require.Contains(t, metrics, `dtask_build_info{go_version="`+runtime.Version()+`",revision="unknown",version="dev"} 1`)
	require.Contains(t, metrics, "dtask_ready 1")
	require.Contains(t, get(t, url+"/debug/pprof/"), "goroutine")
}

// quarantineOf keeps of a configuration what is of quarantines.
func quarantineOf(c sched.Config) sched.Config {
	return sched.Config{Quarantine: c.Quarantine, QuarantineFailures: c.QuarantineFailures, QuarantineOwners: c.QuarantineOwners,
		QuarantineShare: c.QuarantineShare, QuarantineFirst: c.QuarantineFirst, QuarantineMost: c.QuarantineMost, QuarantineMemory: c.QuarantineMemory}
}

func TestInsecureIsSaid(t *testing.T) {
	p := launch(t, "--host=0.0.0.0", "--port=0", "--insecure")
	number := p.line("Scheduler listening on port ")
	require.Contains(t, p.line("HTTP on "), "no authentication")
	require.Contains(t, get(t, "http://127.0.0.1:"+number+"/healthz"), "ok")
}

// takeUDP takes a UDP port whose number is free for TCP, below those that the
// system gives to outgoing connections.
func takeUDP(t *testing.T) net.PacketConn {
	for port := 20_000 + os.Getpid()%5_000; port < 30_000; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		tcp, err := net.Listen("tcp", addr)
		if err == nil {
			require.NoError(t, tcp.Close())
			return udp
		}
		require.NoError(t, udp.Close())
	}
	t.Fatal("no free port")
	return nil
}
