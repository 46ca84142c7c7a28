package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// limitOwners bounds the leases of each owner of a fleet that has none yet.
func limitOwners(s *State, most int) *State {
	s.cfg.MaxOwnerLeases = most
	s.queue = newQueue(&s.cfg)
	return s
}

func TestTheLimitOfAnOwnerHasARange(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Instance = 1
	for most, ok := range map[int]bool{-1: false, 0: true, 1: true, maxLeasesLimit: true, maxLeasesLimit + 1: false} {
		cfg.MaxOwnerLeases = most
		if err := cfg.Verify(); ok {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "MaxOwnerLeases")
		}
	}
}

func TestAnOwnerAtItsLimitIsRefusedByName(t *testing.T) {
	s, out := crowd(t, 0, func(c *Config) { c.MaxOwnerLeases = 1 })
	s.Apply(0, 2, 1, &wire.Register{Worker: "big", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 8}, out)
	s.Apply(0, 2, 2, &wire.Promised{Handle: 1, Grantor: s.Grantor()}, out)
	ask := func(m wire.Message) *Item {
		out.Reset()
		s.Apply(1, 1, 9, m, out)
		require.NoError(t, s.Check())
		return &out.Items[len(out.Items)-1]
	}
	require.Equal(t, wire.KindPlaced, ask(&wire.Schedule{Task: []byte("a"), Owner: []byte("ann")}).Kind)
	e := ask(&wire.Schedule{Task: []byte("b"), Owner: []byte("ann")}).Other.(*wire.Error)
	require.Equal(t, []any{wire.CodeOwnerLimit, "owner", uint64(1)}, []any{e.Code, e.Field, e.Limit})

	two := []wire.Schedule{{Task: []byte("c"), Owner: []byte("bob"), WaitMS: 1000}, {Task: []byte("d"), Owner: []byte("bob"), WaitMS: 1000}}
	all := ask(&wire.Batch{AllOrNone: true, Tasks: two}).Other.(*wire.PlacedAll)
	require.Equal(t, wire.CodeOwnerLimit, all.Results[1].Code, "such a gang never fits")
	two[1].Owner = []byte("cid")
	e = ask(&wire.Batch{AllOrNone: true, Tasks: two}).Other.(*wire.Error)
	require.Equal(t, []any{wire.CodeBadRequest, "tasks[1].owner"}, []any{e.Code, e.Field})
	all = ask(&wire.Batch{Tasks: two}).Other.(*wire.PlacedAll)
	require.Equal(t, []wire.Code{wire.CodeOK, wire.CodeOK}, []wire.Code{all.Results[0].Code, all.Results[1].Code})
}

// Owners that come and go are forgotten, except the last of them; with their
// names known a task's life costs no allocation.
func TestOwnersAreForgotten(t *testing.T) {
	c := newCycle(limitOwners(withWorkers(t, 500), 3))
	c.tags = [][]byte{wire.AppendTags(nil, nil)}
	owners := make([][]byte, 3*waitlist.OwnersKept)
	for i := range owners {
		owners[i] = fmt.Appendf(nil, "owner-%05d", i)
	}
	for _, owner := range owners {
		c.schedule.Owner = owner
		c.live(t)
	}
	require.Len(t, c.s.queue.list.Owners(), waitlist.OwnersKept)
	require.NoError(t, c.s.Check())
	for range leaseMemory {
		c.live(t)
	}
	n := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		n++
		c.schedule.Owner = owners[len(owners)-1-n%1000]
		c.live(t)
	}))
	require.NoError(t, c.s.Check())
}

// Much room for one who comes back from the limit is given in slices, too.
func TestMuchRoomForOneWhoComesBack(t *testing.T) {
	const n = serveWork/taskWork + 100
	s, out := crowd(t, 0, func(c *Config) { c.MaxOwnerLeases = 2 * n })
	records := make([]wire.Record, 2*n)
	for i := range records {
		records[i] = wire.Record{Lease: wire.LeaseID{Epoch: 1, Instance: 9, Counter: uint64(i)}, Task: []byte("old"), Owner: []byte("ann")}
	}
	s.Apply(1, 2, 1, &wire.Register{Worker: "full", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 2 * n, Leases: records}, out)
	s.Apply(1, 2, 1, &wire.Register{Worker: "big", Address: "h:3", Incarnation: 1, Seq: 1, Slots: 2 * n, Tags: []string{"big"}}, out)
	s.Apply(1, 2, 2, &wire.Promised{Handle: 2, Grantor: s.Grantor()}, out)
	out.Reset()
	for i := range n {
		s.Apply(1, 3, uint64(i), &wire.Schedule{Task: fmt.Appendf(nil, "t%d", i), Owner: []byte("ann"), Tags: wire.AppendTags(nil, []string{"big"}), WaitMS: wire.MaxWait}, out)
	}
	require.Empty(t, out.Items)
	require.NoError(t, s.Check())
	require.True(t, s.RemoveWorker(1, "full", out))
	first := answered(out, wire.KindPlaced)
	require.Less(t, first, n)
	require.Positive(t, first)
	require.Equal(t, Time(1), s.NextPulse(), "the rest is due at once")
	rest := 0
	for s.NextPulse() <= 1 {
		require.NoError(t, s.Check())
		s.Pulse(1, out)
		rest += answered(out, wire.KindPlaced)
	}
	require.Equal(t, n, first+rest)
	require.NoError(t, s.Check())
}

// BenchmarkOwners is the whole life of a task in a fleet whose owners have no
// limit, and one that they do not reach.
func BenchmarkOwners(b *testing.B) {
	for _, most := range []int{0, 1000} {
		b.Run(fmt.Sprintf("limit=%d", most), func(b *testing.B) {
			c := newCycle(limitOwners(withWorkers(b, 5_000), most))
			owners := make([][]byte, 1000)
			for i := range owners {
				owners[i] = fmt.Appendf(nil, "owner-%03d", i)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.schedule.Owner = owners[c.n%len(owners)]
				c.live(b)
			}
		})
	}
}

// BenchmarkOwnersAtLimit ends a task of one of many owners, all of whom wait at
// their limit: it gets its next one, on a fleet with room for all.
func BenchmarkOwnersAtLimit(b *testing.B) {
	for _, owners := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) {
			s := limitOwners(withWorkers(b, 5_000), 1)
			var out Outbox
			m := wire.Schedule{TTLMS: wire.MaxTTL, WaitMS: wire.MaxWait}
			ask := func(i int) {
				m.Task, m.Owner = fmt.Appendf(m.Task[:0], "task-%08d", i), fmt.Appendf(m.Owner[:0], "owner-%05d", i%owners)
				s.Apply(1, 1, 1, &m, &out)
			}
			leases := make([]wire.LeaseID, owners)
			for i := range owners {
				ask(i)
				leases[i] = out.Items[i].Placed.Lease
			}
			n := owners
			for ; n < 3*owners; n++ {
				ask(n)
			}
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				s.Apply(1, 1, 1, &wire.Release{Lease: leases[n%owners]}, &out)
				if len(out.Items) != 2 || out.Items[1].Kind != wire.KindPlaced {
					b.Fatalf("%d messages", len(out.Items))
				}
				leases[n%owners] = out.Items[1].Placed.Lease
				ask(n) // another comes
				n++
			}
		})
	}
}
