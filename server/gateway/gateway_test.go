package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

const patience = 20 * time.Second

// scripted is an engine and a host that do what a test says.
type scripted struct {
	view.Now
	answer func(m wire.Message) wire.Message
	full   bool // no connection is admitted

	mu      sync.Mutex // guards all below
	counted []string
	faults  []string
}

func (s *scripted) Since() time.Duration                      { return time.Second }
func (s *scripted) Ask(_ string, m wire.Message) wire.Message { return s.answer(m) }
func (s *scripted) Wait(_ context.Context, _ string, _ int, m wire.Message, _ func()) wire.Message {
	return s.answer(m)
}
func (s *scripted) Report(string, *sched.Report) error { return nil }
func (s *scripted) Remove(string, string) bool         { return true }
func (s *scripted) Dismiss(net.Addr)                   {}
func (s *scripted) Native(net.Conn, []byte) bool       { return false }
func (s *scripted) Stalled() string                    { return "" }
func (s *scripted) Unready() (reason, detail string)   { return "", "" }
func (s *scripted) Counters() map[string]uint64        { return map[string]uint64{} }
func (s *scripted) Allow(string, int) (bool, int)      { return true, 0 }
func (s *scripted) Admit(net.Addr) *wire.Error {
	if s.full {
		return &wire.Error{Code: wire.CodeBusy, Message: "full"}
	}
	return nil
}

func (s *scripted) Count(k wire.Kind, code wire.Code, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = append(s.counted, k.String()+" "+code.String())
}

func (s *scripted) Faulted(id string, cause any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprint(id, " ", cause))
}

func newScripted(answer func(wire.Message) wire.Message) (*scripted, *Gateway) {
	s := &scripted{Now: view.Now(time.Now()), answer: answer}
	return s, New(Config{Engine: s, Host: s, Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 10})
}

func ask1(ctx context.Context, g *Gateway, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	r.Header.Set("X-Request-ID", "run-7")
	g.ServeHTTP(w, r)
	return w
}

// What changes something is what a web page must not have sent, and what has a
// body says so.
func TestTheTableAgreesWithItself(t *testing.T) {
	for i := range Endpoints {
		e := &Endpoints[i]
		require.Equal(t, webguard.Changes(e.Method), e.Class == Change, e.Path)
		require.Equal(t, e.Method == http.MethodPost, e.Body != nil, e.Path)
		require.Equal(t, e.Class == Watch, e.Kind == notCounted, e.Path)
		require.Same(t, e, routes[e.Path].find(e.Method), "no two for one method of a path")
	}
}

// However many lists are asked for, a few are answered at once; the others wait
// for their turn, and not for ever.
func TestListsAreBounded(t *testing.T) {
	_, g := newScripted(func(wire.Message) wire.Message { return &wire.Workers{} })
	for range MaxLists {
		g.lists <- struct{}{}
	}
	var wait sync.WaitGroup
	n := 0
	for _, e := range Endpoints {
		if !e.List {
			continue
		}
		n++
		wait.Go(func() {
			w := ask1(t.Context(), g, e.Method, e.Path)
			require.Equal(t, 503, w.Code, e.Path)
			require.Contains(t, w.Body.String(), `"reason":"busy"`)
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		})
	}
	require.Equal(t, 6, n)
	wait.Wait()
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	require.Empty(t, ask1(gone, g, "GET", "/api/v1/workers").Body.String())
	wait.Go(func() { require.Equal(t, "[]\n", ask1(t.Context(), g, "GET", "/api/v1/workers").Body.String()) })
	<-g.lists
	wait.Wait()
	require.Len(t, g.lists, MaxLists-1, "its place is free again")
}

// A list that ends early must not seem whole.
func TestBrokenListsAreBrokenOff(t *testing.T) {
	pages := 0
	_, g := newScripted(func(wire.Message) wire.Message {
		if pages--; pages < 0 {
			return &wire.Error{Code: wire.CodeInternal, Message: "x"}
		}
		return &wire.Workers{Rows: []wire.WorkerInfo{{ID: strings.Repeat("x", StreamChunk)}}, Next: "x"}
	})
	require.Equal(t, 500, ask1(t.Context(), g, "GET", "/api/v1/workers").Code)
	pages = 1
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { ask1(t.Context(), g, "GET", "/api/v1/workers") })
}

// The search that is given up is refused with the time to come again.
func TestSearchLimit(t *testing.T) {
	_, g := newScripted(func(wire.Message) wire.Message {
		return &wire.Error{Code: wire.CodeSearchLimit, Message: "the search was given up", Limit: 7, RetryAfterMS: 1_001}
	})
	w := ask1(t.Context(), g, "GET", "/stats")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.JSONEq(t, `{"error":"the search was given up","reason":"search_limit","retry_after_ms":1001}`, w.Body.String())
}

func TestPlacesOfTasksInFields(t *testing.T) {
	require.Equal(t, "tasks[4].x", replaced("tasks[0].x", []int{4}))
	require.Equal(t, "tasks[9].x", replaced("tasks[9].x", []int{4}), "what is not there stays")
	require.Equal(t, "tags", replaced("tags", []int{4}))
}

// A fault in a handler is told and counted, and answered if nothing was sent yet.
func TestAFaultIsAnswered(t *testing.T) {
	pages := 0
	s, g := newScripted(func(wire.Message) wire.Message {
		if pages--; pages < 0 {
			panic("early")
		}
		return &wire.Workers{Rows: []wire.WorkerInfo{{ID: strings.Repeat("x", StreamChunk)}}, Next: "x"}
	})
	w := ask1(t.Context(), g, "GET", "/api/v1/workers")
	require.Equal(t, 500, w.Code)
	require.Equal(t, `{"error":"a fault of the scheduler","reason":"internal"}`, strings.TrimSpace(w.Body.String()))
	require.Equal(t, []string{"run-7 early"}, s.faults)
	require.Equal(t, []string{"list_workers internal"}, s.counted)
	pages = 1
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { ask1(t.Context(), g, "GET", "/api/v1/workers") })
	require.Len(t, s.faults, 2)
}

// Spare connections are bounded, and do not last, whatever is asked on them.
func TestSpareConnectionsEnd(t *testing.T) {
	s, g := newScripted(nil)
	s.full = true
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := Listen(plain, s)
	srv := &http.Server{Handler: g, ConnContext: ConnContext}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() { require.ErrorIs(t, <-served, http.ErrServerClosed) }()
	defer func() { require.NoError(t, srv.Close()) }()
	for i := range 3 * SpareConnections {
		c, err := net.Dial("tcp", plain.Addr().String())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		if i%2 == 0 {
			_, _ = fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		go func() {
			for err == nil {
				_, err = c.Read(make([]byte, 4096))
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("it is closed")
			}
		}()
		l.mu.Lock()
		require.LessOrEqual(t, len(l.spares), SpareConnections)
		l.mu.Unlock()
	}
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.spares) == 0 && len(l.silent) == 0
	}, patience, 5*time.Millisecond, "nothing of them is left")
}
