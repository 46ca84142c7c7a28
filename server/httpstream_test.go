package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

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
	newGateway(f.Server).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/workers", nil))
	f.core.mu.Lock()
	f.core.before = nil
	f.core.mu.Unlock()
	var rows []listed
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &rows))
	require.Len(t, rows, workers)
	for i := range rows {
		require.Len(t, rows[i].ResourceTags, tags)
	}
	require.Less(t, w.most, streamChunk+1_000)
	require.Greater(t, pages, workers/4, "pages are cut by their bytes, too")
}

// lists are the paths that answer with a list.
func lists() (paths []string) {
	for path, methods := range endpoints {
		if methods[http.MethodGet] != nil && strings.HasPrefix(path, apiPrefix) && path != workerPath {
			paths = append(paths, path)
		}
	}
	return paths
}

// However many lists are asked for, a few are answered at once; the others wait
// for their turn, and not for ever.
func TestListsAreBounded(t *testing.T) {
	f := start(t)
	g := newGateway(f.Server)
	for range listsHTTP {
		g.lists <- struct{}{}
	}
	ask := func(ctx context.Context, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
		return w
	}
	var wait sync.WaitGroup
	require.Len(t, lists(), 6)
	for _, path := range lists() {
		wait.Go(func() {
			w := ask(t.Context(), path)
			require.Equal(t, 503, w.Code, path)
			require.Contains(t, w.Body.String(), `"reason":"busy"`)
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		})
	}
	wait.Wait()
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	require.Empty(t, ask(gone, "/api/v1/workers").Body.String())
	wait.Go(func() { require.Equal(t, "[]\n", ask(t.Context(), "/api/v1/workers").Body.String()) })
	<-g.lists
	wait.Wait()
	require.Len(t, g.lists, listsHTTP-1, "its place is free again")
}

// A list that ends early must not seem whole.
func TestBrokenListsAreBrokenOff(t *testing.T) {
	w := httptest.NewRecorder()
	out := stream{w: w, buf: []byte("[")}
	out.fail(&wire.Error{Code: wire.CodeInternal, Message: "x"})
	require.Equal(t, 500, w.Code)
	out = stream{w: httptest.NewRecorder(), buf: []byte("[")}
	out.send()
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { out.fail(&wire.Error{}) })
}
