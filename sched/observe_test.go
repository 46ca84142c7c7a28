package sched

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Observe looks at a bounded number of owners; the one who waits longest is the
// first of the round until its turn comes.
func TestObserveIsBounded(t *testing.T) {
	s, out := crowd(t, 0, func(*Config) {})
	for i := range 3 * oldestVisits {
		s.Apply(Time(i), 3, 1, &wire.Schedule{Task: fmt.Appendf(nil, "t%d", i), Owner: fmt.Appendf(nil, "o%d", i), WaitMS: wire.MaxWait}, out)
	}
	var o Observation
	now := Time(10_000)
	s.Observe(now, &o)
	require.Equal(t, now, o.Oldest[classNormal])
	for _, w := range []int{0, 1} {
		slot, ok := s.head()
		require.True(t, ok)
		require.Equal(t, fmt.Sprintf("o%d", w), string(s.queue.at(slot).owner()))
		s.endWait(slot, isCancelled, waitCancelled, out)
	}
	s.Observe(now, &o)
	require.Equal(t, now-2, o.Oldest[classNormal])
	require.EqualValues(t, 3*oldestVisits-2, o.Waiting[classNormal])
	require.NoError(t, s.Check())
}

// Tasks that their owner's limit keeps from room do not wait for room.
func TestTheOldestWaitsForRoom(t *testing.T) {
	s, out := crowd(t, 0, func(c *Config) { c.MaxOwnerLeases = 1 })
	ask := func(now Time, task, owner string) {
		s.Apply(now, 3, 1, &wire.Schedule{Task: []byte(task), Owner: []byte(owner), WaitMS: wire.MaxWait}, out)
	}
	s.Apply(1, 1, 1, &wire.Release{Lease: s.leases.slots.At(0).id}, out)
	ask(2, "t1", "ann")
	ask(3, "t2", "ann")
	ask(7, "t3", "bob")
	var o Observation
	s.Observe(10, &o)
	require.Equal(t, Time(3), o.Oldest[classNormal])
	require.EqualValues(t, 2, o.Waiting[classNormal])
	require.NoError(t, s.Check())
}

// Every event is counted from 0 on, so that the first of its kind is seen as
// one more.
func TestEveryEventIsCounted(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, 0)
	require.NoError(t, err)
	names := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "event") {
			if kind, ok := spec.Values[0].(*ast.BasicLit); !ok || kind.Kind == token.STRING {
				names++
			}
		}
		return true
	})
	s := withWorkers(t, 0)
	var o Observation
	s.Observe(0, &o)
	require.Len(t, o.Events, names)
	require.Contains(t, o.Events, EventJoined)
}

func TestDurations(t *testing.T) {
	d := Durations{Bounds: &waitBounds}
	for _, x := range []Time{0, 1, 2, waitBounds[durationBounds-1], waitBounds[durationBounds-1] + 1} {
		d.add(x, 2)
	}
	require.EqualValues(t, []uint64{4, 2, 2, 2}, []uint64{d.Counts[0], d.Counts[1], d.Counts[durationBounds-1], d.Counts[durationBounds]})
	for i, b := range waitBounds {
		for _, x := range []Time{b, b + 1} {
			d := Durations{Bounds: &waitBounds}
			d.add(x, 1)
			require.EqualValues(t, 1, d.Counts[i+int(x-b)])
		}
	}
	require.Equal(t, 2*(0+1+2+2*waitBounds[durationBounds-1]+1), d.Sum)
}
