package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// get decodes the answer to a GET into v.
func (f *fixture) get(path string, v any) {
	f.t.Helper()
	a := f.call("GET", path, "")
	require.Equal(f.t, 200, a.status, a.body)
	require.NoError(f.t, json.Unmarshal([]byte(a.body), v), a.body)
}

// post returns the status and the body of a POST.
func (f *fixture) post(path, body string) string {
	f.t.Helper()
	a := f.call("POST", path, body)
	return fmt.Sprint(a.status, " ", strings.TrimSpace(a.body))
}

// recent expects a time of the last few seconds, in UTC.
func recent(t *testing.T, at view.Time) {
	t.Helper()
	require.WithinDuration(t, time.Now(), at.Time, 5*time.Second)
	require.Equal(t, time.UTC, at.Location())
}

func TestHTTPCordon(t *testing.T) {
	f := start(t)
	f.beat("rack/1", 5, 0)
	f.agent("w2", 5, "gpu")
	running := placed(t, f.dial("c").ask(1, task("t0", "gpu")))
	require.Equal(t, `200 {"status":"ok","changed":true}`,
		f.post("/api/v1/workers/w2/cordon", `{"reason":"fan \"3\" is loud","by":"ops"}`))
	require.Equal(t, `200 {"status":"ok","changed":false}`, f.post("/api/v1/workers/w2/cordon/", ""))
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"t","required_tags":["gpu"]}`), "503 ")
	require.Equal(t, `200 {"status":"ok","changed":true}`, f.post("//api/v1/workers/rack%2F1/cordon", "{}"))
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"t"}`), "503 ")

	var a view.WorkerDetail
	f.get("/api/v1/workers/w2", &a)
	require.Contains(t, a.Worker.Flags, "cordoned")
	require.Equal(t, `fan "3" is loud`, a.Worker.Cordon.Reason)
	require.Equal(t, "ops", a.Worker.Cordon.By)
	recent(t, a.Worker.Cordon.Since)
	require.Equal(t, running.Lease, a.Leases[0].Lease, "what runs there goes on")

	require.Equal(t, `200 {"status":"ok","changed":true}`, f.post("/api/v1/workers/rack%2F1/drain", ""))
	f.beat("rack/1", 5, 1)
	var b view.WorkerDetail
	f.get("/api/v1/workers/rack%2F1", &b)
	require.Contains(t, b.Worker.Flags, "draining")
	f.beat("rack/1", 5, 0)
	b = view.WorkerDetail{}
	f.get("/api/v1/workers/rack%2F1", &b)
	require.Contains(t, b.Worker.Flags, "drained")
	require.Empty(t, b.Worker.Cordon.Deadline)
	require.Equal(t, `200 {"status":"ok","changed":true}`, f.post("/api/v1/workers/rack%2F1/drain", `{"deadline_ms":3600000}`))
	b = view.WorkerDetail{}
	f.get("/api/v1/workers/rack%2F1", &b)
	require.WithinDuration(t, time.Now().Add(time.Hour), b.Worker.Cordon.Deadline.Time, time.Minute)
	for _, n := range []string{"2592000001", "0", "-1"} {
		require.Equal(t, `400 {"error":"Invalid request body: deadline_ms must be an integer in 1..2592000000, not `+n+`","reason":"bad_request","field":"deadline_ms","limit":2592000000}`,
			f.post("/api/v1/workers/rack%2F1/drain", `{"deadline_ms":`+n+`}`))
	}
	require.Contains(t, f.post("/api/v1/workers/rack%2F1/cordon", `{"deadline_ms":1}`), "400 ")
	require.Equal(t, "127.0.0.1", b.Worker.Cordon.By, "the caller's address, where nobody is named")
	require.Equal(t, `200 {"status":"ok","changed":true}`, f.post("/api/v1/workers/rack%2F1/uncordon", ""))
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"t"}`), `"worker_id":"rack/1"`)
	require.Equal(t, `200 {"status":"ok","changed":false}`, f.post("/api/v1/workers/rack%2F1/uncordon", ""))
	require.Contains(t, f.log.String(), `msg="worker cordoned" worker=w2`)
}

func TestHTTPCordonOfWhatIsNotThere(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0)
	for path, want := range map[string]string{
		"/api/v1/workers/nobody/cordon":   `404 {"error":"no such worker","reason":"not_found"}`,
		"/api/v1/workers/nobody/uncordon": `404 {"error":"no such worker","reason":"not_found"}`,
		"/api/v1/workers/w1":              "405 Method not allowed",
		"/api/v1/workers/cordon":          "405 Method not allowed",
		"/api/v1/workers/w1/reboot":       "405 Method not allowed",
	} {
		require.Equal(t, want, f.post(path, ""), path)
	}
	for body, want := range map[string]string{
		`[]`:            "400 Invalid request body",
		`{"reason":5}`:  `400 {"error":"Invalid request body: reason must be a text, not 5","reason":"bad_request","field":"reason"}`,
		`{"by":"a\nb"}`: `400 {"error":"Invalid request body: by holds control characters","reason":"bad_request","field":"by"}`,
		`{"reason":"` + strings.Repeat("x", wire.MaxReason+1) + `"}`: `400 {"error":"Invalid request body: reason is longer than 256 bytes","reason":"bad_request","field":"reason","limit":256}`,
	} {
		require.Equal(t, want, f.post("/api/v1/workers/w1/cordon", body))
	}
	require.Equal(t, "online", f.list("")[0].Status)
	a := f.call("PUT", "/api/v1/workers/w1", "")
	require.Equal(t, "DELETE, GET", a.header.Get("Allow"))
}

func TestHTTPNamesHaveALimit(t *testing.T) {
	f := start(t)
	long := strings.Repeat("x", gateway.MaxWorkerID+1)
	require.Equal(t, "400 Invalid request body: worker_id is longer than 256 bytes",
		f.post("/api/v1/heartbeat", `{"worker_id":"`+long+`"}`))
	require.Equal(t, "400 Invalid request body: address is longer than 256 bytes",
		f.post("/api/v1/heartbeat", `{"worker_id":"w","address":"`+long+`"}`))
	require.Empty(t, f.list(""))
	require.Contains(t, f.post("/api/v1/heartbeat", `{"worker_id":"`+long[1:]+`","address":"`+strings.Repeat("abc.", 62)+`de:65535"}`), "200 ")
	require.Len(t, f.list("")[0].Address, wire.MaxAddress)
	require.Len(t, f.list("")[0].WorkerID, gateway.MaxWorkerID)
}

// Every id that a heartbeat may name can be shown, cordoned and removed.
func TestHTTPEveryIDHasAPath(t *testing.T) {
	f := start(t)
	for _, id := range []string{"w1", "/", "//", "a/", "/a", "a//b", "a/cordon", ".", "..", "../..", "a b", "%2F", "%", "?x=1", "#", "é", "日本", "\x00", "\n", "\\", `"`, "+", ";", "*",
		strings.Repeat("\x01", gateway.MaxWorkerID-2), strings.Repeat("/", gateway.MaxWorkerID-2)} {
		f.beat(id, 1, 0)
		path := "/api/v1/workers/" + url.PathEscape(id)
		got := f.call("GET", path, "")
		require.Equal(t, 200, got.status, "%q %s", id, got.body)
		require.Equal(t, 200, f.call("POST", path+"/cordon", "").status, "%q", id)
		require.Equal(t, 200, f.call("POST", path+"/uncordon", "").status, "%q", id)
		require.Equal(t, 200, f.call("DELETE", path, "").status, "%q", id)
		require.Empty(t, f.list(""), "%q", id)
	}
}

func TestHTTPBatchAnswersInOrder(t *testing.T) {
	f := start(t)
	f.agent("w1", 2, "gpu")
	a := f.call("POST", "/api/v1/schedule/batch", `{"tasks":[
		{"task_id":"t1","required_tags":["gpu"],"owner":"me"},
		{"task_id":"t2","required_tags":["tpu"]},
		{},
		{"task_id":"t3","priority":1000001},
		{"task_id":"t1","required_tags":["gpu"],"idempotency_key":"k"},
		{"task_id":"t1","required_tags":["gpu"],"idempotency_key":"k"},
		{"task_id":"t1","idempotency_key":"k"},
		{"task_id":"t4","required_tags":["gpu"]},
		{"task_id":"t5","idempotency_key":"`+strings.Repeat("k", 256)+`"}]}`)
	require.Equal(t, 200, a.status, a.body)
	var got struct {
		Results []struct {
			wire.Handover
			Error, Reason, Detail string
			Repeat                bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &got), a.body)
	var lines []string
	for _, r := range got.Results {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(r.Task, " ", r.Worker, r.Reason, " ", r.Repeat)))
	}
	require.Equal(t, []string{"t1 w1 false", "infeasible false", "bad_request false", "bad_request false", "t1 w1 false",
		"t1 w1 true", "conflict false", "unavailable false", "bad_request false"}, lines)
	require.Equal(t, "me", got.Results[0].Owner)
	require.NoError(t, got.Results[0].Verify())
	require.Equal(t, got.Results[4].Lease, got.Results[5].Lease)
	require.Equal(t, "task_id is required", got.Results[2].Error)
	require.Equal(t, "no available worker matching requirements", got.Results[7].Error)
	require.NotEmpty(t, got.Results[7].Detail)
}

func TestHTTPBatchLimits(t *testing.T) {
	f := start(t)
	f.beat("w1", 5_000, 0)
	tasks := func(n int) string {
		return `{"tasks":[` + strings.TrimSuffix(strings.Repeat(`{"task_id":"t"},`, n), ",") + `]}`
	}
	a := f.call("POST", "/api/v1/schedule/batch", tasks(wire.MaxBatch))
	require.Equal(t, wire.MaxBatch, strings.Count(a.body, `"lease_id"`))
	require.Equal(t, `400 {"error":"Invalid request body: tasks may hold 1024 at most","reason":"bad_request","field":"tasks","limit":1024}`, f.post("/api/v1/schedule/batch", tasks(wire.MaxBatch+1)))
	require.Equal(t, `400 {"error":"tasks is required","reason":"bad_request","field":"tasks"}`, f.post("/api/v1/schedule/batch", `{}`))
	require.Contains(t, f.post("/api/v1/schedule/batch", `{"tasks":{}}`), "tasks must be an array, not an object")
	require.Contains(t, f.post("/api/v1/schedule/batch", `{"tasks":[{}]}`), "bad_request")
	require.Equal(t, wire.MaxBatch, f.list("")[0].CurrentTasks)
}

func TestHTTPLeasesArePagedAndFiltered(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 1_000, "gpu")
	c := f.dial("c1")
	var last wire.Placed
	for i := range 25 {
		m := task(fmt.Sprintf("t%02d", i), "gpu")
		m.Owner = []byte([]string{"ann", "bob"}[i%2])
		last = placed(t, c.ask(1, m))
	}
	a.send(2, &wire.Begun{Handle: a.handle, Seq: 2, Record: wire.Record{Lease: last.Lease, Task: []byte("t24"), Client: []byte("c1"), Owner: []byte("ann")}})
	a.alive()
	f.beat("w2", 1, 0)
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"th"}`), `"worker_id":"w2"`)
	seen := map[string]view.Lease{}
	for query, pages := "?limit=10", 0; query != ""; pages++ {
		var page view.Leases
		f.get("/api/v1/leases"+query, &page)
		query = ""
		if page.Next > 0 {
			query = fmt.Sprintf("?limit=10&after=%d", page.Next)
		}
		for _, l := range page.Leases {
			require.NotContains(t, seen, l.Task)
			seen[l.Task] = l
			recent(t, l.Since)
		}
	}
	require.Len(t, seen, 26)
	row := seen["t24"]
	require.Equal(t, row.Since, row.Granted)
	row.Since, row.Granted = view.Time{}, view.Time{}
	require.Equal(t, view.Lease{Lease: last.Lease, Task: "t24", Worker: "w1", Client: "c1", Owner: "ann", State: "begun"}, row)
	for query, n := range map[string]int{"?worker=w1": 25, "?worker=w2": 1, "?owner=bob": 12, "?owner=bob&worker=w2": 0,
		"?state=begun": 1, "?state=assumed": 1, "?state=granted&client=c1": 24, "?group=g": 0} {
		var page view.Leases
		f.get("/api/v1/leases"+query, &page)
		require.Len(t, page.Leases, n, query)
		require.NotNil(t, page.Leases)
	}
}

// A filter that few leases pass is answered with rows, not with empty pages.
func TestHTTPLeasesSkipEmptyPages(t *testing.T) {
	f := start(t)
	f.beat("w1", 10_000, 0)
	for range 6 {
		a := f.call("POST", "/api/v1/schedule/batch", `{"tasks":[`+strings.Repeat(`{"task_id":"t"},`, 999)+`{"task_id":"t"}]}`)
		require.Equal(t, 200, a.status)
	}
	require.Equal(t, 200, f.call("POST", "/api/v1/schedule", `{"task_id":"last","owner":"me"}`).status)
	var page view.Leases
	f.get("/api/v1/leases?owner=me", &page)
	require.Len(t, page.Leases, 1)
	require.Equal(t, "last", page.Leases[0].Task)
}

func TestHTTPTags(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0, "gpu", "b c")
	f.agent("w2", 1, "gpu")
	var page view.Tags
	f.get("/api/v1/tags", &page)
	require.Equal(t, view.Tags{Tags: []view.Tag{{Tag: "b c", Workers: 1}, {Tag: "gpu", Workers: 2}}}, page)
	f.get("/api/v1/tags?limit=1", &page)
	require.Equal(t, view.Tags{Tags: []view.Tag{{Tag: "b c", Workers: 1}}, Next: "b c"}, page)
	page = view.Tags{}
	f.get("/api/v1/tags?limit=1&after=b+c", &page)
	require.Equal(t, view.Tags{Tags: []view.Tag{{Tag: "gpu", Workers: 2}}}, page)
}

func TestHTTPEventsCanBeFollowed(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0)
	f.post("/api/v1/workers/w1/cordon", `{"reason":"disk","by":"ops"}`)
	f.post("/api/v1/workers/w1/uncordon", `{"by":"ops"}`)
	var page view.Events
	f.get("/api/v1/events?limit=2", &page)
	require.Equal(t, []uint64{2, 3, 0}, []uint64{page.Next, page.Last, page.Missed})
	require.Equal(t, "joined", page.Events[0].What)
	recent(t, page.Events[1].At)
	require.Equal(t, page.Events[1].At, page.Events[1].Time)
	page.Events[1].At, page.Events[1].Time = view.Time{}, view.Time{}
	require.Equal(t, view.Event{Number: 2, What: "cordoned", Worker: "w1", Reason: "disk", By: "ops"}, page.Events[1])
	for range 2 {
		f.get(fmt.Sprintf("/api/v1/events?after=%d", page.Next), &page)
		require.Equal(t, []uint64{3, 3, 0}, []uint64{page.Next, page.Last, page.Missed})
	}
	require.Empty(t, page.Events)
	f.call("DELETE", "/api/v1/workers/w1", "")
	f.get("/api/v1/events?after=3", &page)
	require.Equal(t, "removed", page.Events[0].What)
}

func TestHTTPHistory(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 9)
	c := f.dial("c1")
	for i := range 3 {
		p := placed(t, c.ask(1, task(fmt.Sprint("t", i))))
		if i < 2 {
			c.ask(2, &wire.Release{Lease: p.Lease})
			continue
		}
		a.send(2, &wire.Begun{Handle: a.handle, Seq: 2, Record: wire.Record{Lease: p.Lease, Task: []byte("t2"), Client: []byte("c1")}})
		require.IsType(t, &wire.Ended{}, a.ask(3, &wire.End{Handle: a.handle, Seq: 3, Lease: p.Lease, Outcome: wire.ReasonFailed}))
	}
	var page view.History
	f.get("/api/v1/history?limit=2", &page)
	require.Len(t, page.Leases, 2)
	recent(t, page.Leases[0].EndedAt)
	require.Equal(t, page.Leases[0].EndedAt, page.Leases[0].Ended)
	first := page.Leases[0]
	require.Equal(t, "t2 w1 c1 failed worker", strings.Join([]string{first.Task, first.Worker, first.Client, first.Reason, first.By}, " "))
	require.Equal(t, "released client", page.Leases[1].Reason+" "+page.Leases[1].By)
	before := page.Next
	page = view.History{}
	f.get(fmt.Sprintf("/api/v1/history?before=%d", before), &page)
	require.Len(t, page.Leases, 1)
	require.Equal(t, "t0", page.Leases[0].Task)
	require.Zero(t, page.Next)
	f.get("/api/v1/history?task=t1", &page)
	require.Len(t, page.Leases, 1)
	f.get("/api/v1/history?worker=nobody", &page)
	require.Empty(t, page.Leases)
}

func TestHTTPListsRefuseBadParameters(t *testing.T) {
	f := start(t)
	for path, want := range map[string]string{
		"/api/v1/leases?limit=0":     "limit must be a number in 1..1000",
		"/api/v1/leases?limit=1001":  "limit must be a number in 1..1000",
		"/api/v1/leases?after=-1":    "after must be a number in 0..9223372036854775807",
		"/api/v1/leases?state=ended": "state must be granted, asked_back, begun or assumed",
		"/api/v1/tags?limit=x":       "limit must be a number in 1..1000",
		"/api/v1/events?after=1e3":   "after must be a number in 0..9223372036854775807",
		"/api/v1/history?before=x":   "before must be a number in 0..9223372036854775807",
	} {
		a := f.call("GET", path, "")
		require.Equal(t, 400, a.status, path)
		require.Equal(t, want+"\n", a.body, path)
	}
	require.Contains(t, f.call("GET", "/api/v1/leases?after=9223372036854775807", "").body, `"leases":[]`)
}

func TestHTTPOneWorker(t *testing.T) {
	f := start(t)
	f.agent("w1", 3, "gpu")
	p := placed(t, f.dial("c1").ask(1, task("t1")))
	var a view.WorkerDetail
	f.get("/api/v1/workers/w1", &a)
	recent(t, a.Worker.LastSeen)
	recent(t, a.Leases[0].Since)
	a.Worker.LastSeen, a.Leases[0].Since, a.Leases[0].Granted = view.Time{}, view.Time{}, view.Time{}
	require.Equal(t, view.WorkerDetail{
		Worker: view.Worker{ID: "w1", Address: "w1:1", Tags: []string{"gpu"}, State: "online", Flags: []string{}, MaxTasks: 3,
			Leased: 1, Resources: map[string]int64{}, Used: map[string]int64{}, Devices: []view.Device{}, Incarnation: 7},
		Leases: []view.Lease{{Lease: p.Lease, Task: "t1", Worker: "w1", Client: "c1", State: "granted"}},
	}, a)
	got := f.call("GET", "/api/v1/workers/nobody", "")
	require.Equal(t, `{"error":"no such worker","reason":"not_found"}`+"\n", got.body)
	require.Equal(t, 404, got.status)
}

// A native worker's ids are narrower than those of HTTP: such a task is placed
// all the same, and its lease cannot begin.
func TestHTTPTaskIDsThatAgentsRefuse(t *testing.T) {
	f := start(t)
	f.agent("w1", 3)
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"a task, by name"}`)
	require.Equal(t, 200, a.status, a.body)
	var h wire.Handover
	require.NoError(t, json.Unmarshal([]byte(a.body), &h))
	require.Error(t, h.Verify())
	require.Contains(t, f.post("/api/v1/release", `{"lease_id":"`+h.Lease.String()+`"}`), "released")
}
