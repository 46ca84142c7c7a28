package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/offer"
)

// scan is a whole scan of the fleet.
func (s *script) scan() sched.FleetScan {
	s.t.Helper()
	s.look()
	var f sched.FleetScan
	for !s.host.state.ScanFleet(&f) {
	}
	require.Empty(s.t, f.Fault)
	return f
}

// Totals count online workers; free is what may be given, and shares of a
// device leave no whole one.
func TestTotalsOverTheFleet(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	s.takes(c, amounts("cpu", 3000, offer.GPUMem, 6000))
	a.external = 2
	a.send(a.book.Heartbeat(a.external))
	s.settled()
	want := map[string]sched.Amount{
		sched.Slots:  {Capacity: 9, Taken: 3, Free: 6},
		"cpu":        {Capacity: 4000, Taken: 3000, Free: 1000},
		offer.GPU:    {Capacity: 2, Taken: 0, Free: 1},
		offer.GPUMem: {Capacity: 32768, Taken: 6000, Free: 26768},
	}
	require.Equal(t, want, s.scan().Resources)
	s.cordon("w1", true)
	for name, a := range want {
		a.Free = 0
		want[name] = a
	}
	require.Equal(t, want, s.scan().Resources)
	s.breaks(a)
	require.Equal(t, map[string]sched.Amount{sched.Slots: {}}, s.scan().Resources, "it is suspicious")
}

func TestAnExclusiveTaskLeavesNothingFree(t *testing.T) {
	s := newScript(t)
	_, c := s.equip("w1", 9), s.client("c1")
	s.takes(c, needs{exclusive: true})
	for name, a := range s.scan().Resources {
		require.Equal(t, a.Capacity, a.Taken, name)
		require.Zero(t, a.Free, name)
	}
}
