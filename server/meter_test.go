package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

func TestBuckets(t *testing.T) {
	naive := func(d time.Duration) int {
		for i, b := range latencyBounds {
			if d <= b {
				return i
			}
		}
		return len(latencyBounds)
	}
	for _, b := range latencyBounds {
		for _, d := range []time.Duration{b - 1, b, b + 1} {
			require.Equal(t, naive(d), bucketOf(d), d)
		}
	}
	for d := time.Duration(1); d > 0; d *= 2 {
		require.Equal(t, naive(d), bucketOf(d), d)
	}
	require.Equal(t, []int{0, 0, len(latencyBounds)}, []int{bucketOf(-1), bucketOf(0), bucketOf(time.Hour)})
}

// batchOf lets a meter see a batch of n requests that cost n.
func batchOf(m *batchMeter, n int, began, took time.Duration) (timed bool) {
	for range n {
		m.note(requestOf(wire.KindSchedule, wire.CodeOK))
	}
	if m.skips(began, n) {
		return false
	}
	m.finish(0, took, began+took)
	return true
}

// Small batches that follow each other closely are timed now and then; every
// request is counted once, with the duration of the next that is timed.
func TestSmallBatchesShareAReading(t *testing.T) {
	var m batchMeter
	now, timed, batches := time.Second, 0, 0
	for range 10 * (maxUntimed + 1) {
		batches++
		if batchOf(&m, 1, now, 3*time.Microsecond) {
			timed++
		}
		now += freshFor / maxUntimed / 2
	}
	require.Equal(t, 10, timed)
	m.close()
	took := m.took[wire.KindSchedule]
	require.EqualValues(t, batches, took.counts[bucketOf(3*time.Microsecond)])
	require.Equal(t, time.Duration(batches)*3*time.Microsecond, took.sum)
	require.EqualValues(t, batches, m.requests[requestOf(wire.KindSchedule, wire.CodeOK)])
	require.InDelta(t, batches*3, m.busy.Microseconds(), 3*maxUntimed)
}

func TestBatchesThatAreTimedAlways(t *testing.T) {
	var m batchMeter
	now := time.Second
	for range 5 {
		require.True(t, batchOf(&m, smallBatch, now, time.Microsecond), "a large one")
	}
	for range 5 {
		now += freshFor + 2*time.Microsecond
		require.True(t, batchOf(&m, 1, now, time.Microsecond), "one after a pause")
	}
	require.False(t, batchOf(&m, 1, now+2*time.Microsecond, time.Microsecond))
	m.close()
	require.EqualValues(t, 5*smallBatch+6, m.requests[requestOf(wire.KindSchedule, wire.CodeOK)])
	require.Zero(t, m.untimed)
}

// Requests of several kinds in one batch are counted each as its own.
func TestRunsOfRequests(t *testing.T) {
	var m batchMeter
	want := map[request]uint64{}
	for i := range 1000 {
		r := requestOf(wire.Kind(i*i%5), wire.Code(i%3))
		m.note(r)
		want[r]++
	}
	m.finish(time.Microsecond, time.Microsecond, time.Second)
	var sum meter
	sum.merge(&m.meter)
	sum.merge(&m.meter)
	for r, n := range want {
		require.Equal(t, 2*n, sum.requests[r])
	}
	durations := uint64(0)
	for k := range sum.took {
		durations += sum.took[k].counts[bucketOf(2*time.Microsecond)]
	}
	require.EqualValues(t, 2000, durations)
	require.Equal(t, 2*time.Microsecond, sum.busy)
}

func TestRequestsBeyondTheTables(t *testing.T) {
	require.Equal(t, wire.Kind(0), requestOf(wire.KindPlaced, 0).kind())
	r := requestOf(wire.KindListQueue, 9999)
	require.Equal(t, wire.KindListQueue, r.kind())
	require.EqualValues(t, maxCode-1, r%maxCode)
}

func TestCodesOfAnswers(t *testing.T) {
	refused := &wire.Error{Code: wire.CodeLeaseLimit}
	all := func(codes ...wire.Code) *wire.PlacedAll {
		m := &wire.PlacedAll{}
		for _, c := range codes {
			m.Results = append(m.Results, wire.BatchResult{Code: c})
		}
		return m
	}
	item := func(m wire.Message) sched.Item { return sched.Item{To: 3, Request: 8, Kind: m.Kind(), Other: m} }
	other, push := item(refused), item(refused)
	other.Request, push.To = 9, 4
	for i, c := range []struct {
		kind  wire.Kind
		items []sched.Item
		want  wire.Code
	}{
		{wire.KindSchedule, []sched.Item{item(refused)}, wire.CodeLeaseLimit},
		{wire.KindSchedule, []sched.Item{other, push, item(&wire.Placed{})}, wire.CodeOK},
		{wire.KindSchedule, []sched.Item{other}, wire.CodeWaiting},
		{wire.KindSchedule, nil, wire.CodeWaiting},
		{wire.KindHeartbeat, nil, wire.CodeOK},
		{wire.KindHeartbeat, []sched.Item{push}, wire.CodeOK},
		{wire.KindRelease, []sched.Item{{To: 3, Request: 8, Kind: wire.KindReleased, Released: wire.Released{Code: wire.CodeBegun}}}, wire.CodeBegun},
		{wire.KindHeartbeat, []sched.Item{item(&wire.Superseded{})}, wire.CodeSuperseded},
		{wire.KindBatch, []sched.Item{item(all(wire.CodeOK, wire.CodeWaiting))}, wire.CodeOK},
		{wire.KindBatch, []sched.Item{item(all(wire.CodeAllOrNone, wire.CodeInfeasible, wire.CodeUnavailable))}, wire.CodeInfeasible},
		{wire.KindBatch, nil, wire.CodeWaiting},
	} {
		require.Equal(t, c.want, codeOf(c.kind, 3, 8, c.items), fmt.Sprint(i))
	}
}

// What a loop had counted stays when it does not answer.
func TestCountersOfAStuckLoopStay(t *testing.T) {
	f := start(t)
	c := f.dial("c1")
	c.ask(1, task("t1"))
	before := f.native().requests
	require.NotZero(t, before[requestOf(wire.KindSchedule, wire.CodeInfeasible)])
	release := make(chan struct{})
	f.allLoops()[0].post(func() { <-release })
	defer close(release)
	require.Equal(t, before, f.native().requests)
}

// What is measured allocates nothing.
func TestMeasuringDoesNotAllocate(t *testing.T) {
	x := newBench(t, 100)
	require.True(t, x.l.metered)
	in, releases := scheduleFrames(1), []byte(nil)
	for range 10_000 { // until the slots of remembered leases are used again
		in, releases = x.round(t, 1, in, releases)
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() { in, releases = x.round(t, 1, in, releases) }))
	require.NotZero(t, x.l.meter.took[wire.KindRelease].sum)
}
