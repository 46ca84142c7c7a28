package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// TestAWalkThatIsCutGoesOn: thousands of different needs find no room on workers of
// many kinds, and the few that would come last. No call takes more work than it may,
// and those few are served although further workers get room all the time.
func TestAWalkThatIsCutGoesOn(t *testing.T) {
	const workers, wants, lucky = 60, 3000, 10
	cfg := DefaultConfig()
	cfg.Instance = 7
	s, err := New(cfg)
	require.NoError(t, err)
	var out Outbox
	s.Apply(0, 1, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"}, &out)
	s.Apply(0, 2, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
	var leases []wire.LeaseID
	for i := range workers {
		own := fmt.Sprint("own-", i)
		s.Apply(0, 2, 1, &wire.Register{Worker: own, Address: "h:1", Incarnation: 1, Seq: 1, Slots: 16, Tags: []string{own, "linux"}, Resources: map[string]int64{"r": 10}}, &out)
		s.Apply(0, 2, 0, &wire.Promised{Handle: uint32(i), Grantor: s.Grantor()}, &out)
		for k, n := range []int64{6, 4} {
			out.Reset()
			s.Apply(0, 1, 1, &wire.Schedule{Task: fmt.Append(nil, own, k), Tags: wire.AppendTags(nil, []string{own}),
				Resources: wire.AppendResources(nil, map[string]int64{"r": n}), TTLMS: wire.MaxTTL}, &out)
			require.Equal(t, wire.KindPlaced, out.Items[0].Kind)
		}
		leases = append(leases, out.Items[0].Placed.Lease)
	}
	out.Reset()
	for i := range wants + lucky {
		r := int64(5)
		if i >= wants {
			r = 4
		}
		s.Apply(0, 1, uint64(i+1), &wire.Schedule{Task: fmt.Append(nil, "w", i), Selector: append(longSelector(i, 20), " || linux"...),
			Resources: wire.AppendResources(nil, map[string]int64{"r": r}), WaitMS: wire.MaxWait}, &out)
	}
	require.Empty(t, out.Items)
	got, pulses := 0, 0
	for i := 0; got < lucky; i++ {
		if i < workers {
			s.Begin(1, 1, 1<<40, &wire.Release{Lease: leases[i]}, &out)
			require.LessOrEqual(t, s.Work(), 2*TurnWork)
			if i%20 == 0 {
				require.NoError(t, s.Check())
			}
		} else {
			require.LessOrEqual(t, s.NextPulse(), Time(1), "what is left over is due at once")
		}
		s.Pulse(1, &out)
		pulses++
		require.LessOrEqual(t, s.Work(), 2*TurnWork)
		for _, it := range out.Items {
			if it.Kind == wire.KindPlaced {
				require.Greater(t, it.Request, uint64(wants))
				got++
			}
		}
		out.Reset()
	}
	require.Greater(t, pulses, 3, "it was cut")
	for s.NextPulse() <= 1 {
		s.Pulse(1, &out)
	}
	require.Equal(t, wants, s.queue.list.Len())
	require.NoError(t, s.Check())
}

// TestWalksThatAreCutMissNobody: whatever happens between the pieces of a walk, in
// the end nobody waits for room that is there (Check, I19).
func TestWalksThatAreCutMissNobody(t *testing.T) {
	for seed := range uint64(12) {
		c := newCutFleet(t, rand.New(rand.NewPCG(seed, 1)))
		for range 400 {
			c.step()
			require.NoError(t, c.s.Check(), "seed %d, step %d", seed, c.n)
		}
		for n := 0; c.s.NextPulse() <= 1; n++ {
			require.Less(t, n, 100_000, "seed %d: the walk comes to an end", seed)
			c.s.Pulse(1, &c.out)
		}
		require.False(t, c.s.queue.cut)
		require.NoError(t, c.s.Check(), "seed %d", seed)
	}
}

// cutFleet is a scheduler whose walks through the queue are cut soon.
type cutFleet struct {
	s       *State
	r       *rand.Rand
	out     Outbox
	leases  []wire.LeaseID
	workers int
	n       int
}

func newCutFleet(t *testing.T, r *rand.Rand) *cutFleet {
	cfg := DefaultConfig()
	cfg.Instance = 7
	cfg.MaxOwnerLeases = r.IntN(3) * 6
	s, err := New(cfg)
	require.NoError(t, err)
	s.queue.work = 20 + r.IntN(100)
	c := &cutFleet{s: s, r: r}
	s.Apply(0, 1, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"}, &c.out)
	s.Apply(0, 2, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &c.out)
	return c
}

// step lets one thing happen.
func (c *cutFleet) step() {
	s, r := c.s, c.r
	c.n++
	c.out.Reset()
	switch k := r.IntN(12); {
	case k == 0 && c.workers < 40:
		s.Apply(1, 2, 1, &wire.Register{Worker: fmt.Sprint("w", c.workers), Address: "h:1", Incarnation: 1, Seq: 1, Slots: uint32(1 + r.IntN(4)),
			Tags: []string{fmt.Sprint("t", c.workers%7), fmt.Sprint("u", c.workers%3)}, Resources: map[string]int64{"r": int64(1 + r.IntN(6))}}, &c.out)
		s.Apply(1, 2, 0, &wire.Promised{Handle: uint32(c.workers), Grantor: s.Grantor()}, &c.out)
		c.workers++
	case k < 3 && len(c.leases) > 0:
		i := r.IntN(len(c.leases))
		s.Apply(1, 1, 1, &wire.Release{Lease: c.leases[i]}, &c.out)
		c.leases = slices.Delete(c.leases, i, i+1)
	case k == 3 && c.workers > 0:
		s.Apply(1, 1, 1, &wire.Cordon{Worker: fmt.Sprint("w", r.IntN(c.workers)), On: r.IntN(3) == 0}, &c.out)
	case k == 4 && c.workers > 0 && r.IntN(5) == 0:
		s.RemoveWorker(1, fmt.Sprint("w", r.IntN(c.workers)), &c.out)
	case k == 5:
		s.Pulse(1, &c.out)
	default:
		s.Apply(1, 1, uint64(c.n+1), c.task(), &c.out)
	}
	for _, it := range c.out.Items {
		if it.Kind == wire.KindPlaced {
			c.leases = append(c.leases, it.Placed.Lease)
		}
	}
}

// task returns a task that waits if it finds no room.
func (c *cutFleet) task() *wire.Schedule {
	r := c.r
	m := &wire.Schedule{
		Task: fmt.Append(nil, "t", c.n), Owner: fmt.Append(nil, "o", r.IntN(3)), Priority: int32(r.IntN(3)), TTLMS: wire.MaxTTL, WaitMS: wire.MaxWait,
		Selector: fmt.Appendf(nil, "t%d || t%d || never-%d", r.IntN(7), r.IntN(7), r.IntN(5)), Preempt: r.IntN(8) == 0,
	}
	if r.IntN(2) == 0 {
		m.Resources = wire.AppendResources(nil, map[string]int64{"r": int64(1 + r.IntN(4))})
	}
	return m
}
