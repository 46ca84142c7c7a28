package sched

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestRingsAreBounded: what happened long ago is forgotten, and a reader that
// comes late is told how much it missed.
func TestRingsAreBounded(t *testing.T) {
	s := withWorkers(t, 1)
	var out Outbox
	for range 2 * eventMemory {
		s.Apply(0, 1, 1, &wire.Cordon{Worker: "worker-000000", On: true}, &out)
		s.Apply(0, 1, 1, &wire.Cordon{Worker: "worker-000000"}, &out)
		out.Reset()
	}
	page := s.listEvents(&wire.ListEvents{Limit: 10})
	require.EqualValues(t, 4*eventMemory+1, page.Next, "joined, and two for each round")
	require.EqualValues(t, page.Next-eventMemory, page.Missed)
	require.EqualValues(t, page.Missed+1, page.Rows[0].Number)
	require.Len(t, page.Rows, 10)
	require.Equal(t, eventMemory, s.log.events.Len())

	c := newCycle(s)
	c.tags = [][]byte{nil}
	for range endedMemory + 100 {
		c.live(t)
	}
	require.Equal(t, endedMemory, s.log.history.Len())
	seen := map[uint64]bool{}
	for before := uint64(0); ; {
		page := s.listEnded(&wire.ListEnded{Before: before})
		for _, r := range page.Rows {
			require.False(t, seen[r.Number])
			seen[r.Number] = true
		}
		if before = page.Next; before == 0 {
			break
		}
	}
	require.Len(t, seen, endedMemory)
}
