package agent_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
)

// beatEvery is the heartbeat interval of the agents here.
const beatEvery = 20 * time.Millisecond

// distant starts an agent that reaches the scheduler through the relay.
func distant(t *testing.T, r *relay) *agent.Agent {
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + r.tcp.Addr().String(), HeartbeatBy: agent.ByUDP, Heartbeat: beatEvery,
		Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 4, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { a.Stop(t.Context()) })
	require.Eventually(t, func() bool { return a.Status().Connected }, patience, time.Millisecond)
	return a
}

// beats returns how many datagrams the scheduler took.
func beats(t *testing.T, addr string) uint64 { return stats(t, addr).Counters["beats"] }

// TestAWorkerThatWasRemovedConnectsAgain: the acknowledgement asks for it.
func TestAWorkerThatWasRemovedConnectsAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "")
	a := distant(t, newRelay(t, s.Addr()))
	require.Eventually(t, func() bool { return beats(t, s.Addr()) > 3 }, patience, time.Millisecond)
	old := a.Status().Incarnation
	q, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+s.HTTPAddr()+"/api/v1/workers/w1", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	resp.Body.Close()
	require.Eventually(t, func() bool { return a.Status().Incarnation != old && stats(t, s.Addr()).Online == 1 }, patience, 10*time.Millisecond)
	require.Positive(t, stats(t, s.Addr()).Counters["unknown_beats"])
}

// TestABrokenConnectionBesideDatagrams: datagrams alone make no worker
// eligible; it connects again.
func TestABrokenConnectionBesideDatagrams(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "")
	r := newRelay(t, s.Addr())
	a := distant(t, r)
	for range 3 {
		before := beats(t, s.Addr())
		r.cut()
		require.Eventually(t, func() bool { return beats(t, s.Addr()) > before+3 && a.Status().Connected }, patience, 10*time.Millisecond)
	}
	require.Eventually(t, func() bool { return a.Status().HeartbeatBy == agent.ByUDP }, patience, 10*time.Millisecond)
}

// TestARestartedSchedulerTakesDatagrams: the worker promises the new instance,
// which takes its datagrams then.
func TestARestartedSchedulerTakesDatagrams(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "")
	a := distant(t, newRelay(t, s.Addr()))
	before := a.Status().Grantor
	addr, httpAddr := s.Addr(), s.HTTPAddr()
	s.Kill()
	serve(t, addr, httpAddr)
	require.Eventually(t, func() bool { return a.Status().Grantor.Epoch > before.Epoch }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return beats(t, addr) > 3 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return stats(t, addr).Online == 1 && a.Status().HeartbeatBy == agent.ByUDP }, patience, 10*time.Millisecond)
}

// TestASchedulerWithoutDatagrams: the worker does not need them.
func TestASchedulerWithoutDatagrams(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.UDP = false
	s := serveWith(t, cfg)
	a := distant(t, newRelay(t, s.Addr()))
	require.Eventually(t, func() bool { return a.Status().HeartbeatBy == agent.ByTCP }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Online == 1 }, patience, 10*time.Millisecond)
}
