package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// patience bounds every wait of the tests.
const patience = 15 * time.Second

// grace is what preempted tasks have, in milliseconds.
const grace = 1000

// scheduler starts a scheduler on free ports.
func scheduler(t *testing.T) *server.Server {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.MaxConnections = 64
	cfg.Sched.Heartbeat, cfg.Sched.PreemptGrace = 100, grace
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	return s
}

// site is a worker with its sidecar.
type site struct {
	t       *testing.T
	agent   *agent.Agent
	sidecar *Server
	url     string
}

// start starts a worker and its sidecar.
func start(t *testing.T, scheduler string, slots uint32, tune ...func(*agent.Config)) *site {
	cfg := agent.Config{
		Scheduler: scheduler, Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: slots,
		TasksDieWithAgent: true,
	}
	for _, f := range tune {
		f(&cfg)
	}
	a, err := agent.Start(t.Context(), cfg)
	require.NoError(t, err)
	l, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	s := &site{t: t, agent: a, sidecar: New(a, nil), url: "http://" + l.Addr().String()}
	served := make(chan error, 1)
	go func() { served <- s.sidecar.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.sidecar.Shutdown(ctx))
		require.NoError(t, <-served)
		a.Stop(ctx)
	})
	return s
}

func (s *site) connected() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.agent.Status().Connected }, patience, time.Millisecond)
}

// ask sends a request and returns the answer's object.
func (s *site) ask(method, path, body string) (int, map[string]any) {
	s.t.Helper()
	return send(s.t, method, s.url+path, body)
}

// post expects that a request is granted.
func (s *site) post(path, body string) map[string]any {
	s.t.Helper()
	status, got := s.ask(http.MethodPost, path, body)
	require.Equal(s.t, http.StatusOK, status, "%v", got)
	return got
}

// refused expects that a request is refused for a reason.
func (s *site) refused(path, body string, status int, reason string) map[string]any {
	s.t.Helper()
	got, fault := s.ask(http.MethodPost, path, body)
	require.Equal(s.t, reason, fault["reason"], "%v", fault)
	require.Equal(s.t, status, got, "%v", fault)
	require.NotEmpty(s.t, fault["error"])
	return fault
}

func send(t *testing.T, method, url, body string) (int, map[string]any) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"), "%s", text)
	var object map[string]any
	require.NoError(t, json.Unmarshal(text, &object), "%s", text)
	return resp.StatusCode, object
}

// schedule places a task by the HTTP API and returns the answer as it came.
func schedule(t *testing.T, s *server.Server, task string) string {
	t.Helper()
	return scheduleWith(t, s, `"task_id":"`+task+`","required_tags":["cpu"]`)
}

// scheduleWith places a task with these members.
func scheduleWith(t *testing.T, s *server.Server, members string) string {
	t.Helper()
	var text []byte
	require.Eventually(t, func() bool {
		resp, err := http.Post("http://"+s.HTTPAddr()+"/api/v1/schedule", "application/json",
			strings.NewReader("{"+members+"}"))
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err = io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK
	}, patience, 10*time.Millisecond)
	return string(text)
}

// with returns the JSON object with members more, or others.
func with(t *testing.T, object, members string) string {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(object))
	d.UseNumber()
	require.NoError(t, d.Decode(&m))
	require.NoError(t, json.Unmarshal([]byte("{"+members+"}"), &m))
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return string(b)
}

// query asks the scheduler by the native protocol.
func query[M wire.Message](t *testing.T, s *server.Server, m wire.Message) M {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.DialConn(ctx, s.Addr(), &wire.Hello{Role: wire.RoleClient}, nil)
	require.NoError(t, err)
	defer c.Close()
	answered := make(chan M, 1)
	require.NoError(t, c.Go(m, func(m wire.Message, err error) {
		if got, ok := m.(M); ok {
			answered <- got
		}
	}))
	select {
	case m := <-answered:
		return m
	case <-ctx.Done():
		require.Fail(t, "no answer came")
		panic("unreachable")
	}
}

// ended waits until the scheduler's newest ended lease is of this task, and
// returns its reason.
func ended(t *testing.T, s *server.Server, task string) wire.Reason {
	t.Helper()
	var reason wire.Reason
	require.Eventually(t, func() bool {
		rows := query[*wire.EndedLeases](t, s, &wire.ListEnded{Task: task, Limit: 1}).Rows
		if len(rows) == 1 {
			reason = rows[0].Reason
		}
		return len(rows) == 1
	}, patience, 10*time.Millisecond)
	return reason
}

// child starts a process that lives until the test ends it.
func child(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "60")
	require.NoError(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c
}

// raw sends bytes to the sidecar and reads until it closes the connection.
func raw(t *testing.T, addr string, text []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write(text)
	require.NoError(t, err)
	var got bytes.Buffer
	_, err = got.ReadFrom(c)
	require.NoError(t, err)
	return got.Bytes()
}
