package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

func TestRequestIDs(t *testing.T) {
	f := start(t)
	id := func(header ...string) string {
		return f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`, header...).header.Get("X-Request-ID")
	}
	require.Equal(t, "run-7/step:3", id("X-Request-ID", "run-7/step:3"))
	longest := strings.Repeat("x", gateway.MaxRequestID)
	require.Equal(t, longest, id("X-Request-ID", longest))
	seen := map[string]bool{}
	for _, given := range []string{"", longest + "x", "a b", "a\tb", "ä"} {
		made := id("X-Request-ID", given)
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]+$`, made, "%q", given)
		require.False(t, seen[made])
		seen[made] = true
	}
	require.NotEmpty(t, f.call("GET", "/nowhere", "").header.Get("X-Request-ID"), "also of what is refused")
}

// Whoever changes something can be found by the id of the request, and cannot
// make a line look like another.
func TestChangesAreLoggedWithTheirRequest(t *testing.T) {
	f := start(t)
	f.beat("w 1\nlevel=ERROR msg=\"forged\" \x1b[31m", 1, 0)
	path := "/api/v1/workers/" + "w%201%0Alevel=ERROR%20msg=%22forged%22%20%1B%5B31m"
	a := f.call("POST", path+"/cordon", `{"reason":"a \"b\" level=ERROR"}`, "X-Request-ID", "run-7")
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, 200, f.call("DELETE", path, "").status)
	worker := `worker="w 1\nlevel=ERROR msg=\"forged\" \x1b[31m"`
	require.Contains(t, f.log.String(), `level=INFO msg="worker cordoned" `+worker+` reason="a \"b\" level=ERROR" by=127.0.0.1 changed=true request_id=run-7`)
	require.Contains(t, f.log.String(), `level=INFO msg="worker removed" `+worker+` request_id=`)
	for line := range strings.SplitSeq(strings.TrimSpace(f.log.String()), "\n") {
		require.True(t, strings.HasPrefix(line, "time="), line)
		require.Contains(t, line, " level=INFO ")
	}
}

func TestChangesDoNotFloodTheLog(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0)
	for range 3 * gateway.ChangeLines {
		f.post("/api/v1/workers/w1/cordon", "")
	}
	require.LessOrEqual(t, strings.Count(f.log.String(), "worker cordoned"), 2*gateway.ChangeLines)
}

// By default no request has a line of its own; at the level debug some do.
func TestRequestsAreNotLogged(t *testing.T) {
	f := start(t)
	f.agent("w1", 1)
	quiet := f.log.String()
	for range 10 {
		f.beat("w2", 1, 0)
		f.post("/api/v1/schedule", `{"task_id":"t"}`)
	}
	require.Equal(t, quiet, f.log.String())

	var log logBuffer
	f = start(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for range 2*gateway.RequestLines + 10 {
		f.post("/api/v1/schedule", `{"task_id":"t"}`)
	}
	f.call("GET", "/livez", "")
	lines := strings.Count(log.String(), `msg="HTTP request"`)
	require.Positive(t, lines)
	require.Contains(t, log.String(), "op=schedule status=503 code=infeasible took=")
	require.NotContains(t, log.String(), "hello_ok")
}

// A use of the core that takes long is counted and told, of both APIs.
func TestSlowDecisions(t *testing.T) {
	f := prepare(t, func(c *Config) { c.SlowDecision = 5 * time.Millisecond })
	f.core.before = func(m wire.Message) {
		if _, slow := m.(*wire.Schedule); slow {
			time.Sleep(6 * time.Millisecond)
		}
	}
	require.NoError(t, f.Start())
	c := f.dial("c1")
	time.Sleep(2 * freshFor) // else it may be one that is not timed
	require.IsType(t, &wire.Error{}, c.ask(1, task("t1")))
	require.Regexp(t, `level=WARN msg="a slow decision" op=schedule requests=1 took=\S+ dropped=0\n`, f.log.String())
	f.limiter.mu.Lock()
	clear(f.limiter.last)
	f.limiter.mu.Unlock()
	f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`, "X-Request-ID", "run-7")
	require.Regexp(t, `level=WARN msg="a slow decision" op=schedule requests=1 took=\S+ dropped=0 request_id=run-7\n`, f.log.String())
	time.Sleep(2 * freshFor)
	c.ask(2, task("t2"))
	require.GreaterOrEqual(t, value(t, f.gather(), "dtask_slow_decisions_total"), 3.0)
	require.Equal(t, 2, strings.Count(f.log.String(), "a slow decision"), "one line in a second")
}

func TestNoLinesForSlowDecisions(t *testing.T) {
	f := prepare(t, func(c *Config) { c.SlowDecision = 0 })
	f.core.before = func(wire.Message) { time.Sleep(12 * time.Millisecond) }
	require.NoError(t, f.Start())
	f.dial("c1")
	require.NotContains(t, f.log.String(), "slow")
	require.Zero(t, f.slowSeen.Load())
}

// A fault in the handler of an HTTP request is counted and logged.
func TestAFaultInAnHTTPHandler(t *testing.T) {
	f := start(t)
	host := web{f.limiter, f.Server}
	host.Faulted("run-7", "early")
	host.Count(0, wire.CodeInternal, time.Millisecond)
	require.Contains(t, f.log.String(), "request_id=run-7 cause=early stack=")
	all := f.gather()
	require.Equal(t, 1.0, value(t, all, "dtask_handler_panics_total"))
	require.Equal(t, 1.0, value(t, all, "dtask_requests_total", "api=http", "op=unknown", "code=internal"))
}

func TestTheLastOfAFloodIsTold(t *testing.T) {
	var log logBuffer
	now := sched.Time(5_000)
	l := newLimiter(func() sched.Time { return now })
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for i := range 10 {
		ok, dropped := l.Allow("x", 3)
		require.Equal(t, i < 3, ok)
		require.Zero(t, dropped)
	}
	l.flush(logger)
	require.Empty(t, log.String(), "it may go on")
	now += logEvery
	l.flush(logger)
	l.flush(logger)
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), `msg="lines were dropped" reason=x dropped=7`)
	for i := range 2 * logReasons {
		l.allow(fmt.Sprint(i))
	}
	require.LessOrEqual(t, len(l.last), logReasons)
	ok, dropped := l.allow("y")
	require.True(t, ok)
	require.Zero(t, dropped)
	l.allow("y")
	now += logEvery
	_, dropped = l.allow("y")
	require.Equal(t, 1, dropped)
}

func TestProfiles(t *testing.T) {
	f := start(t)
	for _, path := range []string{"/debug/pprof", "/debug/pprof/", "/debug/pprof/heap"} {
		require.Equal(t, 404, f.call("GET", path, "").status)
	}
	f = start(t, func(c *Config) { c.Pprof = true })
	for path, want := range map[string]string{
		"/debug/pprof": "goroutine", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/cmdline": "server.test",
	} {
		a := f.call("GET", path, "")
		require.Equal(t, 200, a.status, path)
		require.Contains(t, a.body, want, path)
	}
	require.Equal(t, 200, f.call("GET", "/debug/pprof/profile?seconds=1", "").status)
	require.Equal(t, 404, f.call("GET", "/debug/pprofile", "").status)
	require.Zero(t, value(t, f.gather(), "dtask_requests_total", "code=ok", "api=http"))
}

// A stop that was asked for is no error.
func TestAStopLogsNoError(t *testing.T) {
	f := start(t)
	f.dial("c1")
	require.NoError(t, f.Shutdown(t.Context()))
	require.NotContains(t, f.log.String(), "level=ERROR")
}
