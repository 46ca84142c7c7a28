package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

const jsonAccept = "application/json"

func TestHTTPAnswersToTheLetter(t *testing.T) {
	f := start(t)
	beat := `{"worker_id":"w1","address":"h:1","resource_tags":["gpu"],"max_tasks":2,"current_tasks":0,"timestamp":1}`
	for _, c := range []struct {
		name, method, path, body, accept string
		status                           int
		want, kind                       string
	}{
		{"empty list", "GET", "/api/v1/workers", "", "", 200, "[]\n", "application/json"},
		{"heartbeat", "POST", "/api/v1/heartbeat", beat, "", 200, `{"status":"ok"}` + "\n", "application/json"},
		{"double slash", "POST", "//api/v1/heartbeat", beat, "", 200, `{"status":"ok"}` + "\n", "application/json"},
		{"trailing slash", "POST", "/api/v1/heartbeat/", beat, "", 200, `{"status":"ok"}` + "\n", "application/json"},
		{"wrong method", "GET", "/api/v1/heartbeat", "", "", 405, "Method not allowed\n", "text/plain; charset=utf-8"},
		{"wrong method, JSON", "PUT", "/api/v1/schedule", "", jsonAccept, 405, `{"error":"Method not allowed"}` + "\n", "application/json"},
		{"POST on the list", "POST", "/api/v1/workers", "{}", "", 405, "Method not allowed\n", "text/plain; charset=utf-8"},
		{"POST on a worker", "POST", "/api/v1/workers/w1", "", "", 405, "Method not allowed\n", "text/plain; charset=utf-8"},
		{"empty body", "POST", "/api/v1/schedule", "", "", 400, "Invalid request body\n", "text/plain; charset=utf-8"},
		{"broken body", "POST", "/api/v1/schedule", `{"task_id":`, jsonAccept, 400, `{"error":"Invalid request body"}` + "\n", "application/json"},
		{"array", "POST", "/api/v1/schedule", `[]`, "", 400, "Invalid request body\n", "text/plain; charset=utf-8"},
		{"null", "POST", "/api/v1/heartbeat", `null`, "", 400, "Invalid request body\n", "text/plain; charset=utf-8"},
		{"string", "POST", "/api/v1/heartbeat", `"x"`, "", 400, "Invalid request body\n", "text/plain; charset=utf-8"},
		{"wrong type", "POST", "/api/v1/schedule", `{"task_id":5}`, "", 400, "Invalid request body: task_id must be a text, not 5\n", "text/plain; charset=utf-8"},
		{"wrong tags", "POST", "/api/v1/schedule", `{"task_id":"t","required_tags":"gpu"}`, "", 400, "Invalid request body: required_tags must be an array, not a text\n", "text/plain; charset=utf-8"},
		{"wrong count", "POST", "/api/v1/heartbeat", `{"worker_id":"x","max_tasks":"3"}`, "", 400, "Invalid request body: max_tasks must be an integer in 0..2147483647, not a text\n", "text/plain; charset=utf-8"},
		{"no task id", "POST", "/api/v1/schedule", `{}`, "", 400, `{"error":"task_id is required"}` + "\n", "application/json"},
		{"infeasible", "POST", "/api/v1/schedule", `{"task_id":"t","required_tags":["tpu"]}`, "", 503,
			`{"error":"no available worker matching requirements","reason":"infeasible","detail":"no worker has the tag \"tpu\""}` + "\n", "application/json"},
		{"unknown path", "GET", "/api/v2/x", "", jsonAccept, 404, `{"error":"404 page not found"}` + "\n", "application/json"},
		{"health", "GET", "/healthz", "", "", 200, `{"status":"ok"}` + "\n", "application/json"},
		{"no such worker", "DELETE", "/api/v1/workers/nobody", "", "", 404, `{"error":"no such worker","reason":"not_found"}` + "\n", "application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := f.call(c.method, c.path, c.body, "Accept", c.accept, "X-Request-ID", "r-1")
			require.Equal(t, c.status, a.status, a.body)
			require.Equal(t, c.want, a.body)
			require.Equal(t, c.kind, a.header.Get("Content-Type"))
			require.Equal(t, "r-1", a.header.Get("X-Request-ID"))
		})
	}
}

func TestHTTPBadNumbersAndIDs(t *testing.T) {
	f := start(t)
	for _, body := range []string{
		`{"worker_id":""}`, `{}`, `{"worker_id":"w","max_tasks":-1}`, `{"worker_id":"w","current_tasks":-1}`,
		`{"worker_id":"w","max_tasks":2147483648}`, `{"worker_id":"w","max_tasks":1.5}`, `{"worker_id":null}`,
		`{"worker_id":"w","metrics":5}`, `{"worker_id":"w"} x`,
	} {
		a := f.call("POST", "/api/v1/heartbeat", body)
		require.Equal(t, 400, a.status, body)
		require.Contains(t, a.body, "Invalid request body", body)
	}
	require.Empty(t, f.list(""))
	for _, more := range []string{`"priority":1000001`, `"priority":-1000001`, `"ttl_ms":-1`, `"ttl_ms":86400001`,
		`"owner":"a b"`, `"group":"\n"`, `"resources":{"cpu":-1}`, `"resources":{"":1}`,
		`"resources":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`} {
		a := f.call("POST", "/api/v1/schedule", `{"task_id":"t",`+more+`}`)
		require.Equal(t, 400, a.status, more)
		require.Contains(t, a.body, "Invalid request body: ", more)
	}
}

func TestHTTPReadsJSONAsEncodingJSONDoes(t *testing.T) {
	f := start(t)
	body := ` {"WORKER_ID":"w1","Address":"h:1","resource_TAGS":["(A) @-.","a b","a b"],"max_tasks":3,"current_tasks":null,` +
		`"metrics":{"cpu_usage":0.5,"gpu_usage":null},"unknown":{"deep":[1]},"timestamp":0,"max_tasks":4}` + "\n"
	a := f.call("POST", "/api/v1/heartbeat", body, "Content-Type", "text/whatever")
	require.Equal(t, 200, a.status, a.body)
	rows := f.list("")
	require.Len(t, rows, 1)
	require.Equal(t, []string{"(A) @-.", "a b", "a b"}, rows[0].ResourceTags)
	require.Equal(t, 4, rows[0].MaxTasks)
	require.Equal(t, 200, f.call("POST", "/api/v1/schedule", `{"task_id":"t","required_tags":["a b","a b","(A) @-."]}`).status)
	require.Equal(t, 503, f.call("POST", "/api/v1/schedule", `{"task_id":"t","required_tags":["A B"]}`).status)
	require.Equal(t, 200, f.call("POST", "/api/v1/schedule", `{"task_id":"t","required_tags":null}`).status)
}

func TestHTTPListHasTheOldKeys(t *testing.T) {
	f := start(t)
	f.beat("w1", 4, 1, "gpu", "x")
	before := time.Now()
	a := f.call("GET", "/api/v1/workers", "")
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &rows))
	require.Len(t, rows, 1)
	seen, err := time.Parse(time.RFC3339, rows[0]["LastHeartbeat"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, before, seen, 5*time.Second)
	delete(rows[0], "LastHeartbeat")
	require.Equal(t, map[string]any{"WorkerID": "w1", "Address": "w1:1", "ResourceTags": []any{"gpu", "x"},
		"MaxTasks": 4.0, "CurrentTasks": 1.0, "Available": 3.0, "Status": "online"}, rows[0])

	f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`)
	row := f.list("")[0]
	require.Equal(t, [2]int{2, 2}, [2]int{row.CurrentTasks, row.Available})

	f.call("POST", "/api/v1/heartbeat", `{"worker_id":"w1","address":"new:2","max_tasks":2,"current_tasks":5,"timestamp":2}`)
	row = f.list("")[0]
	require.Equal(t, []string{}, row.ResourceTags)
	require.Equal(t, "new:2", row.Address)
	require.LessOrEqual(t, row.Available, 0)
	require.Equal(t, 503, f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`).status)
}

func TestHTTPListIsPagedAndFiltered(t *testing.T) {
	f := start(t)
	const n = 2*wire.MaxPage + 7
	f.core.mu.Lock()
	for i := range n {
		m := reportOf(fmt.Sprintf("w%05d", i), i%2)
		require.NoError(t, f.core.state.Report(f.core.clock.now(), &m, &f.core.pulseOut))
	}
	f.core.pulseOut.Reset()
	f.core.mu.Unlock()
	rows := f.list("")
	require.Len(t, rows, n)
	for i, r := range rows {
		require.Equal(t, fmt.Sprintf("w%05d", i), r.WorkerID)
	}
	require.Len(t, f.list("?tag=odd"), n/2)
	require.Len(t, f.list("?limit=1500"), 1500)
	require.Equal(t, "w00011", f.list("?after=w00010&limit=2")[0].WorkerID)
	require.Len(t, f.list("?state=online"), n)
	require.Empty(t, f.list("?state=offline"))
	require.Equal(t, 400, f.call("GET", "/api/v1/workers?state=asleep", "").status)
	require.Equal(t, 400, f.call("GET", "/api/v1/workers?limit=0", "").status)
}

func TestHTTPScheduleCanBeHandedOver(t *testing.T) {
	f := start(t)
	f.equipped(wire.Register{Worker: "w1", Slots: 1, Resources: map[string]int64{"cpu": 2, "mem": 5}})
	a := f.call("POST", "/api/v1/schedule",
		`{"task_id":"t1","owner":"me","group":"g","priority":-3,"resources":{"cpu":2,"mem":5},"ttl_ms":60000}`)
	require.Equal(t, 200, a.status, a.body)
	require.True(t, strings.HasPrefix(a.body, `{"worker_id":"w1","address":"w1:1",`), a.body)
	var h wire.Handover
	require.NoError(t, json.Unmarshal([]byte(a.body), &h))
	require.NoError(t, h.Verify())
	require.False(t, h.Lease.IsZero())
	h.Lease = wire.LeaseID{}
	require.Equal(t, wire.Handover{Worker: "w1", Address: "w1:1", Incarnation: 7, Task: "t1", Owner: "me",
		Group: "g", Priority: -3, Resources: map[string]int64{"cpu": 2, "mem": 5}}, h)
	require.Contains(t, a.body, `"ttl_ms":60000`)
}

func TestHTTPRenewAndRelease(t *testing.T) {
	f := start(t)
	f.agent("w1", 2)
	schedule := func(id string) string {
		var h wire.Handover
		a := f.call("POST", "/api/v1/schedule", `{"task_id":"`+id+`"}`)
		require.NoError(t, json.Unmarshal([]byte(a.body), &h))
		return `{"lease_id":"` + h.Lease.String() + `"`
	}
	lease := schedule("t1")
	post := func(verb, body string) string {
		a := f.call("POST", "/api/v1/"+verb, body)
		return fmt.Sprint(a.status, " ", strings.TrimSpace(a.body))
	}
	require.Equal(t, `200 {"status":"granted"}`, post("renew", lease+"}"))
	require.Equal(t, `200 {"status":"released"}`, post("release", lease+"}"))
	require.Equal(t, `200 {"status":"already_ended","reason":"released"}`, post("release", lease+"}"))
	require.Equal(t, `200 {"status":"ended","reason":"released"}`, post("renew", lease+"}"))
	lease = schedule("t2")
	require.Equal(t, `200 {"status":"asked_back"}`, post("release", lease+`,"handed":true}`))
	require.Equal(t, `200 {"status":"asked_back"}`, post("renew", lease+"}"))
	unknown := `{"lease_id":"` + wire.LeaseID{Epoch: 1, Instance: 1, Counter: 99}.String() + `"}`
	require.Equal(t, `404 {"error":"no such lease","reason":"not_found"}`, post("renew", unknown))
	require.Equal(t, `404 {"error":"no such lease","reason":"not_found"}`, post("release", unknown))
	require.Equal(t, `400 {"error":"lease_id is required","reason":"bad_request","field":"lease_id"}`, post("release", `{}`))
	require.Equal(t, `400 {"error":"lease_id is not a lease id","reason":"bad_request","field":"lease_id"}`, post("renew", `{"lease_id":"x"}`))
	require.Equal(t, `400 {"error":"Invalid request body: lease_id must be a text, not 5","reason":"bad_request","field":"lease_id"}`, post("renew", `{"lease_id":5}`))
}

func TestHTTPBegunLeaseIsItsWorkers(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 2)
	p := placed(t, f.dial("c").ask(1, task("t1")))
	a.send(2, &wire.Begun{Handle: a.handle, Seq: 2, Record: wire.Record{Lease: p.Lease, Task: []byte("t1")}})
	a.alive()
	got := f.call("POST", "/api/v1/release", `{"lease_id":"`+p.Lease.String()+`"}`)
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, `"reason":"begun"`)
}

func TestHTTPIdempotencyKey(t *testing.T) {
	f := start(t)
	f.beat("w1", 9, 0, "gpu")
	f.agent("w2", 9, "gpu")
	lease := func(body, key string) string {
		a := f.call("POST", "/api/v1/schedule", body, "Idempotency-Key", key)
		require.Equal(t, 200, a.status, a.body)
		var h wire.Handover
		require.NoError(t, json.Unmarshal([]byte(a.body), &h))
		return h.Lease.String()
	}
	first := lease(`{"task_id":"t"}`, "k1")
	require.Equal(t, first, lease(`{"task_id":"t"}`, "k1"))
	require.NotEqual(t, first, lease(`{"task_id":"t"}`, "k2"))
	require.NotEqual(t, lease(`{"task_id":"t"}`, ""), lease(`{"task_id":"t"}`, ""))
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"t","required_tags":["gpu"]}`, "Idempotency-Key", "k1")
	require.Equal(t, 409, a.status, a.body)
	require.Contains(t, a.body, `"reason":"conflict"`)
	a = f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`, "Idempotency-Key", strings.Repeat("k", 300))
	require.Equal(t, 400, a.status, a.body)
}

func TestHTTPRemovesWorkers(t *testing.T) {
	f := start(t)
	for _, id := range []string{"w1", "rack/1", "a b%"} {
		f.beat(id, 1, 0)
	}
	require.Equal(t, 200, f.call("DELETE", "/api/v1/workers/w1", "").status)
	require.Equal(t, 404, f.call("DELETE", "/api/v1/workers/w1", "").status)
	require.Equal(t, 200, f.call("DELETE", "/api/v1/workers/rack%2F1", "").status)
	require.Equal(t, 200, f.call("DELETE", "//api/v1//workers/a%20b%25", "").status)
	require.Empty(t, f.list(""))
	require.Contains(t, f.log.String(), `worker="a b%"`)
}

func TestHTTPStats(t *testing.T) {
	f := start(t)
	f.beat("w1", 3, 1)
	f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`)
	a := f.call("GET", "/stats", "")
	require.Equal(t, 200, a.status)
	var s view.Stats
	require.NoError(t, json.Unmarshal([]byte(a.body), &s))
	require.EqualValues(t, 1, s.Workers["online"])
	require.EqualValues(t, 1, s.Workers["total"])
	require.EqualValues(t, 3, s.Capacity.Total)
	require.EqualValues(t, 2, s.Capacity.Used)
	require.EqualValues(t, 1, s.Capacity.Available)
	require.InDelta(t, 2.0/3, s.AvgLoadRatio, 1e-9)
	require.EqualValues(t, 1, s.Leases["assumed"])
	require.Contains(t, s.Metrics, "heartbeats")
}

// raw sends bytes to the HTTP port and returns everything that comes back.
func (f *fixture) raw(parts ...string) string {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.HTTPAddr())
	require.NoError(f.t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(f.t, conn.SetDeadline(time.Now().Add(patience)))
	for _, p := range parts {
		_, _ = io.WriteString(conn, p)
	}
	all, _ := io.ReadAll(conn)
	return string(all)
}

// A native client on the HTTP port is told where it belongs, at once and in its own
// protocol, however its first bytes are cut.
func TestNativePeersOfTheHTTPPort(t *testing.T) {
	f := start(t)
	hello := string(wire.Append(nil, 7, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"}))
	for name, parts := range map[string][]string{
		"hello": {hello}, "hello and more": {hello + hello}, "one byte": {hello[:1]}, "not a frame": {"\x00\x00\x00\x01\xff"},
	} {
		got := f.raw(parts...)
		frame, n, err := wire.Split([]byte(got), wire.MaxFrame)
		require.NoError(t, err, name)
		require.Len(t, got, n, name)
		var d wire.Decoder
		m, request, err := d.Decode(frame)
		require.NoError(t, err, name)
		refused, ok := m.(*wire.Error)
		require.True(t, ok, "%s: %v", name, m)
		require.Equal(t, wire.CodeProtocol, refused.Code)
		_, port, err := net.SplitHostPort(f.Addr())
		require.NoError(t, err)
		require.Equal(t, "this port speaks HTTP; the native protocol of dtask-scheduler is on port "+port, refused.Message)
		if name == "hello" {
			require.EqualValues(t, 7, request)
		}
	}
	require.Contains(t, f.log.String(), "a peer speaks the native protocol on the HTTP port")
	require.Eventually(t, func() bool { return f.webConnections.Load() == 0 }, patience, time.Millisecond)
	require.Equal(t, 200, f.call("GET", "/livez", "").status)
}

func TestHTTPOldAndChunkedRequests(t *testing.T) {
	f := start(t)
	beat := `{"worker_id":"w1","max_tasks":1}`
	got := f.raw(fmt.Sprintf("POST /api/v1/heartbeat HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(beat), beat))
	require.Contains(t, got, "200 OK")
	got = f.raw("POST /api/v1/heartbeat HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
		fmt.Sprintf("%x\r\n%s\r\n", 5, beat[:5]), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(beat)-5, beat[5:]))
	require.Contains(t, got, "200 OK")
}

func TestHTTPKeepsConnections(t *testing.T) {
	f := start(t)
	conn, err := net.Dial("tcp", f.HTTPAddr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	beat := `{"worker_id":"w1","max_tasks":1}`
	for range 20 {
		_, err = fmt.Fprintf(conn, "POST /api/v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(beat), beat)
		require.NoError(t, err)
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode)
	}
	require.EqualValues(t, 1, f.connections.Load())
}

func TestHTTPLimits(t *testing.T) {
	f := start(t)
	t.Run("a heartbeat of 200 kB is taken", func(t *testing.T) {
		tags := make([]string, 2_000)
		for i := range tags {
			tags[i] = fmt.Sprintf("%0100d", i)
		}
		f.beat("big", 1, 0, tags...)
		require.Len(t, f.list("")[0].ResourceTags, 2_000)
	})
	t.Run("one of 8 MiB is refused", func(t *testing.T) {
		a := f.call("POST", "/api/v1/heartbeat", `{"worker_id":"`+strings.Repeat("x", 8<<20)+`"}`)
		require.Equal(t, 413, a.status)
	})
	t.Run("deep nesting", func(t *testing.T) {
		a := f.call("POST", "/api/v1/heartbeat", `{"x":`+strings.Repeat("[", 500_000))
		require.Equal(t, 400, a.status)
	})
	t.Run("a header of 64 KiB", func(t *testing.T) {
		got := f.raw("GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n")
		require.Contains(t, got, "431")
	})
}

func TestHTTPRequestsThatDoNotComeToAnEnd(t *testing.T) {
	f := start(t, func(c *Config) { c.HeaderTimeout, c.FrameTimeout = 200*time.Millisecond, 400*time.Millisecond })
	t.Run("half a header", func(t *testing.T) {
		f.raw("GET /healthz HT")
	})
	t.Run("half a body", func(t *testing.T) {
		got := f.raw("POST /api/v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
		require.Contains(t, got, "408")
	})
}
