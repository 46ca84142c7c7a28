package loadtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server"
)

// over is a small run with another transport.
func over(t *testing.T, transport Transport) Config {
	t.Helper()
	c := small(startScheduler(t))
	c.Transport = transport
	return c
}

func TestDatagrams(t *testing.T) {
	r := runUntil(t, func() Config { return over(t, UDP) }, func(r *Report) bool { return r.Datagrams.Sent > 50*5 })
	d := r.Datagrams
	require.Greater(t, d.Sent, uint64(50*5))
	require.Equal(t, d.Sent, d.Acked, "on a good network none is lost: %+v", d)
	require.Zero(t, d.Lost)
	require.Zero(t, d.Repeated)
	require.Zero(t, r.Heartbeats, "none goes over the connection")
	require.Zero(t, r.Reconnects)
}

func TestDatagramsWithFaults(t *testing.T) {
	r := runUntil(t, func() Config {
		c := over(t, UDP)
		c.Faults, c.Heartbeat = true, 50*time.Millisecond
		return c
	}, func(r *Report) bool {
		d, f := r.Datagrams, r.DatagramFaults
		return d.Acked > 0 && d.Lost > 0 && d.Repeated > 0 && f.Lost > 0 && f.Duplicated > 0 && f.Overtaken > 0
	})
	d, f := r.Datagrams, r.DatagramFaults
	require.Positive(t, d.Acked)
	require.Positive(t, d.Lost)
	require.Positive(t, d.Repeated, "acknowledgements come twice, too")
	require.Positive(t, f.Lost)
	require.Positive(t, f.Duplicated)
	require.Positive(t, f.Overtaken)
	require.Equal(t, 1, r.Restarts)
}

// TestNobodyHearsDatagrams: the workers find that none is acknowledged, and
// register again and again.
func TestNobodyHearsDatagrams(t *testing.T) {
	r := runUntil(t, func() Config {
		c := small(startScheduler(t, func(c *server.Config) { c.UDP = false }))
		c.Transport, c.Heartbeat = UDP, 100*time.Millisecond
		return c
	}, func(r *Report) bool { return min(r.Datagrams.Silences, r.Datagrams.Again) >= uint64(r.Workers) })
	d := r.Datagrams
	require.Zero(t, d.Acked)
	require.Equal(t, d.Sent, d.Lost)
	require.GreaterOrEqual(t, d.Silences, uint64(r.Workers))
	require.GreaterOrEqual(t, d.Again, uint64(r.Workers))
	require.Zero(t, r.Reconnects, "on the connection that stands")
}

func TestABurstOfDatagrams(t *testing.T) {
	r := runUntil(t, func() Config {
		c := over(t, UDP)
		c.Workers, c.Burst, c.Rate, c.Clients = 200, true, 100, 2
		c.Heartbeat = c.Duration / 5
		return c
	}, func(r *Report) bool { return r.Datagrams.Sent > 3*200 })
	require.Greater(t, r.Datagrams.Sent, uint64(3*200))
	require.Zero(t, r.Datagrams.Lost, "the buffers hold a burst")
}

func TestWorkersThatSpeakHTTP(t *testing.T) {
	t.Parallel() // most of it waits for guesses to end
	r := runUntil(t, func() Config {
		c := over(t, HTTP)
		c.Slots, c.Occupancy, c.Depth = 2, 2, 1
		return c
	}, func(r *Report) bool { return r.Refusals["unavailable"] > 0 && r.PlacedHTTP.Count > int64(r.Clients) })
	require.Positive(t, r.Refusals["unavailable"], "a guess takes room as well")
	require.Positive(t, r.Heartbeats)
	require.Greater(t, r.PlacedHTTP.Count, int64(r.Clients), "an answer by HTTP keeps the loop going")
	require.Zero(t, r.HTTPFailed)
	require.Zero(t, r.Revokes, "nothing is asked back from who speaks no leases")
}

func TestMixedFleet(t *testing.T) {
	t.Parallel() // most of it waits for guesses to end
	r := runUntil(t, func() Config { return over(t, Mixed) }, func(r *Report) bool { return r.Datagrams.Acked > 0 && r.PlacedHTTP.Count > 0 })
	require.Positive(t, r.Heartbeats)
	require.Positive(t, r.Datagrams.Acked)
	require.Positive(t, r.PlacedHTTP.Count)
	var text bytes.Buffer
	require.NoError(t, r.Print(&text))
	require.Contains(t, text.String(), "transport mixed")
	require.Regexp(t, `(?m)^placed by HTTP +[0-9,]+ `, text.String())
	require.Regexp(t, `(?m)^datagrams +[0-9,]+ sent, [0-9,]+ acknowledged, `, text.String())
	require.Regexp(t, `(?m)^http +0 requests without an answer; heuristic exceeded by [0-9,]+ tasks`, text.String())
}

func TestMixedFleetWithFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; the parts have tests of their own")
	}
	r := runUntil(t, func() Config {
		s := startScheduler(t)
		s.missed = true
		c := small(s)
		c.Transport, c.Faults = Mixed, true
		return c
	}, func(r *Report) bool { return r.DatagramFaults.Lost > 0 && r.Network.Duplicates > 0 })
	require.Equal(t, 5, r.WorkerCrashes)
	require.Equal(t, 1, r.Restarts)
	require.Positive(t, r.HTTPFailed, "a restart breaks requests by HTTP")
	require.Positive(t, r.DatagramFaults.Lost)
	require.Positive(t, r.Network.Duplicates)
}

func TestThirds(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 50, 5000} {
		count := map[Transport]int{}
		for i := range n {
			count[Mixed.of(i, n)]++
		}
		require.Equal(t, n, count[TCP]+count[UDP]+count[HTTP])
		require.Equal(t, Mixed.natives(n), count[TCP]+count[UDP], "%d workers", n)
		require.LessOrEqual(t, max(count[TCP], count[UDP], count[HTTP])-min(count[TCP], count[UDP], count[HTTP]), 1, "%d workers", n)
	}
	require.True(t, Mixed.has(UDP) && UDP.has(UDP) && !TCP.has(UDP))
	require.Zero(t, HTTP.natives(9))
	require.Equal(t, 9, UDP.natives(9))
}

func TestAcknowledgements(t *testing.T) {
	var b beats
	b.settled()
	for seq := uint32(1); seq <= 5; seq++ {
		b.sent(seq)
	}
	require.Equal(t, 5, b.silent)
	require.True(t, b.acked(3))
	require.False(t, b.acked(3), "once")
	require.Equal(t, 2, b.silent)
	require.True(t, b.acked(1), "an old one counts")
	require.Equal(t, 2, b.silent, "and does not make the worker more silent")
	require.True(t, b.acked(5))
	require.Zero(t, b.silent)
	for seq := uint32(6); seq <= 5+beatWindow; seq++ {
		b.sent(seq)
	}
	require.False(t, b.acked(4), "too old")
	require.Equal(t, beatWindow, b.silent)
	b.settled()
	require.Zero(t, b.silent)
	require.Equal(t, b.last+1, b.first)
}
