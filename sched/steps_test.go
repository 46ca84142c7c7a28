package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// stepLimit bounds the work of every step of the scheduler.
const stepLimit = 2 * TurnWork

// settled lets pulses do what is due, each within the limit, and returns how many.
func settled(t *testing.T, s *State, out *Outbox) (pulses int) {
	t.Helper()
	for ; s.NextPulse() <= s.now; pulses++ {
		require.Less(t, pulses, 10_000)
		require.NoError(t, s.Check())
		s.Pulse(s.now, out)
		require.LessOrEqual(t, s.Work(), stepLimit)
	}
	require.NoError(t, s.Check())
	return pulses
}

// TestACloseEndsInSteps: the close of a connection with as many registrations as it
// may have ends them in steps, and a worker that comes back meanwhile stays.
func TestACloseEndsInSteps(t *testing.T) {
	s := fleet(t, maxLinks)
	var out Outbox
	s.Apply(1, 9, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
	s.Close(1, 2, &out)
	require.Equal(t, closeLinks, s.count.presence[suspicious])
	last := fmt.Sprintf("worker-%06d", maxLinks-1)
	s.Apply(1, 9, 1, &wire.Register{Worker: last, Address: "h:1", Incarnation: 1, Seq: 2, Slots: 16, Promised: s.Grantor()}, &out)
	s.Apply(1, 9, 0, &wire.Promised{Grantor: s.Grantor()}, &out)
	require.Positive(t, settled(t, s, &out))
	require.Equal(t, maxLinks-1, s.count.presence[suspicious])
	require.True(t, s.workers.at(s.byID[last]).usable())
}
