package judge

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func id(counter uint64) wire.LeaseID { return wire.LeaseID{Epoch: 1, Instance: 7, Counter: counter} }

func task(n uint64) Task { return Task{Client: 1, Number: n} }

// newJudge knows w1 (slots 2, tags cpu and gpu) and w2 (slots 1, tag cpu), both
// of incarnation 1, and h1 (slots 1, tag cpu), which speaks no leases.
func newJudge() *Judge {
	j := New([]Worker{
		{ID: "w1", Tags: []string{"cpu", "gpu"}, Slots: 2},
		{ID: "w2", Tags: []string{"cpu"}, Slots: 1},
		{ID: "h1", Tags: []string{"cpu"}, Slots: 1, Heuristic: true},
	}, func() time.Duration { return 1500 * time.Millisecond }, nil)
	j.Incarnation(0, 1)
	j.Incarnation(1, 1)
	return j
}

// grant gives the lease of the same number to a task.
func grant(j *Judge, n uint64, worker string, tags ...string) {
	j.Granted(task(n), id(n), worker, 1, &Need{Tags: tags}, 0)
}

// begin grants a lease and has the worker begin it.
func begin(j *Judge, n uint64, worker string) {
	grant(j, n, worker)
	j.Began(j.byID[worker], id(n))
}

// another gives task 1 lease 2.
func another(j *Judge, worker string, incarnation uint64) {
	j.Granted(task(1), id(2), worker, incarnation, &Need{}, 0)
}

func TestPlacements(t *testing.T) {
	run(t, []verdict{
		{"tags hold", "", func(j *Judge) { grant(j, 1, "w1", "gpu", "cpu") }},
		{"unknown worker", UnknownWorker, func(j *Judge) { grant(j, 1, "w9") }},
		{"tags do not hold", WrongTags, func(j *Judge) { grant(j, 1, "w2", "cpu", "gpu") }},
		{"lease of two tasks", ReusedLease, func(j *Judge) { grant(j, 1, "w1"); j.Granted(task(2), id(1), "w1", 1, &Need{}, 0) }},
		{"lease moves", ReusedLease, func(j *Judge) { grant(j, 1, "w1"); grant(j, 1, "w2") }},
		{"same answer again", "", func(j *Judge) { grant(j, 1, "w1"); grant(j, 1, "w1") }},
		{"two leases, granted", TwoLeases, func(j *Judge) { grant(j, 1, "w1"); another(j, "w1", 1) }},
		{"two leases, running", TwoLeases, func(j *Judge) { begin(j, 1, "w1"); j.Incarnation(0, 2); another(j, "w2", 1) }},
		{"second after the end", "", func(j *Judge) { begin(j, 1, "w1"); j.Ended(0, id(1)); another(j, "w1", 1) }},
		{"second after giving up", "", func(j *Judge) { grant(j, 1, "w1"); j.GivenUp(id(1)); another(j, "w1", 1) }},
		{"second after the worker lost the first", "", func(j *Judge) { begin(j, 1, "w1"); j.Lost(0); another(j, "w1", 1) }},
		{"second after a new incarnation", "", func(j *Judge) { grant(j, 1, "w1"); j.Incarnation(0, 2); another(j, "w1", 2) }},
		{"second after the first was given back unheard of", "", func(j *Judge) {
			j.Revoked(0, id(1))
			grant(j, 1, "w1")
			another(j, "w1", 1)
		}},
		{"given back unheard of, then for two tasks", ReusedLease, func(j *Judge) {
			j.Revoked(0, id(1))
			grant(j, 1, "w1")
			j.Granted(task(2), id(1), "w1", 1, &Need{}, 0)
		}},
		{"second of another instance", "", func(j *Judge) {
			begin(j, 1, "w1")
			j.Granted(task(1), wire.LeaseID{Epoch: 2, Instance: 8, Counter: 1}, "w1", 1, &Need{}, 0)
		}},
	})
}

func TestLives(t *testing.T) {
	run(t, []verdict{
		{"a whole life", "", func(j *Judge) { begin(j, 1, "w1"); j.Ended(0, id(1)) }},
		{"never granted", NeverGranted, func(j *Judge) { j.Began(0, id(1)) }},
		{"wrong worker", WrongWorker, func(j *Judge) { grant(j, 1, "w1"); j.Began(1, id(1)) }},
		{"begun twice while it runs", "", func(j *Judge) { begin(j, 1, "w2"); j.Began(1, id(1)) }},
		{"begun after its end", BegunAgain, func(j *Judge) { begin(j, 1, "w1"); j.Ended(0, id(1)); j.Began(0, id(1)) }},
		{"begun after it was given back", BegunAgain, func(j *Judge) { grant(j, 1, "w1"); j.Revoked(0, id(1)); j.Began(0, id(1)) }},
		{"begun after it was given back unheard of", BegunAgain, func(j *Judge) { j.Revoked(0, id(1)); grant(j, 1, "w1"); j.Began(0, id(1)) }},
		{"begun after it was given up", BegunAgain, func(j *Judge) { grant(j, 1, "w1"); j.GivenUp(id(1)); j.Began(0, id(1)) }},
		{"begun after it was lost", BegunAgain, func(j *Judge) { begin(j, 1, "w1"); j.Lost(0); j.Began(0, id(1)) }},
		{"one task too many", OverCapacity, func(j *Judge) { begin(j, 1, "w2"); begin(j, 2, "w2") }},
		{"slots used one after the other", "", func(j *Judge) {
			for n := uint64(1); n < 10; n++ {
				begin(j, n, "w2")
				j.Ended(1, id(n))
			}
		}},
		{"refused for lack of a slot", RefusedFull, func(j *Judge) { grant(j, 1, "w2"); j.Full(1, id(1)) }},
		{"given back while it runs", RevokedBegun, func(j *Judge) { begin(j, 1, "w1"); j.Revoked(0, id(1)) }},
		{"told begun and is", "", func(j *Judge) { begin(j, 1, "w1"); j.Told(id(1), wire.StateBegun) }},
		{"told begun and never was", ToldBegun, func(j *Judge) { grant(j, 1, "w1"); j.Told(id(1), wire.StateBegun) }},
		{"told ended and is", "", func(j *Judge) { begin(j, 1, "w1"); j.Ended(0, id(1)); j.Told(id(1), wire.StateEnded) }},
		{"told ended and runs", ToldEnded, func(j *Judge) { begin(j, 1, "w1"); j.Told(id(1), wire.StateEnded) }},
		{"found outside", Unanswered, func(j *Judge) { j.Broken(Unanswered, "call %d", 9) }},
	})
}

func TestHeuristicWorkers(t *testing.T) {
	run(t, []verdict{
		{"tags do not hold", WrongTags, func(j *Judge) { grant(j, 1, "h1", "gpu") }},
		{"lease of two tasks", ReusedLease, func(j *Judge) { grant(j, 1, "h1"); j.Granted(task(2), id(1), "h1", 1, &Need{}, 0) }},
		{"never granted", NeverGranted, func(j *Judge) { j.Began(2, id(1)) }},
		{"one task too many", "", func(j *Judge) { begin(j, 1, "h1"); begin(j, 2, "h1") }},
		{"second while the first runs", "", func(j *Judge) { begin(j, 1, "h1"); another(j, "w1", 1) }},
		{"second on it while the first runs elsewhere", TwoLeases, func(j *Judge) { begin(j, 1, "w1"); another(j, "h1", 0) }},
		{"told ended and runs", "", func(j *Judge) { begin(j, 1, "h1"); j.Told(id(1), wire.StateEnded) }},
		{"told begun", ToldBegun, func(j *Judge) { begin(j, 1, "h1"); j.Told(id(1), wire.StateBegun) }},
		{"told assumed", "", func(j *Judge) { begin(j, 1, "h1"); j.Told(id(1), wire.StateAssumed) }},
	})
}

func TestExceededIsCounted(t *testing.T) {
	j := newJudge()
	begin(j, 1, "h1")
	require.Zero(t, j.Exceeded())
	begin(j, 2, "h1")
	begin(j, 3, "h1")
	require.Equal(t, 2, j.Exceeded(), "each begin beyond the slots")
	j.Ended(2, id(1))
	j.Ended(2, id(2))
	j.Ended(2, id(3))
	begin(j, 4, "h1")
	require.Equal(t, 2, j.Exceeded())
	begin(j, 5, "w2")
	begin(j, 6, "w2")
	require.Equal(t, 2, j.Exceeded(), "elsewhere it is a violation")
	_, n := j.Violations()
	require.Equal(t, 1, n)
}

// verdict is a story and the one rule it breaks, "" for none.
type verdict struct {
	name string
	want Rule
	run  func(j *Judge)
}

func run(t *testing.T, cases []verdict) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := newJudge()
			c.run(j)
			got, n := j.Violations()
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, 1, n, "%v", got)
			require.Equal(t, c.want, got[0].Rule)
			require.Equal(t, 1500*time.Millisecond, got[0].At)
		})
	}
}

func TestAgrees(t *testing.T) {
	j := newJudge()
	list := func(s wire.State, numbers ...uint64) (out []wire.LeaseInfo) {
		for _, n := range numbers {
			out = append(out, wire.LeaseInfo{Lease: id(n), Task: fmt.Sprint("t-", n), State: s})
		}
		return out
	}
	begin(j, 1, "w1")
	grant(j, 2, "w1")
	require.Empty(t, j.Agrees(0, list(wire.StateBegun, 1)))
	require.Empty(t, j.Agrees(0, append(list(wire.StateBegun, 1), list(wire.StateGranted, 2)...)))
	require.Contains(t, j.Agrees(0, nil), "does not list as begun")
	require.Contains(t, j.Agrees(0, list(wire.StateGranted, 1)), "does not list as begun")
	require.Contains(t, j.Agrees(0, list(wire.StateBegun, 1, 2)), "does not run lease")
	j.Lost(0)
	require.Contains(t, j.Agrees(0, list(wire.StateBegun, 1)), "does not run lease")
	_, n := j.Violations()
	require.Zero(t, n, "a difference alone is no violation")
}

func TestBounds(t *testing.T) {
	j := newJudge()
	heard := 0
	j.report = func(Violation) { heard++ }
	for n := uint64(0); n < 2*maxViolations; n++ {
		j.Began(0, id(n))
	}
	kept, n := j.Violations()
	require.Len(t, kept, maxViolations)
	require.Equal(t, 2*maxViolations, n)
	require.Equal(t, maxViolations, heard)
	require.Equal(t, "   1.500s never-granted: w1 began lease "+id(0).String()+", which no client was given", kept[0].String())
}

func TestEndedLeasesAreForgottenOldestFirst(t *testing.T) {
	j := newJudge()
	j.remember = 100
	const last = 1000
	for n := uint64(1); n <= last; n++ {
		grant(j, n, "w1")
		j.GivenUp(id(n))
	}
	require.Len(t, j.leases, j.remember)
	require.NotContains(t, j.leases, id(last-100))
	require.Contains(t, j.leases, id(last-99))
	require.LessOrEqual(t, len(j.over), 2*j.remember+1)
	require.Empty(t, j.tasks)
}
