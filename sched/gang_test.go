package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// unlikeGang returns a gang whose tasks each ask for something else.
func unlikeGang(tasks int, waitMS uint32) *wire.Batch {
	m := &wire.Batch{AllOrNone: true}
	for i := range tasks {
		m.Tasks = append(m.Tasks, wire.Schedule{
			Task: fmt.Append(nil, "g", i), WaitMS: waitMS, TTLMS: wire.MaxTTL, Tags: wire.AppendTags(nil, []string{"linux"}),
			Resources: wire.AppendResources(nil, map[string]int64{"cpu": int64(1 + i%7)}),
		})
	}
	return m
}

// gangFleet is a fleet on which a gang takes many turns.
func gangFleet(t *testing.T, workers int) *State {
	s := fleetOf(t, workers, map[string]int64{"cpu": 8}, nil)
	s.firstWork, s.turnWork, s.queue.work = 300, 300, 300
	return s
}

// targets returns which worker each task of a gang was given.
func targets(t *testing.T, m wire.Message) (list []string) {
	for _, r := range m.(*wire.PlacedAll).Results {
		require.Equal(t, wire.CodeOK, r.Code)
		worker, _ := wire.ReadTarget(r.Placed.Target)
		list = append(list, string(worker))
	}
	return list
}

// TestAGangTakesTurns: a gang whose searches take more than a turn gets the workers
// that it gets in one step. Between its turns nothing is taken.
func TestAGangTakesTurns(t *testing.T) {
	for _, distinct := range []bool{false, true} {
		m := unlikeGang(60, 0)
		m.Distinct = distinct
		one, two := gangFleet(t, 100), gangFleet(t, 100)
		var want, got, other Outbox
		one.Apply(1, 1, 7, m, &want)
		job := two.Begin(1, 1, 7, m, &got)
		turns := 0
		for done := job == nil; !done; turns++ {
			require.Empty(t, got.Items)
			require.Zero(t, two.leases.live, "what the turn was granted is undone")
			two.Apply(1, 1, 8, &wire.Ping{}, &other)
			require.NoError(t, two.Check())
			done = two.Continue(1, job, m, &got)
		}
		require.Greater(t, turns, 5)
		require.Equal(t, targets(t, want.Items[0].Message()), targets(t, got.Items[0].Message()))
		require.NoError(t, two.Check())
		require.Equal(t, one.stats().Counters["granted"], two.stats().Counters["granted"])
	}
}

// TestOthersTakeWhatAGangHasPlanned: room that is gone when the gang comes back to it
// is looked for elsewhere; a gang for which there is none is refused whole, and one
// that waits is placed by pulses.
func TestOthersTakeWhatAGangHasPlanned(t *testing.T) {
	for _, room := range []int{100, 22} {
		s, m := gangFleet(t, room), unlikeGang(60, 0)
		var out, other Outbox
		job := s.Begin(1, 1, 7, m, &out)
		n := 0
		for done := job == nil; !done; {
			if p := job.plan.workers; len(p) > 3 && n < 10 {
				n++
				other.Reset()
				s.Apply(1, 1, 8, &wire.Schedule{Task: fmt.Append(nil, "o", n), TTLMS: wire.MaxTTL, Resources: wire.AppendResources(nil, map[string]int64{"cpu": 6})}, &other)
				require.Equal(t, wire.KindPlaced, other.Items[0].Kind, "others find room")
			}
			done = s.Continue(1, job, m, &out)
			require.NoError(t, s.Check())
		}
		require.Positive(t, n)
		results := out.Items[0].Message().(*wire.PlacedAll).Results
		live := n
		for i := range results {
			if results[i].Code == wire.CodeOK {
				live++
			}
		}
		require.Equal(t, live, s.leases.live)
		require.Contains(t, []int{n, n + 60}, live, "all of them, or none")
		require.Equal(t, room == 100, live > n)
	}
}

// TestAWaitingGangIsPlacedByPulses: a gang that waits and takes long searches is
// planned over pulses, and placed once there is room for all of it.
func TestAWaitingGangIsPlacedByPulses(t *testing.T) {
	s, m := gangFleet(t, 40), unlikeGang(40, wire.MaxWait)
	var out Outbox
	var full []wire.LeaseID
	for i := range 40 {
		out.Reset()
		s.Apply(1, 1, 8, &wire.Schedule{Task: fmt.Append(nil, "f", i), TTLMS: wire.MaxTTL, Exclusive: true}, &out)
		full = append(full, out.Items[0].Placed.Lease)
	}
	out.Reset()
	job := s.Begin(1, 1, 7, m, &out)
	for done := job == nil; !done; {
		done = s.Continue(1, job, m, &out)
	}
	require.Empty(t, out.Items)
	require.Equal(t, 1, s.queue.list.Len())
	undecided := 0
	for i, id := range full {
		out.Reset()
		s.Begin(1, 1, 9, &wire.Release{Lease: id}, &out)
		for pulses := 0; s.NextPulse() <= 1; pulses++ {
			require.Less(t, pulses, 1000)
			if s.queue.undecided {
				undecided++
			}
			s.Pulse(1, &out)
			require.NoError(t, s.Check())
		}
		if s.queue.list.Len() == 0 {
			require.Less(t, i, 39)
			break
		}
	}
	require.Zero(t, s.queue.list.Len())
	require.Positive(t, undecided)
	for i := range out.Items {
		if out.Items[i].Request == 7 {
			require.Len(t, targets(t, out.Items[i].Message()), 40)
			return
		}
	}
	require.Fail(t, "the gang was not answered")
}
