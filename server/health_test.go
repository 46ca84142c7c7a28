package server

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/view"
)

// health asks one of the paths that tell how the scheduler is, without a
// connection, and returns the status and the reason.
func (f *fixture) health(path string) (status int, reason string) {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.newGateway().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	var a view.Health
	require.NoError(f.t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	if w.Code == 200 {
		require.JSONEq(f.t, `{"status":"ok"}`, w.Body.String())
		return 200, ""
	}
	require.Equal(f.t, "unavailable", a.Status)
	require.NotEmpty(f.t, a.Detail)
	require.Equal(f.t, "1", w.Header().Get("Retry-After"))
	return w.Code, a.Reason
}

// expect compares both paths with what they should tell.
func (f *fixture) expect(live, ready int, reason string) {
	f.t.Helper()
	status, why := f.health("/livez")
	require.Equal(f.t, live, status, why)
	status, got := f.health("/readyz")
	require.Equal(f.t, ready, status, got)
	require.Equal(f.t, reason, got)
	require.Equal(f.t, ready == 200, value(f.t, f.gather(), "dtask_ready") == 1)
}

func TestASchedulerWithoutWorkersBecomesReady(t *testing.T) {
	f := start(t, short, learns)
	eventually(t, func() bool { status, _ := f.health("/readyz"); return status == 200 }, "it is ready")
	f.expect(200, 200, "")
	require.Equal(t, `{"status":"ok"}`+"\n", f.call("GET", "/healthz", "").body)
}

// The core and a loop that do not move are told, and when they move again.
func TestWhatIsStuckIsTold(t *testing.T) {
	f := start(t)
	f.dial("c1")
	f.expect(200, 200, "")
	long := stallAfter + probeEvery + time.Second
	age := func(change func(v *vital)) {
		f.vital.mu.Lock()
		defer f.vital.mu.Unlock()
		change(&f.vital)
	}
	recovers := func() {
		eventually(t, func() bool { status, _ := f.health("/livez"); return status == 200 }, "it moves")
	}

	f.core.mu.Lock()
	age(func(v *vital) { v.core -= long })
	status, reason := f.health("/livez")
	require.Equal(t, []any{503, gateway.ReasonStalled}, []any{status, reason})
	status, reason = f.health("/readyz")
	require.Equal(t, []any{503, gateway.ReasonStalled}, []any{status, reason})
	f.core.mu.Unlock()
	recovers()

	release := make(chan struct{})
	l := f.allLoops()[0]
	l.post(func() { <-release })
	eventually(t, func() bool {
		f.vital.mu.Lock()
		defer f.vital.mu.Unlock()
		return len(f.vital.waiting) == 1
	}, "a probe waits")
	age(func(v *vital) { v.waiting[l] -= long })
	status, reason = f.health("/livez")
	require.Equal(t, []any{503, gateway.ReasonStalled}, []any{status, reason})
	close(release)
	recovers()
	require.NotZero(t, f.vital.lags().counts)

	age(func(v *vital) { v.late = long })
	status, _ = f.health("/livez")
	require.Equal(t, 503, status)
	recovers()
}

func TestAStoppingSchedulerIsNotReady(t *testing.T) {
	f := start(t)
	require.NoError(t, f.Shutdown(context.Background()))
	status, reason := f.health("/readyz")
	require.Equal(t, []any{503, reasonStopping}, []any{status, reason})
}

func TestLearning(t *testing.T) {
	const beat = 3 * time.Second
	for _, c := range []struct {
		name   string
		joined []uint64 // after each heartbeat
		ready  int      // heartbeats until it is; 0: not yet
	}{
		{"nobody", []uint64{0, 0, 0}, 2},
		{"all at once", []uint64{5000, 5000}, 2},
		{"slowly", []uint64{100, 900, 4000, 4900, 4930}, 5},
		{"for ever", []uint64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110}, learnMost},
		{"a straggler or two", []uint64{3000, 3025}, 2},
		{"more than a few", []uint64{3000, 3035}, 0},
		{"late", []uint64{0, 0, 5000, 9000}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, ready := learning{heartbeat: beat}, 0
			for i, n := range c.joined {
				o := sched.Observation{Events: map[string]uint64{sched.EventJoined: n}}
				o.Workers[0] = n
				now := time.Duration(i+1) * beat
				l.look(now-beat/2, &o)
				require.Equal(t, ready > 0, l.over, "between two heartbeats nothing changes")
				if l.look(now, &o); l.over && ready == 0 {
					ready = i + 1
				}
				require.Contains(t, l.reason(now), "workers are still coming")
			}
			require.Equal(t, c.ready, ready)
		})
	}
}

// The scheduler learns its fleet after a start.
func TestWorkersThatComeKeepItFromBeingReady(t *testing.T) {
	f := start(t, learns)
	status, reason := f.health("/readyz")
	require.Equal(t, []any{503, reasonLearning}, []any{status, reason})
	status, _ = f.health("/livez")
	require.Equal(t, 200, status)
}
