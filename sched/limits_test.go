package sched

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestLeaseSlotsFitIntoIDs: with as many leases alive as may be, and the ended
// ones that are remembered, every slot has a number that a lease id can carry.
func TestLeaseSlotsFitIntoIDs(t *testing.T) {
	var table leaseTable
	const alive = 3 * leaseMemory
	most := 0
	for range 3 {
		slots := make([]int32, 0, alive)
		for range alive {
			slots = append(slots, table.take())
		}
		for _, s := range slots {
			table.give(s)
		}
		most = max(most, table.slots.Len())
	}
	require.LessOrEqual(t, most, alive+leaseMemory)
	cfg := DefaultConfig()
	cfg.Instance = 1
	require.NoError(t, cfg.Verify())
	require.LessOrEqual(t, cfg.MaxLeases+leaseMemory, 1<<leaseSlotBits)
	cfg.MaxLeases++
	require.ErrorContains(t, cfg.Verify(), "MaxLeases")
}

// TestLargestEpoch: a worker that names the last epoch but one makes the
// scheduler take the last; those that promised it come back all the same, and
// nothing follows another instance that had it, or more.
func TestLargestEpoch(t *testing.T) {
	s := withWorkers(t, 1)
	var out Outbox
	register := func(id string, seq uint32, p wire.Grantor) []Item {
		out.Reset()
		s.Apply(0, 2, 1, &wire.Register{Worker: id, Address: "h:1", Incarnation: 1, Seq: seq, Slots: 1, Promised: p}, &out)
		return out.Items
	}
	register("liar", 1, wire.Grantor{Epoch: wire.MaxEpoch - 1, Instance: 99})
	require.EqualValues(t, wire.MaxEpoch, s.Grantor().Epoch)
	require.Equal(t, wire.KindRegistered, register("worker-000000", 2, s.Grantor())[0].Kind)
	for _, epoch := range []uint32{wire.MaxEpoch, math.MaxUint32 - 1, math.MaxUint32} {
		told := register("other", 1, wire.Grantor{Epoch: epoch, Instance: 99})
		require.Equal(t, &wire.Superseded{Worker: "other", Incarnation: 1}, told[0].Other)
		require.Zero(t, told[0].Request, "a push: what answers names the limit")
		refused := told[1].Other.(*wire.Error)
		require.Equal(t, wire.CodeBadRequest, refused.Code)
		require.Equal(t, "epoch", refused.Field)
		require.EqualValues(t, wire.MaxEpoch, refused.Limit)
		require.NotContains(t, s.byID, "other")
	}
	require.EqualValues(t, wire.MaxEpoch, s.Grantor().Epoch)
	require.NoError(t, s.Check())
}
