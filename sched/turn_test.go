package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// longSelector returns a selector with many terms, of which one holds.
func longSelector(n, terms int) []byte {
	b := strings.Builder{}
	for i := range terms {
		fmt.Fprintf(&b, "a%d_%d>=1 || ", n, i)
	}
	return []byte(b.String() + "model-" + fmt.Sprint(n%48))
}

// ownFleet is a fleet with workers that have a tag of their own each.
func ownFleet(t *testing.T, own int) *State {
	s := withWorkers(t, 500)
	var out Outbox
	for i := range own {
		s.Apply(1, 2, 1, &wire.Register{Worker: fmt.Sprint("own-", i), Address: "h:1", Incarnation: 1, Seq: 1,
			Tags: []string{fmt.Sprint("own=", i), "linux"}}, &out)
	}
	return s
}

// ownSelector returns a selector with many terms that each tag of an ownFleet is
// compared with, none of which holds there, and one that holds.
func ownSelector(terms int) []byte {
	b := strings.Builder{}
	for i := range terms {
		fmt.Fprintf(&b, "own>=9999.%d || ", i)
	}
	return []byte(b.String() + "model-3")
}

// selectorBatch returns a batch whose tasks have selectors of their own.
func selectorBatch(tasks, terms int, waitMS uint32) *wire.Batch {
	m := &wire.Batch{}
	for i := range tasks {
		m.Tasks = append(m.Tasks, wire.Schedule{
			Task: fmt.Append(nil, "t", i), Tags: wire.AppendTags(nil, []string{"linux"}), Selector: longSelector(i, terms), WaitMS: waitMS,
		})
	}
	return m
}

// inTurns handles a message as a server does and returns the number of turns. No
// turn takes more work than slack beyond its allowance.
func inTurns(t *testing.T, s *State, m wire.Message, out *Outbox, between func()) (turns int) {
	const slack = 2*wire.MaxSelector*parseWork + 1000 // one task is read to its end
	job := s.Begin(1, 1, 7, m, out)
	require.LessOrEqual(t, s.Work(), FirstWork+slack)
	for job != nil {
		turns++
		between()
		done := s.Continue(1, job, m, out)
		require.LessOrEqual(t, s.Work(), TurnWork+slack)
		if done {
			break
		}
	}
	require.NoError(t, s.Check())
	return turns
}

// TestTurnsEndLikeOneStep: what is handled in turns has the answers that it has in
// one step.
func TestTurnsEndLikeOneStep(t *testing.T) {
	gang, distinct := selectorBatch(40, 30, 0), selectorBatch(40, 30, 0)
	gang.AllOrNone = true
	distinct.AllOrNone, distinct.Distinct = true, true
	bad, tooLarge := selectorBatch(40, 30, 0), selectorBatch(40, 30, 60_000)
	bad.Tasks[39].Selector = []byte("a &&")
	tooLarge.AllOrNone = true
	for i := range tooLarge.Tasks {
		tooLarge.Tasks[i].Exclusive = true
		tooLarge.Tasks[i].Selector = longSelector(48*i, 30)
	}
	many := selectorBatch(300, 8, 60_000)
	for i := range many.Tasks {
		many.Tasks[i].Exclusive = true
	}
	prefer := selectorBatch(40, 30, 0)
	for i := range prefer.Tasks {
		prefer.Tasks[i].Prefer = longSelector(1000+i, 30)
	}
	for i, m := range []*wire.Batch{selectorBatch(40, 30, 0), gang, distinct, bad, tooLarge, many, prefer} {
		one, two := withWorkers(t, 500), withWorkers(t, 500)
		var want, got Outbox
		one.Apply(1, 1, 7, m, &want)
		require.Greater(t, inTurns(t, two, m, &got, func() {}), 2, "%d", i)
		require.Equal(t, want, got, "%d", i)
		require.Equal(t, one.stats(), two.stats(), "%d", i)
	}
	single := &wire.Schedule{Task: []byte("t"), Selector: longSelector(1, 100), Prefer: ownSelector(100)}
	one, two := ownFleet(t, 500), ownFleet(t, 500)
	var want, got Outbox
	one.Apply(1, 1, 7, single, &want)
	require.Greater(t, inTurns(t, two, single, &got, func() {}), 0)
	require.Equal(t, want, got)
}

// TestOthersBetweenTurns: while a batch takes its turns others are served, tag
// sets come, and its own session may end.
func TestOthersBetweenTurns(t *testing.T) {
	s, m, n := withWorkers(t, 500), selectorBatch(40, 30, 0), 0
	var out, other Outbox
	inTurns(t, s, m, &out, func() {
		n++
		other.Reset()
		s.Apply(1, 1, 8, &wire.Schedule{Task: fmt.Append(nil, "other", n)}, &other)
		require.Equal(t, wire.KindPlaced, other.Items[0].Kind)
		s.Apply(1, 2, 1, &wire.Register{Worker: fmt.Sprint("new-", n), Address: "h:1", Incarnation: 1, Seq: 1, Tags: []string{fmt.Sprint("new-", n)}}, &other)
	})
	all := out.Items[0].Other.(*wire.PlacedAll)
	for i := range all.Results {
		require.Equal(t, wire.CodeOK, all.Results[i].Code)
	}
	out.Reset()
	job := s.Begin(1, 1, 9, selectorBatch(400, 20, 0), &out)
	require.NotNil(t, job)
	s.Close(1, 1, &out)
	out.Reset()
	require.True(t, s.Continue(1, job, m, &out))
	require.Empty(t, out.Items)
}

// TestTurnsAreBounded: what is not done after MaxTurns is given up by name, and
// what a batch has placed until then it keeps.
func TestTurnsAreBounded(t *testing.T) {
	for _, all := range []bool{false, true} {
		s, m := withWorkers(t, 500), selectorBatch(1000, 8, 0)
		m.AllOrNone = all
		var out Outbox
		job := s.Begin(1, 1, 7, m, &out)
		for !all && job.checked < len(m.Tasks) { // a gang is placed in the turn that checks its last task
			require.False(t, s.Continue(1, job, m, &out))
		}
		job.turns = MaxTurns
		require.True(t, s.Continue(1, job, m, &out))
		answer := out.Items[0].Other.(*wire.PlacedAll)
		require.Equal(t, wire.CodeSearchLimit, answer.Results[job.placed%len(m.Tasks)].Code)
		require.NotZero(t, answer.RetryAfterMS)
		for i := range job.placed {
			require.Equal(t, wire.CodeOK, answer.Results[i].Code)
		}
		require.NoError(t, s.Check())
	}
	s, m := withWorkers(t, 500), selectorBatch(400, 20, 0)
	var out Outbox
	job := s.Begin(1, 1, 7, m, &out)
	job.turns = MaxTurns
	require.True(t, s.Continue(1, job, m, &out))
	require.Equal(t, wire.CodeSearchLimit, out.Items[0].Other.(*wire.Error).Code)
}

// TestLongKeysAreReady: a requirement whose key is too long for the cache of the
// index is found out over turns as well.
func TestLongKeysAreReady(t *testing.T) {
	s := ownFleet(t, 2000)
	var out Outbox
	m := &wire.Schedule{Task: []byte("t"), Tags: wire.AppendTags(nil, slices.Repeat([]string{"linux"}, index.MaxKey/5)), Selector: ownSelector(100)}
	require.Greater(t, inTurns(t, s, m, &out, func() {}), 2)
	require.Equal(t, wire.KindPlaced, out.Items[0].Kind)
	require.Nil(t, s.pinned)
}

// TestAChangeAmongManyNeedsIsCheap: with thousands of distinct selectors of many terms waiting, a
// change of a worker costs little, whatever it could serve.
func TestAChangeAmongManyNeedsIsCheap(t *testing.T) {
	const wants, terms = 3000, 30
	s := withWorkers(t, 200)
	var out Outbox
	var leases []wire.LeaseID
	for i := range 200 * 16 {
		out.Reset()
		s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Append(nil, "run", i), TTLMS: wire.MaxTTL}, &out)
		leases = append(leases, out.Items[0].Placed.Lease)
	}
	wait := func(n int) *wire.Schedule {
		selector := longSelector(n, terms)
		if n%2 == 0 {
			selector = append(selector, " || linux"...) // every worker could serve it
		}
		return &wire.Schedule{Task: fmt.Append(nil, "wait", n), Selector: selector, WaitMS: wire.MaxWait}
	}
	for i := range wants {
		out.Reset()
		s.Apply(1, 1, 100, wait(i), &out)
		require.Empty(t, out.Items)
	}
	require.Len(t, s.queue.list.Classes(), wants)
	most := 0
	for i, id := range leases[:400] {
		out.Reset()
		s.Begin(1, 1, 1, &wire.Release{Lease: id}, &out)
		require.Len(t, out.Items, 2, "the room goes to somebody who waits")
		if i >= 200 { // each kind of worker has been looked at
			most = max(most, s.Work())
		}
		s.Begin(1, 1, 100, wait(wants+i), &out)
	}
	require.Less(t, most, 2000, "units for a change of one worker")
	require.NoError(t, s.Check())
}
