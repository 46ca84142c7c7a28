package agent_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
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

// TestDatagramsThatAreLostAndRepeated: with a fifth of the datagrams lost and
// half of the others doubled, the worker stays online and every lease is
// accounted for.
func TestDatagramsThatAreLostAndRepeated(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "")
	r := newRelay(t, s.Addr())
	r.lose.Store(20)
	r.repeat.Store(50)
	a := distant(t, r)
	c, err := client.Dial(t.Context(), []string{s.Addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	got := stats(t, s.Addr())
	for n, deadline := 0, time.Now().Add(patience); n < 20 || got.Counters["stale_beats"] < 20; n++ {
		require.True(t, time.Now().Before(deadline), "no doubled datagram was noticed: %v", got.Counters)
		time.Sleep(beatEvery / 4) // thousands of tasks would fill the ledger's memory, and begin a new incarnation
		task, err := a.Begin(hand(t, schedule(t, c, fmt.Sprint("task-", n))), agent.Caller{})
		require.NoError(t, err)
		got = stats(t, s.Addr())
		require.EqualValues(t, 1, got.Online, "task %d", n)
		require.NoError(t, task.End(wire.ReasonOK))
	}
	require.Eventually(t, func() bool { return stats(t, s.Addr()).Used == 0 }, patience, 10*time.Millisecond)
	require.Zero(t, a.Status().Refused)
	t.Logf("%d beats taken, %d stale, %d datagrams carried", got.Counters["beats"], got.Counters["stale_beats"], r.carried.Load())
}

// TestABlockedPathForDatagrams: the heartbeats go over TCP, and by datagram
// again when they pass.
func TestABlockedPathForDatagrams(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "")
	r := newRelay(t, s.Addr())
	r.lose.Store(100)
	a := distant(t, r)
	require.Eventually(t, func() bool { return a.Status().HeartbeatBy == agent.ByTCP }, patience, time.Millisecond)
	require.Zero(t, beats(t, s.Addr()))
	require.EqualValues(t, 1, stats(t, s.Addr()).Online)
	r.lose.Store(0)
	require.Eventually(t, func() bool { return a.Status().HeartbeatBy == agent.ByUDP }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return beats(t, s.Addr()) > 5 }, patience, time.Millisecond)

	r.lose.Store(100)
	require.Eventually(t, func() bool { return a.Status().HeartbeatBy == agent.ByTCP }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return a.Status().Connected }, patience, time.Millisecond, "it registers again, and stays")
}

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
	require.Equal(t, agent.ByUDP, a.Status().HeartbeatBy)
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
	require.EqualValues(t, 1, stats(t, addr).Online)
	require.Equal(t, agent.ByUDP, a.Status().HeartbeatBy)
}

// TestASchedulerWithoutDatagrams: the worker does not need them.
func TestASchedulerWithoutDatagrams(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.UDP = false
	s := serveWith(t, cfg)
	a := distant(t, newRelay(t, s.Addr()))
	require.Eventually(t, func() bool { return a.Status().HeartbeatBy == agent.ByTCP }, patience, time.Millisecond)
	require.EqualValues(t, 1, stats(t, s.Addr()).Online)
}
