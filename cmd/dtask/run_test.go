package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// interruptAfter runs a command line that goes on until it is interrupted, does
// so when a line of its output contains the text, and returns all output.
func interruptAfter(t *testing.T, text string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, w := io.Pipe()
	code := make(chan int, 1)
	var stderr strings.Builder
	go func() {
		code <- run(ctx, append([]string{"dtask"}, args...), w, &stderr)
		w.Close()
	}()
	var out strings.Builder
	found := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), text) {
			found = true
			cancel()
		}
	}
	require.True(t, found, "no %q in:\n%s%s", text, out.String(), stderr.String())
	require.Equal(t, exitInterrupted, <-code, stderr.String())
	require.Empty(t, stderr.String())
	return out.String()
}

func TestDemoKeepSaysWhatToTry(t *testing.T) {
	out := interruptAfter(t, "schedule gpu --gpus 1 --count 3", "demo", "--keep", "--tasks", "5")
	require.Regexp(t, `(?m)^  curl http://127.0.0.1:\d+/api/v1/workers$`, out)
	require.Regexp(t, `(?m)^  dtask --addr 127.0.0.1:\d+ worker list --watch$`, out)
}

func TestEventsFollowUntilInterrupted(t *testing.T) {
	addr, stop, err := embed()
	require.NoError(t, err)
	defer stop()
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + addr, Worker: "w1", Address: "h:1", Slots: 1, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	defer func() { _ = a.Stop(context.Background()) }()
	out := interruptAfter(t, `"what":"joined","worker_id":"w1"`, "--addr", addr, "-o", "json", "events", "--follow")
	require.Equal(t, 1, strings.Count(out, "\n"), out)
}

func TestWorkersWatchGoesOn(t *testing.T) {
	addr, stop, err := embed()
	require.NoError(t, err)
	defer stop()
	lists := 0
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	code := run(ctx, []string{"dtask", "--addr", addr, "workers", "-w", "--interval", "100ms"}, writeFunc(func(b []byte) (int, error) {
		if lists += strings.Count(string(b), "0 workers"); lists >= 3 {
			cancel()
		}
		return len(b), nil
	}), io.Discard)
	require.Equal(t, exitInterrupted, code)
	require.GreaterOrEqual(t, lists, 3)
}

// writeFunc is a function as a writer.
type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(b []byte) (int, error) { return f(b) }

func TestPlainWithoutATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "out")
	require.NoError(t, err)
	defer f.Close()
	require.False(t, wantsColour(f))
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		40 * time.Millisecond: "40ms", 12 * time.Second: "12s", 192 * time.Second: "3m12s",
		90 * time.Minute: "1h30m", 50 * time.Hour: "2d02h",
	} {
		require.Equal(t, want, age(d))
	}
	require.Equal(t, "1.23ms", precise(1_234_567))
	require.Equal(t, "987ns", precise(987))
}

// A worker that is held is seen as that in a list, with its flags.
func TestAHeldWorkerIsShown(t *testing.T) {
	a := &app{out: &printer{}}
	for want, w := range map[string]*wire.WorkerInfo{
		"online":                      {State: "online"},
		"online (reserved)":           {State: "online", HeldBy: "c/train-7"},
		"suspicious (http, reserved)": {State: "suspicious", Flags: []string{"http"}, HeldBy: "c/train-7"},
		"online (cordoned)":           {State: "online", Flags: []string{"cordoned"}},
	} {
		require.Equal(t, want, a.state(w))
	}
}

func TestColoursTakeNoColumns(t *testing.T) {
	p := &printer{colour: true}
	require.Equal(t, 6, visible(p.in(green, "online")))
	p.colour = false
	require.Equal(t, "online", p.in(green, "online"))
}

func TestQuoted(t *testing.T) {
	require.Equal(t, "gpu 'NVIDIA (A100)' 'it'\\''s'", quoted([]string{"gpu", "NVIDIA (A100)", "it's"}))
}

func TestTerminalsObeyNobodyElse(t *testing.T) {
	var out strings.Builder
	p := newPrinter(&out)
	p.colour = true
	p.table([]string{"WORKER", "STATE"}, [][]string{{"w\x1b]0;title\x07\n\u202e1", p.in(green, "online")}})
	p.id("a\rb")
	require.Equal(t, "WORKER          STATE\nw\ufffd]0;title\ufffd\ufffd\ufffd1  \x1b[32monline\x1b[0m\na\ufffdb\n", out.String())
	out.Reset()
	report(&out, errors.New("one\x1b[2J\ntwo"))
	require.Equal(t, "dtask: one\ufffd[2J\n  two\n", out.String())
}

func TestTheTokenIsSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	t.Setenv("DTASK_TOKEN", "secret")
	hello := make(chan *wire.Hello, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, wire.MaxFrameBeforeHello)
		n, _ := nc.Read(buf) // hello is one small write
		frame, _, _ := wire.Split(buf[:n], wire.MaxFrameBeforeHello)
		var d wire.Decoder
		m, _, _ := d.Decode(frame)
		h, _ := m.(*wire.Hello)
		hello <- h
		_, _ = nc.Write(wire.Append(nil, 1, &wire.Error{Code: wire.CodeUnauthorized, Message: "wrong token"}))
	}()
	var stderr strings.Builder
	require.Equal(t, exitError, run(t.Context(), []string{"dtask", "--addr", l.Addr().String(), "ping"}, io.Discard, &stderr))
	require.Equal(t, "secret", (<-hello).Token)
	require.Contains(t, stderr.String(), "next: put the token into DTASK_TOKEN")
}

// oldScheduler answers hello as a scheduler does that knows no selectors.
func oldScheduler(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = nc.Read(make([]byte, wire.MaxFrameBeforeHello)) // hello is one small write
			_, _ = nc.Write(wire.Append(nil, 1, &wire.HelloOK{Version: wire.Version, Server: "v0.1", Grantor: wire.Grantor{Epoch: 1, Instance: 1}}))
			go func() {
				defer nc.Close()
				_, _ = nc.Read(make([]byte, 1)) // until the client goes
			}()
		}
	}()
	return l.Addr().String()
}

func TestAnOldSchedulerIsNotAskedForMore(t *testing.T) {
	addr := oldScheduler(t)
	for field, args := range map[string][]string{
		"selector": {"gpu && cuda>=12"}, "resources": {"gpu", "--gpus", "1"}, "all_or_none": {"gpu", "--count", "2", "--gang"}, "exclusive": {"--exclusive"},
	} {
		var out, stderr strings.Builder
		code := run(t.Context(), append([]string{"dtask", "--addr", addr, "schedule"}, args...), &out, &stderr)
		require.Equal(t, exitError, code, stderr.String())
		require.Empty(t, out.String())
		require.Contains(t, stderr.String(), field+`: the scheduler is too old to know this field and would ignore it; its version is "v0.1"`)
		require.Contains(t, stderr.String(), "\nnext: update the scheduler, or leave that out;")
	}
}

// TestTheHTTPPortIsRecognised: the port of the HTTP API is answered with the other.
func TestTheHTTPPortIsRecognised(t *testing.T) {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	defer s.Kill()
	_, port, err := net.SplitHostPort(s.Addr())
	require.NoError(t, err)
	var stderr strings.Builder
	require.Equal(t, exitError, run(t.Context(), []string{"dtask", "--addr", s.HTTPAddr(), "ping"}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "this port speaks HTTP; the native protocol of dtask-scheduler is on port "+port+"\n")
	require.Contains(t, stderr.String(), "next: name the port of the native protocol with --addr")
}
