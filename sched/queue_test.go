package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// crowd returns a scheduler with one full worker and n tasks that wait for it.
func crowd(t *testing.T, n int, more func(*Config)) (*State, *Outbox) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Instance = 7
	more(&cfg)
	s, err := New(cfg)
	require.NoError(t, err)
	out := &Outbox{}
	for session, role := range map[Session]wire.Role{1: wire.RoleClient, 2: wire.RoleAgent, 3: wire.RoleClient} {
		s.Apply(0, session, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: role, Client: fmt.Sprintf("c%d", session)}, out)
	}
	s.Apply(0, 2, 1, &wire.Register{Worker: "w", Address: "h:1", Incarnation: 1, Seq: 1, Slots: 1}, out)
	s.Apply(0, 2, 1, &wire.Promised{Grantor: s.Grantor()}, out)
	s.Apply(0, 1, 1, &wire.Schedule{Task: []byte("first"), TTLMS: wire.MaxTTL}, out)
	out.Reset()
	for i := range n {
		s.Apply(0, 3, uint64(i), &wire.Schedule{Task: fmt.Appendf(nil, "t%d", i), Owner: []byte("ann"), WaitMS: wire.MaxWait}, out)
	}
	return s, out
}

// answered empties an outbox and counts its messages of a kind.
func answered(out *Outbox, k wire.Kind) (n int) {
	for i := range out.Items {
		if out.Items[i].Kind == k {
			n++
		}
	}
	out.Reset()
	return n
}

func TestAFullQueueRefusesByName(t *testing.T) {
	for _, c := range []struct {
		limit int
		more  func(*Config)
	}{
		{5, func(c *Config) { c.MaxWaiting = 5 }},
		{7, func(c *Config) { c.MaxOwnerWaiting = 7 }},
	} {
		s, out := crowd(t, 10, c.more)
		require.Len(t, out.Items, 10-c.limit, "those within the limit have no answer yet")
		e := out.Items[0].Other.(*wire.Error)
		require.Equal(t, wire.CodeQueueFull, e.Code)
		require.EqualValues(t, c.limit, e.Limit)
		require.Equal(t, "wait_ms", e.Field)
		require.Positive(t, e.RetryAfterMS)
		require.NoError(t, s.Check())
	}
}

func TestAGangCountsAsItsTasks(t *testing.T) {
	s, out := crowd(t, 3, func(c *Config) { c.MaxWaiting = 5 })
	gang := &wire.Batch{AllOrNone: true}
	for i := range 3 {
		gang.Tasks = append(gang.Tasks, wire.Schedule{Task: fmt.Appendf(nil, "g%d", i), WaitMS: 1000})
	}
	s.Apply(0, 3, 100, gang, out)
	all := out.Items[0].Other.(*wire.PlacedAll)
	require.Equal(t, wire.CodeQueueFull, all.Results[0].Code)
	gang.Tasks = gang.Tasks[:2]
	out.Reset()
	s.Apply(0, 3, 101, gang, out)
	require.Empty(t, out.Items)
	require.Equal(t, 5, s.queue.list.Tasks())
	require.NoError(t, s.Check())
}

// One frame of an operator looks at a bounded number of waiters, whatever the
// filter.
func TestAdministrationIsSliced(t *testing.T) {
	const n = 3*listVisits + 10
	s, out := crowd(t, n, func(*Config) {})
	rows, pages := 0, 0
	for q := (&wire.ListQueue{Owner: "nobody"}); ; pages++ {
		page := s.listQueue(q)
		require.LessOrEqual(t, page.Next, q.After+listVisits)
		rows += len(page.Rows)
		if q.After = page.Next; q.After == 0 {
			break
		}
	}
	require.Zero(t, rows)
	require.Equal(t, 3, pages)
	out.Reset()
	gone := uint32(0)
	for c := (&wire.Cancel{Owner: "ann"}); ; {
		s.Apply(0, 1, 1, c, out)
		answer := out.Items[len(out.Items)-1].Other.(*wire.Cancelled)
		require.LessOrEqual(t, answer.Count, uint32(listVisits))
		require.Equal(t, int(answer.Count)+1, len(out.Items))
		out.Reset()
		gone += answer.Count
		if c.After = answer.Next; c.After == 0 {
			break
		}
	}
	require.EqualValues(t, n, gone)
	require.NoError(t, s.Check())
}

// A session with many waiters closes in slices, and none of them gets anything.
func TestACrowdLeavesInSlices(t *testing.T) {
	const n = 3*pulseBudget + 5
	s, out := crowd(t, n, func(*Config) {})
	out.Reset()
	s.Close(1, 3, out)
	require.Equal(t, n-pulseBudget, s.queue.list.Len())
	require.Equal(t, Time(1), s.NextPulse())
	s.Apply(1, 1, 1, &wire.Schedule{Task: []byte("first"), Priority: 1}, out)
	out.Reset()
	lease := s.leases.slots.At(0).id
	s.Apply(1, 1, 2, &wire.Release{Lease: lease}, out)
	require.Zero(t, answered(out, wire.KindPlaced))
	for range 4 {
		require.NoError(t, s.Check())
		s.Pulse(1, out)
	}
	require.Zero(t, s.queue.list.Len())
	require.Empty(t, out.Items)
	require.EqualValues(t, n, s.log.waitEnds[waitClosed])
	require.NoError(t, s.Check())
}

// A worker that brings much room is filled in slices.
func TestMuchRoomIsGivenInSlices(t *testing.T) {
	const n = serveWork/taskWork + 100
	s, out := crowd(t, n, func(*Config) {})
	out.Reset()
	s.Apply(1, 2, 1, &wire.Register{Worker: "big", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 2 * n}, out)
	s.Apply(1, 2, 2, &wire.Promised{Handle: 1, Grantor: s.Grantor()}, out)
	first := answered(out, wire.KindPlaced)
	require.Less(t, first, serveWork/taskWork)
	require.Positive(t, first)
	require.Equal(t, Time(1), s.NextPulse(), "the rest is due at once")
	rest := 0
	for s.NextPulse() <= 1 {
		s.Pulse(1, out)
		rest += answered(out, wire.KindPlaced)
		require.NoError(t, s.Check())
	}
	require.Equal(t, n, first+rest)
}

// Many different needs wait, and the only one that fits comes last: it is found
// by one event and the pulses behind it. One need more than may be is refused by name.
func TestManyNeedsWait(t *testing.T) {
	s, out := crowd(t, 0, func(*Config) {})
	out.Reset()
	for i := range waitlist.MaxClasses + 1 {
		m := &wire.Schedule{Task: fmt.Appendf(nil, "t%d", i), Selector: fmt.Appendf(nil, "!other || never-%d", i), WaitMS: wire.MaxWait}
		if i == waitlist.MaxClasses-1 {
			m.Selector = []byte("other || !never")
		}
		s.Apply(0, 3, uint64(i), m, out)
	}
	require.Len(t, out.Items, 1)
	e := out.Items[0].Other.(*wire.Error)
	require.Equal(t, []any{wire.CodeQueueFull, uint64(waitlist.MaxClasses)}, []any{e.Code, e.Limit})
	out.Reset()
	s.Apply(1, 2, 1, &wire.Register{Worker: "other", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 1, Tags: []string{"other"}}, out)
	s.Apply(1, 2, 2, &wire.Promised{Handle: 1, Grantor: s.Grantor()}, out)
	got := answered(out, wire.KindPlaced)
	for s.NextPulse() <= 1 {
		require.NoError(t, s.Check())
		s.Pulse(1, out)
		got += answered(out, wire.KindPlaced)
	}
	require.Equal(t, 1, got)
	require.Equal(t, waitlist.MaxClasses-1, s.queue.list.Len())
	require.Greater(t, s.NextPulse(), Time(1), "nothing is left over")
}

// TestBytesOfNeedsAreBounded: distinct needs that wait have so many bytes at most;
// those that wait already are shared, and those that leave are counted no more.
func TestBytesOfNeedsAreBounded(t *testing.T) {
	s := withWorkers(t, 1)
	var out Outbox
	s.Apply(1, 1, 1, &wire.Schedule{Task: []byte("all"), Exclusive: true, TTLMS: wire.MaxTTL}, &out)
	gang := func(n int) *wire.Batch {
		m := &wire.Batch{AllOrNone: true}
		for i := range wire.MaxBatch {
			m.Tasks = append(m.Tasks, wire.Schedule{
				Task: fmt.Append(nil, n, "-", i), WaitMS: wire.MaxWait, WaitForWorkers: true, TTLMS: wire.MaxTTL, Tags: wire.AppendTags(nil, []string{"linux"}),
				NotWorkers: wire.AppendWorkers(nil, append(slices.Repeat([]string{strings.Repeat("x", wire.MaxID)}, wire.MaxNotWorkers-1), fmt.Sprint(n, "-", i))),
			})
		}
		return m
	}
	ask := func(m wire.Message) wire.Message {
		out.Reset()
		s.Apply(1, 1, 1, m, &out)
		if len(out.Items) == 0 {
			return nil
		}
		return out.Items[0].Message()
	}
	n := 0
	for ; s.queue.list.KeyBytes() < waitlist.MaxKeyBytes/2; n++ {
		require.Nil(t, ask(gang(n)))
	}
	last := ask(gang(n))
	for n++; last == nil; n++ {
		last = ask(gang(n))
	}
	require.Equal(t, wire.CodeQueueFull, last.(*wire.PlacedAll).Results[0].Code)
	require.Contains(t, last.(*wire.PlacedAll).Results[0].Message, "bytes")
	require.LessOrEqual(t, s.queue.list.KeyBytes(), waitlist.MaxKeyBytes)
	again := gang(0)
	for i := range again.Tasks {
		again.Tasks[i].Task = append([]byte("again-"), again.Tasks[i].Task...)
	}
	require.Nil(t, ask(again), "it needs what others need")
	shared := s.queue.needs.At(s.queue.list.Classes()[0].Slot).members[5].ask.NotWorkers
	for slot := range int32(s.queue.waiters.Len()) {
		if w := s.queue.at(slot); w.waits() && w.Bucket.Class == s.queue.list.Classes()[0] {
			require.Same(t, &shared[0], &w.gang.tasks[5].NotWorkers[0])
		}
	}
	s.Close(1, 1, &out)
	settled(t, s, &out)
	require.Zero(t, s.queue.list.KeyBytes())
}

// TestExclusiveBecomesFeasible: what no worker of a kit could take, because all of
// them speak HTTP, a further one of that kit that speaks leases can.
func TestExclusiveBecomesFeasible(t *testing.T) {
	s := withWorkers(t, 0)
	var out Outbox
	s.Apply(1, 1, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"}, &out)
	s.Apply(1, 2, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
	refusal := func() wire.Code {
		out.Reset()
		s.Apply(1, 1, 1, &wire.Schedule{Task: []byte("t"), Tags: wire.AppendTags(nil, []string{"cpu"}), Exclusive: true}, &out)
		return out.Items[0].Message().(*wire.Error).Code
	}
	require.NoError(t, s.Report(1, &Report{Worker: "web", Address: "h:1", Tags: []string{"cpu"}, Slots: 1}, &out))
	require.Equal(t, wire.CodeInfeasible, refusal())
	s.Apply(1, 2, 1, &wire.Register{Worker: "w", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 1, Tags: []string{"cpu"}}, &out)
	require.Equal(t, wire.CodeUnavailable, refusal(), "it has not promised yet")
	require.Len(t, s.kits, 1)
	s.RemoveWorker(1, "w", &out)
	require.Equal(t, wire.CodeInfeasible, refusal())
}
