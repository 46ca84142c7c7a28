package agent

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// web is an HTTP scheduler that hands what it is sent to the test.
type web struct {
	*httptest.Server
	beats   chan heartbeat
	deletes chan string
	conns   atomic.Int32
	status  atomic.Int32 // of the answers
}

func newWeb(t *testing.T) *web {
	w := &web{beats: make(chan heartbeat, 1000), deletes: make(chan string, 10)}
	w.status.Store(http.StatusOK)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/heartbeat", func(rw http.ResponseWriter, r *http.Request) {
		var h heartbeat
		if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		w.beats <- h
		rw.WriteHeader(int(w.status.Load()))
		io.WriteString(rw, `{"status":"ok"}`)
	})
	mux.HandleFunc("DELETE /api/v1/workers/{id}", func(rw http.ResponseWriter, r *http.Request) {
		w.deletes <- r.PathValue("id")
		rw.WriteHeader(int(w.status.Load()))
	})
	w.Server = httptest.NewUnstartedServer(mux)
	w.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			w.conns.Add(1)
		}
	}
	w.Start()
	t.Cleanup(w.Close)
	return w
}

// beat returns the next heartbeat.
func (w *web) beat(t *testing.T) heartbeat {
	t.Helper()
	select {
	case h := <-w.beats:
		return h
	case <-time.After(patience):
		require.Fail(t, "no heartbeat came")
		return heartbeat{}
	}
}

// counts waits for a heartbeat with this number of tasks.
func (w *web) counts(t *testing.T, current uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if w.beat(t).Current == current {
			return
		}
	}
	require.Fail(t, "the number of tasks was not reported", "%d", current)
}

func TestHeartbeatsByHTTP(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	a := startAgent(t, w.URL+"/", func(c *Config) {
		c.Tags = []string{"gpu", "NVIDIA A100 (80 GB) @ 1.4"}
		c.Heartbeat = 20 * time.Millisecond
	})
	for range 5 {
		h := w.beat(t)
		require.WithinDuration(t, time.Now(), time.Unix(h.Timestamp, 0), time.Minute)
		h.Timestamp = 0
		require.Equal(t, heartbeat{Worker: "w1", Address: "h:1", Tags: []string{"gpu", "NVIDIA A100 (80 GB) @ 1.4"}, Slots: 2}, h)
	}
	require.EqualValues(t, 1, w.conns.Load(), "connections")
	require.True(t, a.Status().Connected)
	require.NoError(t, a.Stop(t.Context()))
	require.Equal(t, "w1", <-w.deletes)
}

func TestHTTPReportsTheTrueNumberAtOnce(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	a := startAgent(t, w.URL, func(c *Config) {
		c.Heartbeat = time.Hour
		c.External = func() uint32 { return 1 }
		c.Slots = 3
	})
	w.counts(t, 1)
	one, err := a.Begin(wire.Handover{Worker: "w1", Task: "task-001"}, Caller{Token: "p"})
	require.NoError(t, err)
	w.counts(t, 2)
	leased := wire.Handover{Worker: "w1", Task: "task-001", Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: 1}}
	_, err = a.Begin(leased, Caller{})
	require.NoError(t, err, "a lease of its own is another task")
	w.counts(t, 3)

	_, err = a.Begin(wire.Handover{Worker: "w1", Task: "task-002"}, Caller{})
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, 1, a.Status().Refused)
	_, err = a.Begin(wire.Handover{Worker: "w1", Task: "task-001"}, Caller{})
	require.ErrorIs(t, err, ErrOtherCaller)
	again, err := a.Begin(wire.Handover{Worker: "w1", Task: "task-001"}, Caller{Token: "p"})
	require.NoError(t, err)
	require.Same(t, one, again)
	_, err = a.Begin(wire.Handover{Worker: "w2", Task: "task-003"}, Caller{})
	require.ErrorIs(t, err, ErrOtherWorker)

	require.NoError(t, one.End(wire.ReasonOK))
	w.counts(t, 2)
	require.NoError(t, a.End(leased.Lease, wire.ReasonOK))
	w.counts(t, 1)
	_, err = a.Begin(wire.Handover{Worker: "w1", Task: "task-001"}, Caller{})
	require.NoError(t, err, "the same task id may run again")
}

func TestHTTPFailuresAreShownAndEnd(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	w.status.Store(http.StatusInternalServerError)
	a := startAgent(t, w.URL, func(c *Config) { c.Heartbeat = 20 * time.Millisecond })
	require.Eventually(t, func() bool { return strings.Contains(a.Status().LastError, "500") }, patience, time.Millisecond)
	require.False(t, a.Status().Connected)
	w.status.Store(http.StatusOK)
	connected(t, a)
	require.Empty(t, a.Status().LastError)
	for _, status := range []int32{http.StatusNotFound, http.StatusMethodNotAllowed} {
		b := startAgent(t, w.URL)
		connected(t, b)
		w.status.Store(status)
		require.NoError(t, b.Stop(t.Context()), "an older scheduler answers %d", status)
		w.status.Store(http.StatusOK)
	}
}

func TestAnHTTPSchedulerThatHangsDelaysNoStop(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a := startAgent(t, "http://"+l.Addr().String())
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	from := time.Now()
	require.NoError(t, a.Stop(ctx))
	require.Less(t, time.Since(from), patience)
}

func TestAnEndlessAnswerIsCut(t *testing.T) {
	t.Parallel()
	written := make(chan int, 100)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		chunk, total := make([]byte, 1<<16), 0
		for {
			n, err := rw.Write(chunk)
			total += n
			if err != nil {
				break
			}
		}
		written <- total
	}))
	defer s.Close()
	startAgent(t, s.URL)
	select {
	case total := <-written:
		require.Less(t, total, 32<<20, "what the buffers between the two hold")
	case <-time.After(patience):
		require.Fail(t, "the answer is read without end")
	}
}
