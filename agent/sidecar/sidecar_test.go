package sidecar

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/wire"
)

func TestLifeOfATask(t *testing.T) {
	t.Parallel()
	sched := scheduler(t)
	s := start(t, "dtask://"+sched.Addr(), 2)
	s.connected()
	program := child(t)
	lease := schedule(t, sched, "task-1")
	begun := s.post("/begin", with(t, lease, fmt.Sprintf(`"pid":%d`, program.Process.Pid)))
	require.Equal(t, "begun", begun["status"])
	require.Equal(t, "task-1", begun["task_id"])
	require.Eventually(t, func() bool { return query[*wire.Stats](t, sched, &wire.GetStats{}).Begun == 1 }, patience, 10*time.Millisecond)

	st, text, err := Ask(t.Context(), strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	require.True(t, json.Valid(text))
	require.Equal(t, "w1", st.Worker)
	require.True(t, st.Connected)
	require.Equal(t, sched.Addr(), st.Scheduler)
	require.NotZero(t, st.Promised.Instance)
	require.WithinDuration(t, time.Now(), *st.LastContact, patience)
	require.Equal(t, Heartbeat{By: agent.ByTCP, IntervalMS: 100}, st.Heartbeat)
	require.Len(t, st.Running, 1)
	task := st.Running[0]
	require.Equal(t, "task-1", task.Task)
	require.Equal(t, program.Process.Pid, task.PID)
	require.Equal(t, begun["lease_id"], task.Lease.String())
	require.WithinDuration(t, time.Now(), *task.Begun, patience)

	// The lease as it was granted names the task, too, and options may stand in
	// the query: a shell needs no JSON of its own.
	require.Equal(t, "ended", s.post("/end?outcome=failed&leave_running=true", lease)["status"])
	require.Equal(t, wire.ReasonFailed, ended(t, sched, "task-1"))
	require.Zero(t, query[*wire.Stats](t, sched, &wire.GetStats{}).Used)
	require.Empty(t, s.sidecar.Report().Running)
	s.refused("/end", with(t, lease, `"outcome":"ok"`), http.StatusNotFound, "not_running")
}

// TestABeginTellsTheDevices: a program in any language learns which GPUs it may
// use, by the names that the worker itself was given.
func TestABeginTellsTheDevices(t *testing.T) {
	t.Parallel()
	sched := scheduler(t)
	s := start(t, "dtask://"+sched.Addr(), 9, func(c *agent.Config) {
		c.Devices = []wire.Device{{Model: "A100", Memory: 40960}, {Model: "A100", Memory: 40960}}
		c.VisibleDevices = []string{"3", "5"}
	})
	s.connected()
	begin := func(members string) map[string]any {
		got := s.post("/begin?keepalive_ms=60000", scheduleWith(t, sched, `"required_tags":["cpu"],`+members))
		require.Equal(t, "PCI_BUS_ID", got["env"].(map[string]any)["CUDA_DEVICE_ORDER"])
		return got
	}
	share := begin(`"task_id":"share","resources":{"gpu_mem":"8Gi"}`)
	require.Equal(t, []any{0.0}, share["devices"])
	require.Equal(t, "3", share["env"].(map[string]any)["CUDA_VISIBLE_DEVICES"])
	whole := begin(`"task_id":"whole","resources":{"gpu":1}`)
	require.Equal(t, []any{1.0}, whole["devices"])
	require.Equal(t, "5", whole["env"].(map[string]any)["CUDA_VISIBLE_DEVICES"])
	none := begin(`"task_id":"none"`)
	require.NotContains(t, none, "devices")
	require.Empty(t, none["env"].(map[string]any)["CUDA_VISIBLE_DEVICES"])

	plain := start(t, "dtask://"+sched.Addr(), 1, func(c *agent.Config) { c.Worker, c.Tags = "w2", []string{"plain"} })
	plain.connected()
	got := plain.post("/begin?keepalive_ms=60000", scheduleWith(t, sched, `"task_id":"plain","required_tags":["plain"]`))
	require.NotContains(t, got, "devices")
	require.NotContains(t, got, "env")
}

func TestAProgramThatDiesIsLost(t *testing.T) {
	t.Parallel()
	sched := scheduler(t)
	s := start(t, "dtask://"+sched.Addr(), 2)
	s.connected()
	program := child(t)
	s.post(fmt.Sprintf("/begin?pid=%d", program.Process.Pid), schedule(t, sched, "by-pid"))
	require.NoError(t, program.Process.Kill())
	require.Equal(t, wire.ReasonLost, ended(t, sched, "by-pid"))

	lease := schedule(t, sched, "by-keep-alive")
	s.post("/begin?keepalive_ms=2500", lease)
	from := time.Now()
	require.Equal(t, "running", s.post("/keepalive", lease)["status"])
	require.Equal(t, wire.ReasonLost, ended(t, sched, "by-keep-alive"))
	require.Greater(t, time.Since(from), 2*time.Second, "the keep-alive put it off")
	s.refused("/keepalive", lease, http.StatusNotFound, "not_running")
	require.Empty(t, s.sidecar.Report().Running)
}

// TestAPreemptedTaskIsTold: by the answers to its keep-alives, which are refused
// when its grace is over.
func TestAPreemptedTaskIsTold(t *testing.T) {
	t.Parallel()
	sched := scheduler(t)
	s := start(t, "dtask://"+sched.Addr(), 1)
	s.connected()
	lease := schedule(t, sched, "task-1")
	s.post("/begin?keepalive_ms=60000", lease)
	require.NotContains(t, s.post("/keepalive", lease), "preempted")
	require.True(t, query[*wire.Cordoned](t, sched, &wire.Cordon{Worker: "w1", On: true, Drain: true, DeadlineMS: 1}).Changed)
	var told map[string]any
	require.Eventually(t, func() bool {
		told = s.post("/keepalive", lease)
		return told["preempted"] == true
	}, patience, 10*time.Millisecond)
	require.Equal(t, "running", told["status"])
	require.InDelta(t, grace, told["grace_ms"], grace)
	require.True(t, s.sidecar.Report().Running[0].Preempted)
	require.Eventually(t, func() bool {
		status, answer := s.ask(http.MethodPost, "/keepalive", lease)
		return status == http.StatusConflict && answer["reason"] == "preempted"
	}, patience, 10*time.Millisecond)
	require.Equal(t, "ended", s.post("/end?outcome=failed", lease)["status"])
	require.Equal(t, wire.ReasonPreempted, ended(t, sched, "task-1"))
}

func TestEveryRefusalHasItsReason(t *testing.T) {
	t.Parallel()
	sched := scheduler(t)
	s := start(t, "dtask://"+sched.Addr(), 1)
	s.connected()
	lease := schedule(t, sched, "task-1")
	pid := fmt.Sprintf(`"pid":%d`, child(t).Process.Pid)
	mine := with(t, lease, pid)

	s.refused("/begin", with(t, mine, `"worker_id":"w2"`), http.StatusConflict, "other_worker")
	s.refused("/begin", with(t, mine, `"incarnation":"7"`), http.StatusConflict, "old_incarnation")
	s.refused("/begin", with(t, mine, `"lease_id":"1-1-1"`), http.StatusConflict, "other_instance")
	gone := child(t)
	gone.Process.Kill()
	gone.Wait()
	s.refused("/begin", with(t, lease, fmt.Sprintf(`"pid":%d`, gone.Process.Pid)), http.StatusConflict, "dead_process")

	s.post("/begin", with(t, mine, `"token":"secret"`))
	s.refused("/begin", mine, http.StatusConflict, "other_caller")
	s.refused("/begin?token=guess", mine, http.StatusConflict, "other_caller")
	require.Equal(t, "begun", s.post("/begin?token=secret", mine)["status"], "its own caller may ask again")
	var h wire.Handover
	require.NoError(t, json.Unmarshal([]byte(lease), &h))
	h.Lease.Counter++
	next, err := json.Marshal(h)
	require.NoError(t, err)
	full := s.refused("/begin", with(t, string(next), pid), http.StatusConflict, "full")
	require.Contains(t, full["next"], "schedule the task again")
	s.refused("/begin", with(t, string(next), pid), http.StatusGone, "ended")
	s.refused("/end", with(t, lease, `"outcome":"revoked"`), http.StatusBadRequest, "bad_request")
	s.post("/end?outcome=ok&leave_running=true", lease)
	s.refused("/begin", mine, http.StatusGone, "ended")
	require.Equal(t, map[string]uint64{
		"other_worker": 1, "old_incarnation": 1, "other_instance": 1, "dead_process": 1, "other_caller": 2, "full": 1, "ended": 2,
	}, s.sidecar.Report().Refusals)

	require.NoError(t, s.agent.Stop(t.Context()))
	s.refused("/begin", mine, http.StatusServiceUnavailable, "stopping")

	lonely := start(t, "dtask://127.0.0.1:1", 1)
	mine = with(t, mine, fmt.Sprintf(`"incarnation":"%d"`, lonely.agent.Status().Incarnation))
	lonely.refused("/begin", mine, http.StatusServiceUnavailable, "not_promised")
	require.Nil(t, lonely.sidecar.Report().Promised)
	require.Nil(t, lonely.sidecar.Report().LastContact)
}

func TestRequestsThatAreWrongNameTheField(t *testing.T) {
	t.Parallel()
	s := start(t, "dtask://127.0.0.1:1", 1)
	lease := fmt.Sprintf(`{"lease_id":"1-1-1","worker_id":"w1","address":"h:1","incarnation":"%d","task_id":"t","priority":0}`, s.agent.Status().Incarnation)
	for _, c := range []struct{ path, body, field string }{
		{"/begin", "", ""},
		{"/begin", "pid=5", ""},
		{"/begin", "[]", ""},
		{"/begin", lease, "pid"},
		{"/begin?pid=x", lease, "pid"},
		{"/begin?pid=-5", lease, "pid"},
		{"/begin?pid=4294967296", lease, "pid"},
		{"/begin?keepalive_ms=999", lease, "keepalive_ms"},
		{"/begin?keepalive_ms=86400001", lease, "keepalive_ms"},
		{"/begin", with(t, lease, `"pid":"5"`), "pid"},
		{"/begin", with(t, lease, `"lease_id":"x"`), "lease_id"},
		{"/begin", with(t, lease, `"priority":1.5`), "priority"},
		{"/begin", strings.Replace(lease, `"priority":0`, `"priority":1.0`, 1), "priority"},
		{"/begin", with(t, lease, `"pid":1.5`), "pid"},
		{"/begin", with(t, lease, `"keepalive_ms":1e30`), "keepalive_ms"},
		{"/begin", with(t, lease, `"token":5`), "token"},
		{"/begin", with(t, lease, `"task_id":{}`), "task_id"},
		{"/end", `{"lease_id":"1-1-1","leave_running":"yes"}`, "leave_running"},
		{"/begin", with(t, lease, `"priority":9999999999`), "priority"},
		{"/begin?keepalive_ms=60000", with(t, lease, `"on_preempt":"later"`), "on_preempt"},
		{"/end", "{}", "lease_id"},
		{"/end", `{"lease_id":5}`, "lease_id"},
		{"/keepalive", "{}", "lease_id"},
	} {
		fault := s.refused(c.path, c.body, http.StatusBadRequest, "bad_request")
		if c.field != "" {
			require.Equal(t, c.field, fault["field"], "%s %s", c.path, c.body)
		}
	}
	s.refused("/begin", strings.Repeat(" ", MaxBody+1), http.StatusRequestEntityTooLarge, "too_large")
	s.refused("/begin/", "{}", http.StatusNotFound, "not_found")
	s.refused("/status", "", http.StatusMethodNotAllowed, "method_not_allowed")
	status, fault := s.ask(http.MethodGet, "/begin", "")
	require.Equal(t, http.StatusMethodNotAllowed, status, fault)
	status, got := s.ask(http.MethodGet, "/healthz", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"status": "ok"}, got)
}

func TestBrowsersAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "dtask://127.0.0.1:1", 1)
	for _, spoil := range []func(*http.Request){
		func(q *http.Request) { q.Header.Set("Origin", "http://localhost") },
		func(q *http.Request) { q.Host = "attacker.example:9700" },
		func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(q *http.Request) { q.Host = "10.0.0.1" },
	} {
		q, err := http.NewRequest(http.MethodGet, s.url+"/status", nil)
		require.NoError(t, err)
		spoil(q)
		resp, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	}
	for _, path := range []string{"/begin", "/end", "/keepalive"} {
		resp, err := http.Post(s.url+path, "text/plain", strings.NewReader("{}"))
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode, path)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, "POST /end HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err, "the connection closes")
	require.Contains(t, string(got), "400 Bad Request")
}

func TestWithAnHTTPScheduler(t *testing.T) {
	t.Parallel()
	sched := scheduler(t)
	s := start(t, "http://"+sched.HTTPAddr(), 2)
	s.connected()
	lease := schedule(t, sched, "task-001")
	s.post("/begin?keepalive_ms=60000", lease)
	older := `{"worker_id":"w1","task_id":"task-002"}`
	s.post("/begin?keepalive_ms=60000", older)
	require.Eventually(t, func() bool { return query[*wire.Stats](t, sched, &wire.GetStats{}).Used == 2 }, patience, 10*time.Millisecond)
	s.refused("/begin?keepalive_ms=60000", `{"task_id":"task-003"}`, http.StatusConflict, "full")
	st := s.sidecar.Report()
	require.Equal(t, agent.ByHTTP, st.Heartbeat.By)
	require.Len(t, st.Running, 2)
	require.Nil(t, st.Running[1].Lease)
	s.post("/end?outcome=ok", lease)
	s.post("/end?outcome=ok", older)
	require.Eventually(t, func() bool { return query[*wire.Stats](t, sched, &wire.GetStats{}).Used == 0 }, 2*patience, 10*time.Millisecond)
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string][2]string{
		"127.0.0.1:9700":     {"tcp", "127.0.0.1:9700"},
		"localhost:9700":     {"tcp", "127.0.0.1:9700"},
		"[::1]:9700":         {"tcp", "[::1]:9700"},
		"unix:/run/w.sock":   {"unix", "/run/w.sock"},
		"0.0.0.0:9700":       {},
		":9700":              {},
		"10.0.0.7:9700":      {},
		"example.com:9700":   {},
		"127.0.0.1":          {},
		"127.0.0.1:":         {},
		"unix:":              {},
		"unix:/" + long(107): {},
	} {
		network, addr, err := ParseAddr(text)
		require.Equal(t, want, [2]string{network, addr}, text)
		require.Equal(t, want[0] == "", err != nil, text)
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.sock")
	l, err := Listen("unix:" + path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = Listen("unix:" + path)
	require.ErrorContains(t, err, "in use")

	s := start(t, "dtask://127.0.0.1:1", 1)
	second := New(s.agent, nil)
	served := make(chan error, 1)
	go func() { served <- second.Serve(l) }()
	st, _, err := Ask(t.Context(), "unix:"+path)
	require.NoError(t, err)
	require.Equal(t, "w1", st.Worker)
	require.NoError(t, second.Shutdown(t.Context()))
	require.NoError(t, <-served)
	require.NoFileExists(t, path)

	stale, err := net.Listen("unix", path)
	require.NoError(t, err)
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	l, err = Listen("unix:" + path)
	require.NoError(t, err, "what a dead process left is replaced")
	require.NoError(t, l.Close())
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = Listen("unix:" + path)
	require.ErrorContains(t, err, "is no socket")
	require.FileExists(t, path)
}

func TestSlowAndManyConnections(t *testing.T) {
	a, err := agent.Start(t.Context(), agent.Config{Scheduler: "dtask://127.0.0.1:1", Worker: "w1", Address: "h:1", TasksDieWithAgent: true})
	require.NoError(t, err)
	defer a.Stop(t.Context())
	s := New(a, nil)
	s.http.ReadHeaderTimeout, s.http.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	l, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	go s.Serve(l)
	defer s.Shutdown(t.Context())
	addr := l.Addr().String()
	raw(t, addr, []byte("GET /status HTT"))
	got := raw(t, addr, []byte("POST /begin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"))
	require.Contains(t, string(got), "408")
	require.Contains(t, string(got), `"reason":"timeout"`)

	var conns []net.Conn
	for range MaxConnections + 10 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.Close()
	}
	_, _, err = Ask(t.Context(), addr)
	require.NoError(t, err)
}

func TestAConnectionTooManyWaits(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	bounded := &limited{Listener: l, room: make(chan struct{}, 1)}
	defer bounded.Close()
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
	}
	first, err := bounded.Accept()
	require.NoError(t, err)
	second := make(chan net.Conn)
	go func() {
		c, err := bounded.Accept()
		if err == nil {
			second <- c
		}
	}()
	select {
	case <-second:
		require.Fail(t, "there was no room")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, first.Close())
	require.NoError(t, (<-second).Close())
}
