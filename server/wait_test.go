package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// waiting returns how many tasks wait.
func (f *fixture) waiting() int {
	m, ok := f.core.Ask("", &wire.GetStats{}).(*wire.Stats)
	require.True(f.t, ok)
	return int(m.Counters["waiting"])
}

// fill takes the one slot of an agent.
func (f *fixture) fill() (*agent, *peer, wire.Placed) {
	f.t.Helper()
	a, c := f.agent("w1", 1), f.dial("c1")
	return a, c, placed(f.t, c.ask(2, task("first")))
}

func waits(m *wire.Schedule, ms uint32) *wire.Schedule {
	m.WaitMS = ms
	return m
}

func TestWaitingIsAnsweredLater(t *testing.T) {
	f := start(t)
	_, c, first := f.fill()
	another := f.dial("c2")
	another.send(7, waits(task("second"), 60_000))
	another.alive() // the answer of the wait does not block others
	require.IsType(t, &wire.Released{}, c.ask(3, &wire.Release{Lease: first.Lease}))
	request, m := another.read()
	require.EqualValues(t, 7, request)
	second := placed(t, m)

	c.send(4, waits(task("third"), 60_000)) // its own release wakes it
	c.alive()
	c.send(5, &wire.Release{Lease: second.Lease})
	for range 2 {
		switch request, m := c.read(); request {
		case 4:
			placed(t, m)
		case 5:
			require.IsType(t, &wire.Released{}, m)
		}
	}
	require.Zero(t, f.waiting())
}

func TestAWaitEnds(t *testing.T) {
	f := start(t)
	_, c, _ := f.fill()
	c.send(3, waits(task("late"), 50))
	require.Equal(t, "wait_ms", c.refusal(wire.CodeUnavailable).Field)

	c.send(4, waits(task("cancelled"), 60_000))
	c.alive()
	require.Equal(t, 1, f.waiting())
	c.send(5, &wire.Cancel{Task: "cancelled"})
	c.refusal(wire.CodeCancelled)
	_, m := c.read()
	require.Equal(t, &wire.Cancelled{Count: 1}, m)

	gone := f.dial("c3")
	gone.send(2, waits(task("gone"), 60_000))
	gone.alive()
	require.Equal(t, 1, f.waiting())
	require.NoError(t, gone.conn.Close())
	eventually(t, func() bool { return f.waiting() == 0 }, "nobody waits any more")
}

func TestABatchWaitsInPart(t *testing.T) {
	f := start(t)
	_, c, first := f.fill()
	c.send(3, &wire.Batch{Tasks: []wire.Schedule{*waits(task("a"), 60_000), *task("b")}})
	_, m := c.read()
	all := m.(*wire.PlacedAll)
	require.Equal(t, []wire.Code{wire.CodeWaiting, wire.CodeUnavailable}, []wire.Code{all.Results[0].Code, all.Results[1].Code})
	c.send(4, &wire.Release{Lease: first.Lease})
	seen := map[uint64]wire.Message{}
	for range 2 {
		request, m := c.read()
		if s, ok := m.(*wire.Settled); ok {
			require.Equal(t, wire.CodeOK, s.Result.Code)
		}
		seen[request] = m
	}
	require.Contains(t, seen, uint64(3))
	require.Contains(t, seen, uint64(4))
}

// A heartbeat that comes as a datagram says that there is room.
func TestADatagramWakes(t *testing.T) {
	f := start(t)
	a, c := f.agent("w1", 1), f.dial("c1")
	a.seq++
	a.send(0, &wire.Heartbeat{Handle: a.handle, Seq: a.seq, External: 1})
	a.alive()
	c.send(3, waits(task("t"), 60_000))
	c.alive()
	require.Equal(t, 1, f.waiting())
	var ack wire.BeatAck
	require.True(t, f.core.datagram(&wire.Beat{Worker: []byte("w1"), Incarnation: 7, Seq: 1}, &ack))
	request, m := c.read()
	require.EqualValues(t, 3, request)
	placed(t, m)
}

// held is a request by HTTP that is under way.
func (f *fixture) held(ctx context.Context, body string) <-chan answer {
	f.t.Helper()
	return f.heldAt(ctx, "/api/v1/schedule", body, 1)
}

// heldAt is held for another path and a number of tasks that wait.
func (f *fixture) heldAt(ctx context.Context, path, body string, tasks int) <-chan answer {
	f.t.Helper()
	out := make(chan answer, 1)
	before := f.waiting()
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.HTTPAddr()+path, strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			out <- answer{body: err.Error()}
			return
		}
		defer func() { _ = res.Body.Close() }()
		b := make([]byte, 4096)
		n, _ := res.Body.Read(b)
		out <- answer{res.StatusCode, res.Header, string(b[:n])}
	}()
	eventually(f.t, func() bool { return f.waiting() == before+tasks }, "the request waits")
	return out
}

func TestHTTPWaits(t *testing.T) {
	f := start(t)
	_, c, first := f.fill()
	low := f.held(t.Context(), `{"task_id":"low","max_wait_ms":60000}`)
	high := f.held(t.Context(), `{"task_id":"high","max_wait_ms":60000,"priority":1}`)
	require.IsType(t, &wire.Released{}, c.ask(3, &wire.Release{Lease: first.Lease}))
	a := <-high
	require.Equal(t, 200, a.status, a.body)
	require.Contains(t, a.body, `"worker_id":"w1"`)

	require.Equal(t, 1, f.waiting())
	require.NoError(t, f.Shutdown(t.Context()))
	a = <-low
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, `"reason":"draining"`)
}

func TestHTTPWaitsNoMore(t *testing.T) {
	f := start(t)
	_, c, first := f.fill()
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"late","max_wait_ms":50}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, `"reason":"unavailable"`)

	ctx, hangUp := context.WithCancel(t.Context())
	gone := f.held(ctx, `{"task_id":"gone","max_wait_ms":60000}`)
	hangUp()
	require.Zero(t, (<-gone).status)
	eventually(t, func() bool { return f.waiting() == 0 }, "nobody waits any more")

	cancelled := f.held(t.Context(), `{"task_id":"cancelled","max_wait_ms":60000,"owner":"ann"}`)
	c.send(3, &wire.Cancel{Owner: "ann"})
	_, m := c.read()
	require.Equal(t, &wire.Cancelled{Count: 1}, m)
	require.Equal(t, 409, (<-cancelled).status)
	require.IsType(t, &wire.Released{}, c.ask(4, &wire.Release{Lease: first.Lease}))
	placed(t, c.ask(5, task("next")))

	for body, field := range map[string]string{
		`{"task_id":"x","max_wait_ms":60001}`: "max_wait_ms", `{"task_id":"x","max_wait_ms":-1}`: "max_wait_ms",
	} {
		a := f.call("POST", "/api/v1/schedule", body)
		require.Equal(t, 400, a.status)
		require.Contains(t, a.body, fmt.Sprintf(`"field":%q`, field))
		require.Contains(t, a.body, `"limit":60000`)
	}
	a = f.call("POST", "/api/v1/schedule/batch", `{"tasks":[{"task_id":"x","max_wait_ms":5}]}`)
	require.Equal(t, 400, a.status)
	require.Contains(t, a.body, `tasks[0].max_wait_ms`)
}

// TestHTTPRequestsThatWaitAreBounded: each holds a connection.
func TestHTTPRequestsThatWaitAreBounded(t *testing.T) {
	f := start(t)
	f.fill()
	f.core.mu.Lock()
	for id := range uint64(maxWaitingHTTP) {
		f.core.web.by[1<<32+id] = webWait{}
	}
	f.core.mu.Unlock()
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"late","max_wait_ms":60000}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, `"reason":"queue_full"`)
	require.Zero(t, f.waiting())
	f.core.mu.Lock()
	clear(f.core.web.by)
	f.core.mu.Unlock()
}

// TestAnAbandonedRepeatKeepsTheLease: whoever hangs up gives back what the
// request was granted, and nothing that an earlier one was told of.
func TestAnAbandonedRepeatKeepsTheLease(t *testing.T) {
	f := start(t)
	w := f.agent("w1", 2)
	c := f.dial("c1")
	first, second := placed(t, c.ask(2, task("first"))), placed(t, c.ask(3, task("second")))
	abandon := func(m wire.Message) {
		ch := make(chan wire.Message, 1)
		ch <- m
		f.core.abandon("", 1, ch, new(sched.Outbox))
	}
	repeat := first
	repeat.Flags |= wire.PlacedRepeat
	abandon(&repeat)
	abandon(&wire.PlacedAll{Results: []wire.BatchResult{{Placed: repeat}}})
	abandon(&wire.PlacedAll{Results: []wire.BatchResult{{Code: wire.CodeUnavailable, Placed: first}}})
	require.EqualValues(t, 2, f.state().Granted)
	abandon(&second)
	require.EqualValues(t, 1, f.state().Granted)
	abandon(&wire.PlacedAll{Results: []wire.BatchResult{{Placed: first}}})
	require.Zero(t, f.state().Granted)
	w.alive()
}

// unseen is a context whose end is noticed by nobody who waits for it: the grant
// is seen first.
type unseen struct{ context.Context }

func (unseen) Done() <-chan struct{} { return nil }

// TestWhoHangsUpInTheMomentOfTheGrantKeepsNothing: whether the asker or the grant
// is seen first, the lease is given back at once.
func TestWhoHangsUpInTheMomentOfTheGrantKeepsNothing(t *testing.T) {
	f := start(t)
	w := f.agent("w1", 1)
	c := f.dial("c1")
	gang := func() wire.Message {
		return &wire.Batch{AllOrNone: true, Tasks: []wire.Schedule{*waits(task("g"), 60_000)}}
	}
	single := func() wire.Message { return waits(task("s"), 60_000) }
	for i := range uint64(60) {
		first := placed(t, c.ask(2*i+1, task("first")))
		ask := []func() wire.Message{single, gang}[i%2]()
		gone, hangUp := context.WithCancel(t.Context())
		ctx := gone
		if i%3 == 0 {
			ctx = unseen{gone}
		}
		waiting, got := make(chan struct{}), make(chan wire.Message, 1)
		go func() { got <- f.core.Wait(ctx, "", 0, ask, func() { close(waiting) }) }()
		<-waiting
		f.core.mu.Lock()
		hangUp()
		var out sched.Outbox
		f.core.state.Apply(f.core.clock.now(), 0, 0, &wire.Release{Lease: first.Lease}, &out)
		f.core.route(&out, 0, true)
		f.core.mu.Unlock()
		require.Nil(t, <-got, "nobody is there to be told")
		s := f.state()
		require.Zero(t, s.Granted+s.AskedBack, "the lease is given back")
		require.Zero(t, f.waiting())
	}
	w.alive()
}

// TestAGangWaitsOverHTTP: it is answered as a whole, and whoever hangs up leaves
// nothing behind.
func TestAGangWaitsOverHTTP(t *testing.T) {
	f := start(t)
	a, c, first := f.fill()
	f.agent("w2", 1)
	const gang = `{"all_or_none":true,"distinct":true,"max_wait_ms":%d,"tasks":[{"task_id":"g1"},{"task_id":"g2"}]}`
	late := f.call("POST", "/api/v1/schedule/batch", fmt.Sprintf(gang, 50))
	require.Equal(t, 200, late.status)
	require.Equal(t, 1, strings.Count(late.body, `"reason":"unavailable"`), late.body)
	require.Equal(t, 1, strings.Count(late.body, `"reason":"all_or_none"`), late.body)

	ctx, hangUp := context.WithCancel(t.Context())
	gone := f.heldAt(ctx, "/api/v1/schedule/batch", fmt.Sprintf(gang, 60_000), 2)
	hangUp()
	require.Zero(t, (<-gone).status)
	eventually(t, func() bool { return f.waiting() == 0 }, "nobody waits any more")

	held := f.heldAt(t.Context(), "/api/v1/schedule/batch", fmt.Sprintf(gang, 60_000), 2)
	require.IsType(t, &wire.Released{}, c.ask(3, &wire.Release{Lease: first.Lease}))
	got := <-held
	require.Equal(t, 200, got.status)
	require.Equal(t, 2, strings.Count(got.body, `"lease_id"`), got.body)
	require.Contains(t, got.body, `"worker_id":"w1"`)
	require.Contains(t, got.body, `"worker_id":"w2"`)
	a.alive()

	for body, problem := range map[string]string{
		`{"max_wait_ms":5,"tasks":[{"task_id":"x"}]}`:                        "all_or_none",
		`{"all_or_none":true,"max_wait_ms":60001,"tasks":[{"task_id":"x"}]}`: `"limit":60000`,
		`{"all_or_none":true,"max_wait_ms":-1,"tasks":[{"task_id":"x"}]}`:    "max_wait_ms",
	} {
		a := f.call("POST", "/api/v1/schedule/batch", body)
		require.Equal(t, 400, a.status, body)
		require.Contains(t, a.body, problem)
	}
}

func TestTheQueueOverHTTP(t *testing.T) {
	f := start(t)
	f.fill()
	held := f.held(t.Context(), `{"task_id":"t7","max_wait_ms":60000,"owner":"ann","priority":2}`)
	f.held(t.Context(), `{"task_id":"t8","max_wait_ms":60000,"owner":"bob"}`)
	a := f.call("GET", "/api/v1/queue?owner=ann", "")
	require.Regexp(t, `^{"queue":\[{"task_id":"t7","client":"","owner":"ann","group":"","priority":2,"tasks":1,"age_ms":\d+,"left_ms":\d+,`+
		`"position":1,"placed_last_minute":0,"bypassed":0,"turn":\d+,"number":1}\],"waiting":2,"groups":1}`, a.body)
	a = f.call("POST", "/api/v1/queue/cancel", `{"owner":"ann"}`)
	require.Equal(t, `{"cancelled":1}`, strings.TrimSpace(a.body))
	require.Equal(t, 409, (<-held).status)
	require.Equal(t, 1, f.waiting())
	a = f.call("POST", "/api/v1/queue/cancel", `{}`)
	require.Equal(t, 400, a.status)
	require.Contains(t, a.body, `"reason":"bad_request"`)
}

// An owner at its limit is refused with what the limit is, or waits for one of
// its own leases to end; waiters and leases of an owner are counted.
func TestTheLimitOfAnOwnerOverHTTP(t *testing.T) {
	f := start(t, func(c *Config) { c.Sched.MaxOwnerLeases = 1 })
	f.agent("w1", 8)
	c := f.dial("c1")
	first := placed(t, c.ask(2, &wire.Schedule{Task: []byte("first"), Owner: []byte("ann"), Group: []byte("g")}))
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"t2","owner":"ann"}`)
	require.Equal(t, 503, a.status)
	require.Equal(t, `{"error":"the owner has as many leases as one owner may have","reason":"owner_limit","field":"owner","limit":1}`, strings.TrimSpace(a.body))
	a = f.call("POST", "/api/v1/schedule/batch", `{"tasks":[{"task_id":"t3","owner":"ann"},{"task_id":"t4","owner":"bob"}]}`)
	require.Equal(t, 200, a.status)
	require.Contains(t, a.body, `{"error":"the owner has as many leases as one owner may have","reason":"owner_limit"}`)
	require.Contains(t, a.body, `"lease_id"`)
	a = f.call("POST", "/api/v1/schedule/batch", `{"all_or_none":true,"tasks":[{"task_id":"t5","owner":"cid"},{"task_id":"t6","owner":"dan"}]}`)
	require.Equal(t, 400, a.status)
	require.Contains(t, a.body, `"field":"tasks[1].owner"`)
	a = f.call("POST", "/api/v1/schedule", `{"task_id":"t7","owner":"ann","max_wait_ms":50}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, `"reason":"owner_limit"`)

	held := f.held(t.Context(), `{"task_id":"t8","max_wait_ms":60000,"owner":"ann"}`)
	require.Contains(t, f.call("GET", "/api/v1/queue", "").body, `"at_limit":true`)
	require.Equal(t, `{"queue":[],"waiting":1,"groups":1,"count":1}`, strings.TrimSpace(f.call("GET", "/api/v1/queue?count=true&owner=ann", "").body))
	require.Equal(t, `{"queue":[],"waiting":1,"groups":1,"count":0}`, strings.TrimSpace(f.call("GET", "/api/v1/queue?count=true&owner=bob", "").body))
	require.Equal(t, `{"leases":[],"count":1}`, strings.TrimSpace(f.call("GET", "/api/v1/leases?owner=ann&group=g&count=true", "").body))
	require.Equal(t, 400, f.call("GET", "/api/v1/leases?count=yes", "").status)
	require.IsType(t, &wire.Released{}, c.ask(3, &wire.Release{Lease: first.Lease}))
	require.Equal(t, 200, (<-held).status)
	var s view.Stats
	f.get("/stats", &s)
	require.EqualValues(t, []uint64{4, 2}, []uint64{s.Metrics["owner_limit"], s.Metrics["owners_at_limit"]})
}

// A request that is held longer than the server's usual limits is not cut.
func TestHTTPWaitsLongerThanUsual(t *testing.T) {
	f := start(t, func(c *Config) { c.FrameTimeout, c.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond })
	_, c, first := f.fill()
	held := f.held(t.Context(), `{"task_id":"long","max_wait_ms":60000}`)
	time.Sleep(600 * time.Millisecond)
	require.Equal(t, 1, f.waiting())
	require.IsType(t, &wire.Released{}, c.ask(3, &wire.Release{Lease: first.Lease}))
	require.Equal(t, 200, (<-held).status)
}

// A request waits for workers to come if it says so, or if none is known, and the
// queue says that no known worker could take it.
func TestHTTPWaitsForWorkers(t *testing.T) {
	f := start(t)
	ask := func(body string) chan answer {
		got := make(chan answer, 1)
		go func() { got <- f.call("POST", "/api/v1/schedule", body) }()
		return got
	}
	first := ask(`{"task_id":"t1","required_tags":["gpu"],"max_wait_ms":60000}`)
	eventually(t, func() bool { return f.waiting() == 1 }, "it waits for the first worker")
	require.Contains(t, f.call("GET", "/api/v1/queue", "").body, `"no_worker":true`)
	f.equipped(wire.Register{Worker: "w1", Slots: 4, Tags: []string{"gpu"}})
	require.Equal(t, 200, (<-first).status)

	require.Contains(t, f.call("POST", "/api/v1/schedule", `{"task_id":"t2","required_tags":["tpu"],"max_wait_ms":60000}`).body, "infeasible")
	second := ask(`{"task_id":"t3","required_tags":["tpu"],"max_wait_ms":60000,"wait_for_workers":true}`)
	gang := make(chan answer, 1)
	go func() {
		gang <- f.call("POST", "/api/v1/schedule/batch", `{"tasks":[{"task_id":"t4","required_tags":["tpu"]},{"task_id":"t5","required_tags":["tpu"]}],"all_or_none":true,"max_wait_ms":60000,"wait_for_workers":true}`)
	}()
	eventually(t, func() bool { return f.waiting() == 3 }, "both wait")
	f.equipped(wire.Register{Worker: "w2", Slots: 4, Tags: []string{"tpu"}})
	require.Equal(t, 200, (<-second).status)
	require.NotContains(t, (<-gang).body, "error")

	alone := f.call("POST", "/api/v1/schedule", `{"task_id":"t6","wait_for_workers":true}`)
	require.Equal(t, 400, alone.status)
	require.Contains(t, alone.body, `"field":"wait_for_workers"`)
	for _, body := range []string{`{"tasks":[{"task_id":"t6","wait_for_workers":true}]}`, `{"tasks":[{"task_id":"t6"}],"all_or_none":true,"wait_for_workers":true}`} {
		got := f.call("POST", "/api/v1/schedule/batch", body)
		require.Equal(t, 400, got.status)
		require.Contains(t, got.body, `wait_for_workers"`)
	}
}

// The queue over HTTP is in the order in which its tasks get the one slot there
// is, and the rows of several pages have what it takes to put them in order.
func TestTheQueueOverHTTPIsSortedAsItGoes(t *testing.T) {
	f := start(t)
	_, c, first := f.fill()
	var want []string
	held := map[string]<-chan answer{}
	for i, owner := range []string{"ann", "ann", "ann", "bob", "cid", "bob"} {
		task := fmt.Sprint("t", i)
		held[task] = f.held(t.Context(), fmt.Sprintf(`{"task_id":%q,"owner":%q,"priority":%d,"max_wait_ms":60000}`, task, owner, i/5))
	}
	var q view.Queue
	f.get("/api/v1/queue", &q)
	require.Zero(t, q.Next)
	for _, w := range q.Queue {
		want = append(want, w.Task)
	}
	require.Equal(t, []string{"t5", "t0", "t3", "t4", "t1", "t2"}, want)

	var rows []wire.WaiterInfo
	for after := uint64(0); ; after = q.Next {
		q = view.Queue{}
		f.get(fmt.Sprintf("/api/v1/queue?limit=4&after=%d", after), &q)
		for _, w := range q.Queue {
			rows = append(rows, wire.WaiterInfo(w))
		}
		if q.Next == 0 {
			break
		}
	}
	view.SortWaiting(rows)
	lease := first.Lease
	for i, w := range rows {
		require.Equal(t, want[i], w.Task)
		require.IsType(t, &wire.Released{}, c.ask(9, &wire.Release{Lease: lease}))
		got := <-held[w.Task]
		require.Equal(t, 200, got.status, got.body)
		var h wire.Handover
		require.NoError(t, json.Unmarshal([]byte(got.body), &h))
		require.Equal(t, w.Task, h.Task)
		lease = h.Lease
	}
	require.Len(t, rows, len(want))
}
