package sched

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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
	s := withWorkers(t, maxLinks)
	var out Outbox
	s.Apply(1, 9, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
	s.Close(1, 2, &out)
	require.Equal(t, closeLinks, s.count.presence[suspicious])
	last := fmt.Sprintf("worker-%06d", maxLinks-1)
	s.Apply(1, 9, 1, &wire.Register{Worker: last, Address: "h:1", Incarnation: 1, Seq: 2, Slots: 16, Promised: s.Grantor()}, &out)
	s.Apply(1, 9, 0, &wire.Promised{Grantor: s.Grantor()}, &out)
	require.Positive(t, settled(t, s, &out))
	require.Equal(t, maxLinks-1, s.count.presence[suspicious])
	require.True(t, s.workers.At(s.byID[last]).usable())
}

// TestARemovalEndsInSteps: a worker with many leases is removed in steps. It gets
// nothing meanwhile, and one that registers under its id is a new one.
func TestARemovalEndsInSteps(t *testing.T) {
	const leases = 4*removeLeases + 7
	for _, back := range []bool{false, true} {
		s, out := crowd(t, 0, func(*Config) {})
		s.Apply(1, 2, 1, &wire.Register{Worker: "big", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 2 * leases}, out)
		s.Apply(1, 2, 0, &wire.Promised{Handle: 1, Grantor: s.Grantor()}, out)
		for i := range leases {
			s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Append(nil, "t", i), TTLMS: wire.MaxTTL}, out)
		}
		out.Reset()
		s.work, s.turnLeft = 0, 0
		require.True(t, s.RemoveWorker(1, "big", out))
		require.Less(t, -s.turnLeft, stepLimit)
		require.Equal(t, Time(1), s.NextPulse(), "the rest is due at once")
		s.Pulse(1, out)
		require.NoError(t, s.Check())
		require.Positive(t, s.workers.At(s.byID["big"]).taken)
		out.Reset()
		s.Apply(1, 1, 1, &wire.Schedule{Task: []byte("another"), TTLMS: wire.MaxTTL}, out)
		require.Equal(t, wire.CodeUnavailable, out.Items[0].Other.(*wire.Error).Code)
		if back {
			s.Apply(1, 2, 1, &wire.Register{Worker: "big", Address: "h:2", Incarnation: 2, Seq: 1, Slots: 1}, out)
		}
		settled(t, s, out)
		require.EqualValues(t, 1, s.log.removed)
		require.EqualValues(t, leases, s.log.ends[wire.ReasonLost])
		_, known := s.byID["big"]
		require.Equal(t, back, known)
	}
}

// TestADrainEmptiesInSteps: at its deadline a worker with many leases is emptied in
// steps, also while some of them end, and it is left alone once the drain is lifted.
func TestADrainEmptiesInSteps(t *testing.T) {
	const leases = 3*pulseBudget + 7
	for _, lifted := range []bool{false, true} {
		s, out := crowd(t, 0, func(*Config) {})
		s.Apply(1, 2, 1, &wire.Register{Worker: "big", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 2 * leases}, out)
		s.Apply(1, 2, 0, &wire.Promised{Handle: 1, Grantor: s.Grantor()}, out)
		var ids []wire.LeaseID
		for i := range leases {
			out.Reset()
			s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Append(nil, "t", i), TTLMS: wire.MaxTTL}, out)
			ids = append(ids, out.Items[0].Placed.Lease)
		}
		s.Apply(1, 1, 1, &wire.Cordon{Worker: "big", On: true, Drain: true, DeadlineMS: 10}, out)
		require.Equal(t, Time(11), s.NextPulse())
		s.Pulse(11, out)
		require.LessOrEqual(t, s.Work(), stepLimit)
		require.Equal(t, Time(11), s.NextPulse(), "the rest is due at once")
		require.Less(t, s.leases.states[wire.StateAskedBack], leases)
		require.NotZero(t, s.emptying.next)
		cursor := s.leases.slots.At(s.emptying.next - 1).id
		s.Apply(11, 1, 1, &wire.Release{Lease: cursor}, out)
		s.Apply(11, 1, 1, &wire.Release{Lease: ids[leases-1]}, out)
		if lifted {
			s.Apply(11, 1, 1, &wire.Cordon{Worker: "big"}, out)
		}
		asked := s.leases.states[wire.StateAskedBack]
		settled(t, s, out)
		if lifted {
			require.Equal(t, asked, s.leases.states[wire.StateAskedBack])
		} else {
			require.Equal(t, leases-2, s.leases.states[wire.StateAskedBack])
		}
		require.Equal(t, emptying{}, s.emptying)
	}
}

// TestManyDeadlinesPassInOrder: drains are looked at in the order of their deadlines,
// and of equal ones in the order in which they were set, whichever were lifted.
func TestManyDeadlinesPassInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h deadlineHeap
		var naive []*cordon
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(naive) > 0 && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				i := rapid.IntRange(0, len(naive)-1).Draw(t, "which")
				h.remove(naive[i])
				h.remove(naive[i])
				naive = slices.Delete(naive, i, i+1)
			} else {
				c := &cordon{deadline: Time(rapid.IntRange(0, 20).Draw(t, "deadline"))}
				h.add(c)
				i, _ := slices.BinarySearchFunc(naive, c.deadline+1, func(o *cordon, at Time) int { return cmp.Compare(o.deadline, at) })
				naive = slices.Insert(naive, i, c)
			}
			if len(naive) > 0 {
				require.Same(t, naive[0], h.first())
			}
		}
		for _, c := range naive {
			require.Same(t, c, h.first())
			h.remove(c)
		}
		require.Nil(t, h.first())
	})
}

// TestWhetherAnyCanIsBounded: what no worker can take is infeasible, unless they are
// so many that a look at all of them would hold others up.
func TestWhetherAnyCanIsBounded(t *testing.T) {
	for workers, code := range map[int]wire.Code{100: wire.CodeInfeasible, ableVisits + 1: wire.CodeUnavailable} {
		s := fleetOf(t, workers, map[string]int64{"cpu": 1000}, nil)
		var out Outbox
		s.Begin(1, 1, 1, &wire.Schedule{Task: []byte("t"), Resources: wire.AppendResources(nil, map[string]int64{"cpu": 5000})}, &out)
		require.Equal(t, code, out.Items[0].Other.(*wire.Error).Code)
		require.Less(t, s.Work(), stepLimit)
	}
}

// TestManyRemovalsTakePulses: workers with hundreds of leases that are removed in the
// same moment take several pulses. So do waits that end together, of tasks whose needs
// each take a look at all workers.
func TestManyRemovalsTakePulses(t *testing.T) {
	const workers, leases, waiters = 40, 200, 40
	cfg := DefaultConfig()
	cfg.Instance, cfg.MassLossLeast = 7, 1000
	s, err := New(cfg)
	require.NoError(t, err)
	var out Outbox
	s.Apply(1, 1, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"}, &out)
	s.Apply(1, 2, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
	for n := range workers {
		s.Apply(1, 2, 1, &wire.Register{Worker: fmt.Sprint("w", n), Address: "h:1", Incarnation: 1, Seq: 1, Slots: leases}, &out)
		s.Apply(1, 2, 0, &wire.Promised{Handle: uint32(n), Grantor: s.Grantor()}, &out)
	}
	for i := range workers * leases {
		out.Reset()
		s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Append(nil, "t", i), TTLMS: wire.MaxTTL}, &out)
	}
	due := s.cfg.Offline + 2*s.cfg.Retention
	for most := 0; s.NextPulse() <= due; most++ {
		require.Less(t, most, 1000)
		s.Pulse(due, &out)
		require.LessOrEqual(t, s.Work(), stepLimit)
	}
	require.EqualValues(t, workers, s.log.removed)
	require.EqualValues(t, workers*leases, s.log.ends[wire.ReasonLost])

	s = withWorkers(t, 4000)
	for i := range waiters {
		s.Apply(1, 1, 9, &wire.Schedule{Task: fmt.Append(nil, "t", i), Selector: fmt.Appendf(nil, "!x%d", i), NotWorkers: wire.AppendWorkers(nil, []string{"worker-000000"}),
			Resources: wire.AppendResources(nil, map[string]int64{"gpu": 1}), WaitMS: 1000, WaitForWorkers: true}, &out)
	}
	require.Equal(t, waiters, s.queue.list.Len())
	for most := 0; s.queue.list.Len() > 0; most++ {
		require.Less(t, most, 1000)
		s.Pulse(1001, &out)
		require.LessOrEqual(t, s.Work(), stepLimit)
	}
}
