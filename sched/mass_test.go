package sched

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// A fleet that falls silent, and comes back, is told in a number of events that
// does not grow with it.
func TestAMassLossIsFewEvents(t *testing.T) {
	const workers = 3_000
	s := withWorkers(t, workers)
	var out Outbox
	told := func(what string) uint64 {
		var o Observation
		s.Observe(s.now, &o)
		return o.Events[what]
	}
	until := func(end Time) {
		for s.NextPulse() < end {
			s.Pulse(s.NextPulse(), &out)
		}
	}
	until(s.cfg.Offline)
	require.Zero(t, s.count.presence[offline])
	until(s.cfg.Offline + 100)
	require.Equal(t, workers, s.count.presence[offline])
	require.True(t, s.mass.on)
	require.Zero(t, told(eventOffline))
	require.EqualValues(t, 1, told(eventMassLossOffline))
	until(60_000)
	require.EqualValues(t, s.cfg.MassLossTold, told(eventSuspicious))
	require.EqualValues(t, 1, told(eventMassLoss))
	for seq, n := uint32(1_000), 0; n < workers; n++ {
		s.Apply(60_000, 2, 0, &wire.Heartbeat{Handle: uint32(n), Seq: seq}, &out)
	}
	require.Equal(t, workers, s.count.presence[online])
	require.LessOrEqual(t, told(eventBack), uint64(s.cfg.MassLossTold+1))
	require.EqualValues(t, 1, told(eventMassLossOver))
	require.NoError(t, s.Check())
}
