package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client/httpapi"
	"github.com/dtask/dtask-scheduler/server"
)

const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, base string, o *httpapi.Options) *httpapi.Client {
	t.Helper()
	c, err := httpapi.New(base, o)
	require.NoError(t, err)
	return c
}

// realScheduler returns a client of a real scheduler, whose URL ends with a slash.
func realScheduler(t *testing.T) *httpapi.Client {
	return newClient(t, "http://"+startScheduler(t).HTTPAddr()+"/", nil)
}

func startScheduler(t *testing.T) *server.Server {
	cfg := server.DefaultConfig()
	cfg.Sched.Learning = false
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	return s
}

func TestAgainstTheRealScheduler(t *testing.T) {
	c, ctx := realScheduler(t), within(t)
	all, err := c.Workers(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
	_, err = c.Schedule(ctx, httpapi.Task{ID: "t1", Tags: []string{"gpu"}})
	require.ErrorIs(t, err, httpapi.ErrInfeasible)

	beat := httpapi.Heartbeat{Worker: "w/1 ä", Address: "h:1", Tags: []string{"gpu"}, MaxTasks: 1, Metrics: &httpapi.Metrics{CPU: 0.5}}
	require.NoError(t, c.Heartbeat(ctx, beat))
	task := httpapi.Task{ID: "t1", Tags: []string{"gpu"}, Key: "once", Owner: "ann"}
	p, err := c.Schedule(ctx, task)
	require.NoError(t, err)
	require.Equal(t, []any{"w/1 ä", "h:1", true, false}, []any{p.Worker, p.Address, p.BestEffort, p.Repeat})
	again, err := c.Schedule(ctx, task)
	require.NoError(t, err)
	require.True(t, again.Repeat)
	require.Equal(t, p.Lease, again.Lease)
	_, err = c.Schedule(ctx, httpapi.Task{ID: "t2", Key: "once"})
	require.ErrorIs(t, err, httpapi.ErrConflict)
	_, err = c.Schedule(ctx, httpapi.Task{ID: "t2"})
	require.ErrorIs(t, err, httpapi.ErrUnavailable)

	all, err = c.Workers(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, []any{"w/1 ä", int64(1), int64(0), "online"}, []any{all[0].WorkerID, all[0].CurrentTasks, all[0].Available, all[0].Status})
	require.WithinDuration(t, time.Now(), all[0].LastHeartbeat, time.Minute)

	s, err := c.Renew(ctx, p.Lease.String())
	require.NoError(t, err)
	require.Equal(t, httpapi.Status{Status: "assumed"}, s)
	s, err = c.Release(ctx, p.Lease.String(), false)
	require.NoError(t, err)
	require.Equal(t, "released", s.Status)
	s, err = c.Release(ctx, p.Lease.String(), false)
	require.NoError(t, err)
	require.Equal(t, httpapi.Status{Status: "already_ended", Reason: "released"}, s)
	_, err = c.Renew(ctx, "1-2-3")
	require.ErrorIs(t, err, httpapi.ErrNotFound)

	require.NoError(t, c.DeleteWorker(ctx, "w/1 ä"))
	require.ErrorIs(t, c.DeleteWorker(ctx, "w/1 ä"), httpapi.ErrNotFound)
	var refused *httpapi.StatusError
	require.ErrorAs(t, c.Heartbeat(ctx, httpapi.Heartbeat{}), &refused)
	require.Equal(t, http.StatusBadRequest, refused.Status)
	require.Error(t, c.DeleteWorker(ctx, ""))
}

// scripted is a server that gives one answer after the other, the last one
// again and again, and counts.
func scripted(t *testing.T, answers ...http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(n.Add(1)) - 1
		answers[min(i, len(answers)-1)](w, r)
	}))
	t.Cleanup(s.Close)
	return s, &n
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func breakOff(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestNoStatusIsLost(t *testing.T) {
	for _, tc := range []struct {
		status  int
		body    string
		message string
	}{
		{418, "<h1>a proxy</h1>", ""},
		{500, "", ""},
		{404, `{"error":"no such worker","reason":"not_found"}`, "no such worker"},
		{200, "<h1>welcome to the login page</h1>", ""},
		{200, `{"hello":"world"}`, ""},
		{200, "null", ""},
		{200, "", ""},
		{503, strings.Repeat("x", 10_000), ""},
	} {
		s, _ := scripted(t, text(tc.status, tc.body))
		c := newClient(t, s.URL, &httpapi.Options{Attempts: 1})
		for name, call := range calls(within(t), c) {
			var e *httpapi.StatusError
			require.ErrorAs(t, call(), &e, "%s after %d %q", name, tc.status, tc.body)
			require.Equal(t, tc.status, e.Status)
			require.Equal(t, tc.body[:min(len(tc.body), 4096)], e.Text)
			require.Equal(t, tc.message, e.Message)
			require.Contains(t, e.Error(), fmt.Sprint(tc.status))
		}
	}
}

// calls are all calls that may be repeated.
func calls(ctx context.Context, c *httpapi.Client) map[string]func() error {
	return map[string]func() error{
		"heartbeat": func() error { return c.Heartbeat(ctx, httpapi.Heartbeat{Worker: "w1"}) },
		"workers":   func() error { _, err := c.Workers(ctx); return err },
		"delete":    func() error { return c.DeleteWorker(ctx, "w1") },
		"renew":     func() error { _, err := c.Renew(ctx, "1-2-3"); return err },
		"release":   func() error { _, err := c.Release(ctx, "1-2-3", true); return err },
		"keyed":     func() error { _, err := c.Schedule(ctx, httpapi.Task{ID: "t1", Key: "k"}); return err },
	}
}

func TestWhatIsSafeIsRepeated(t *testing.T) {
	good := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/workers":
			text(200, "[]")(w, r)
		case "/api/v1/schedule":
			text(200, `{"worker_id":"w1","address":"h:1"}`)(w, r)
		default:
			text(200, `{"status":"ok"}`)(w, r)
		}
	}
	for _, bad := range []http.HandlerFunc{breakOff, text(502, "bad gateway"), text(503, "proxy"), text(504, ""), text(429, "slow")} {
		for name := range calls(t.Context(), nil) {
			s, n := scripted(t, bad, good)
			c := newClient(t, s.URL, nil)
			require.NoError(t, calls(within(t), c)[name](), name)
			require.Equal(t, int64(2), n.Load(), name)
		}
	}
}

func TestWhatIsNotSafeIsNotRepeated(t *testing.T) {
	for _, bad := range []http.HandlerFunc{breakOff, text(502, ""), text(503, "proxy"), text(500, "")} {
		s, n := scripted(t, bad)
		_, err := newClient(t, s.URL, nil).Schedule(within(t), httpapi.Task{ID: "t1"})
		require.Error(t, err)
		require.Equal(t, int64(1), n.Load(), "a placement may have been taken")
	}
	full := text(503, `{"error":"no available worker matching requirements"}`)
	s, n := scripted(t, full)
	_, err := newClient(t, s.URL, nil).Schedule(within(t), httpapi.Task{ID: "t1", Key: "k"})
	require.ErrorIs(t, err, httpapi.ErrUnavailable, "the older scheduler gives no reason")
	require.Equal(t, int64(1), n.Load(), "a refusal is an answer")
}

func TestARequestThatNeverLeftIsRepeated(t *testing.T) {
	dials := 0
	c := newClient(t, "http://127.0.0.1:1", &httpapi.Options{HTTP: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		},
	}}})
	_, err := c.Schedule(within(t), httpapi.Task{ID: "t1"})
	require.ErrorContains(t, err, "refused")
	require.Equal(t, httpapi.DefaultAttempts, dials)
}

func TestRepeatsOfReleaseAndDelete(t *testing.T) {
	s, _ := scripted(t, breakOff, text(200, `{"status":"already_ended","reason":"released"}`))
	st, err := newClient(t, s.URL, nil).Release(within(t), "1-2-3", false)
	require.NoError(t, err)
	require.Equal(t, httpapi.Status{Status: "released"}, st)
	s, _ = scripted(t, breakOff, text(404, `{"error":"no such worker"}`))
	require.NoError(t, newClient(t, s.URL, nil).DeleteWorker(within(t), "w1"))
}

func TestTheContextEndsWaitsAndAttempts(t *testing.T) {
	slow := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusBadGateway)
	}
	s, n := scripted(t, slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := newClient(t, s.URL, nil).Workers(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var e *httpapi.StatusError
	require.ErrorAs(t, err, &e, "the status is kept beside the end of the context")
	require.Equal(t, time.Hour, e.RetryAfter)
	require.Less(t, time.Since(start), patience)
	require.Equal(t, int64(1), n.Load())

	hangs := make(chan struct{})
	s, n = scripted(t, func(http.ResponseWriter, *http.Request) { <-hangs })
	defer close(hangs)
	_, err = newClient(t, s.URL, &httpapi.Options{Timeout: 20 * time.Millisecond}).Workers(within(t))
	require.Error(t, err)
	require.Equal(t, int64(httpapi.DefaultAttempts), n.Load(), "a timeout of one attempt is followed by another")
}

func TestAnswersAreBounded(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(`{"status":"` + strings.Repeat("x", 64<<10))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	s, n := scripted(t, endless)
	_, err := newClient(t, s.URL, nil).Renew(within(t), "1-2-3")
	require.ErrorIs(t, err, httpapi.ErrTooLarge)
	require.Equal(t, int64(1), n.Load())
}

func TestBadOptions(t *testing.T) {
	for _, base := range []string{"", "host:8080", "ftp://h", "http://", "http://h?x=1", "http://h/#a", "http://[::1"} {
		_, err := httpapi.New(base, nil)
		require.Error(t, err, base)
	}
	for _, o := range []httpapi.Options{{Attempts: -1}, {Attempts: 11}, {Timeout: -1}} {
		_, err := httpapi.New("http://h", &o)
		require.ErrorContains(t, err, "Options")
	}
}

func TestSlashesInTheBaseDoNoHarm(t *testing.T) {
	for _, tail := range []string{"", "/", "//", "/behind/a/proxy/"} {
		var path string
		s, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			text(200, "[]")(w, r)
		})
		_, err := newClient(t, s.URL+tail, nil).Workers(within(t))
		require.NoError(t, err)
		require.Equal(t, strings.TrimRight(tail, "/")+"/api/v1/workers", path)
	}
}

func TestAPlacementIsAHandover(t *testing.T) {
	s, _ := scripted(t, text(200, `{"worker_id":"w1","address":"h:1","lease_id":"1-2-3","incarnation":"9","task_id":"t1","ttl_ms":10000}`))
	p, err := newClient(t, s.URL, nil).Schedule(within(t), httpapi.Task{ID: "t1"})
	require.NoError(t, err)
	out, err := json.Marshal(p)
	require.NoError(t, err)
	require.JSONEq(t, `{"worker_id":"w1","address":"h:1","lease_id":"1-2-3","incarnation":"9","task_id":"t1","priority":0,"ttl_ms":10000}`, string(out))
}
