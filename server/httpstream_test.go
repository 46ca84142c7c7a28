package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// pieces is an http.ResponseWriter that notes the longest of its writes.
type pieces struct {
	httptest.ResponseRecorder
	most int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.most = max(p.most, len(b))
	return p.ResponseRecorder.Write(b)
}

// A list is sent while it is read: neither its answer nor a page of the core
// grows with what HTTP workers say of themselves.
func TestLongListsAreSentInPieces(t *testing.T) {
	f := start(t)
	const tags, workers = 4_000, 12
	for i := range workers {
		list := make([]string, tags)
		for n := range list {
			list[n] = fmt.Sprintf("%d-%d-%s", i, n, strings.Repeat("x", 40))
		}
		f.beat(fmt.Sprintf("w%02d", i), 1, 0, list...)
	}
	pages := 0
	f.core.mu.Lock()
	f.core.before = func(m wire.Message) {
		if _, ok := m.(*wire.ListWorkers); ok {
			pages++
		}
	}
	f.core.mu.Unlock()
	w := &pieces{ResponseRecorder: *httptest.NewRecorder()}
	f.newGateway().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/workers", nil))
	f.core.mu.Lock()
	f.core.before = nil
	f.core.mu.Unlock()
	var rows []listed
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &rows))
	require.Len(t, rows, workers)
	for i := range rows {
		require.Len(t, rows[i].ResourceTags, tags)
	}
	require.Less(t, w.most, gateway.StreamChunk+1_000)
	require.Greater(t, pages, workers/4, "pages are cut by their bytes, too")
}

// lists are the paths that answer with a list.
func lists() (paths []string) {
	for _, e := range gateway.Endpoints {
		if e.List {
			paths = append(paths, e.Path)
		}
	}
	return paths
}

// What HTTP workers say of themselves is bounded for all of them together, and
// what is refused names the field and the limit.
func TestHTTPTextIsBounded(t *testing.T) {
	f := start(t, func(c *Config) { c.Sched.MaxHTTPText = 1_000; c.Sched.MaxWorkers = 2 })
	f.beat("w1", 1, 0, strings.Repeat("x", 400))
	heavy := fmt.Sprintf(`{"worker_id":"w2","resource_tags":["%s"]}`, strings.Repeat("y", 400))
	a := f.call("POST", "/api/v1/heartbeat", heavy)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, `"reason":"tag_limit","field":"resource_tags","limit":1000`)
	require.Len(t, f.list(""), 1)
	f.call("DELETE", "/api/v1/workers/w1", "")
	require.Equal(t, 200, f.call("POST", "/api/v1/heartbeat", heavy).status)
	f.beat("w3", 1, 0)
	require.Contains(t, f.post("/api/v1/heartbeat", `{"worker_id":"w4"}`), `"reason":"worker_limit","field":"worker_id","limit":2`)
}

// Requests that wait are bounded by their bytes, too, and give them back however
// their wait ends.
func TestWaitingRequestsAreBoundedByBytes(t *testing.T) {
	f := start(t)
	f.agent("w1", 1, "gpu")
	c := f.dial("c1")
	held := placed(t, c.ask(1, task("t", "gpu")))
	waiting := func() int {
		f.core.mu.Lock()
		defer f.core.mu.Unlock()
		return f.core.web.size
	}
	ask := func(ctx context.Context, id string) <-chan answer {
		return f.held(ctx, `{"task_id":"`+id+`","required_tags":["gpu"],"max_wait_ms":60000}`)
	}
	first := ask(t.Context(), "t1")
	one := waiting()
	require.Positive(t, one)
	ctx, hangUp := context.WithCancel(t.Context())
	ask(ctx, "t2")
	require.Equal(t, 2*one, waiting())
	hangUp()
	eventually(t, func() bool { return waiting() == one }, "who hung up holds nothing")
	f.core.mu.Lock()
	f.core.web.size += maxWaitingBytes - one
	f.core.mu.Unlock()
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"t3","required_tags":["gpu"],"max_wait_ms":60000}`), `503 {"error":"the HTTP requests that wait have too many bytes together","reason":"queue_full"`)
	f.core.mu.Lock()
	f.core.web.size -= maxWaitingBytes - one
	f.core.mu.Unlock()
	require.IsType(t, &wire.Released{}, c.ask(2, &wire.Release{Lease: held.Lease}))
	require.Equal(t, 200, (<-first).status)
	require.Zero(t, waiting())
}
