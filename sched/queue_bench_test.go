package sched

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// queueGroups is how many distinct needs the waiters of the benchmarks have.
const queueGroups = 100

// waitingTasks makes requests that wait, of ten owners and three priorities.
type waitingTasks struct {
	m         wire.Schedule
	tags      [][]byte
	selectors [][]byte // of those that all workers could serve
	alike     bool
	n         int
}

func newWaitingTasks(alike bool) *waitingTasks {
	w := &waitingTasks{m: wire.Schedule{WaitMS: wire.MaxWait}, alike: alike}
	for i := range queueGroups {
		w.tags = append(w.tags, wire.AppendTags(nil, []string{fmt.Sprintf("group-%d", i), "linux"}))
		w.selectors = append(w.selectors, fmt.Appendf(nil, "linux || never-%d", i))
	}
	return w
}

func (w *waitingTasks) next() *wire.Schedule {
	w.n++
	w.m.Task = fmt.Appendf(w.m.Task[:0], "wait-%08d", w.n)
	w.m.Owner = fmt.Appendf(w.m.Owner[:0], "owner-%d", w.n%10)
	w.m.Priority = int32(w.n/10%3 - 1)
	if w.alike {
		w.m.Selector = w.selectors[w.n%queueGroups]
	} else {
		w.m.Tags = w.tags[w.n%queueGroups]
	}
	return &w.m
}

// queueFleet registers workers of one slot, each of which can serve ten of the
// groups, and fills them.
func queueFleet(tb testing.TB, n int) (*State, []wire.LeaseID) {
	cfg := DefaultConfig()
	cfg.Instance = 7
	s, err := New(cfg)
	require.NoError(tb, err)
	var out Outbox
	s.Apply(0, 1, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "bench"}, &out)
	for i := range n {
		if i%maxLinks == 0 {
			s.Apply(0, Session(2+i/maxLinks), 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
		}
		tags := []string{"linux"}
		for g := range queueGroups {
			if g%10 == i%10 {
				tags = append(tags, fmt.Sprintf("group-%d", g))
			}
		}
		s.Apply(0, Session(2+i/maxLinks), 1, &wire.Register{Worker: fmt.Sprintf("worker-%06d", i), Address: "10.0.0.1:9000", Incarnation: 1, Seq: 1, Tags: tags, Slots: 1}, &out)
		s.Apply(0, Session(2+i/maxLinks), 0, &wire.Promised{Handle: uint32(i % maxLinks), Grantor: s.Grantor()}, &out)
		out.Reset()
	}
	var leases []wire.LeaseID
	for i := range n {
		s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Appendf(nil, "first-%d", i), Tags: wire.AppendTags(nil, []string{"linux"}), TTLMS: wire.MaxTTL}, &out)
		leases = append(leases, out.Items[0].Placed.Lease)
		out.Reset()
	}
	s.Apply(0, 9, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "another"}, &out)
	return s, leases
}

// BenchmarkEnqueue lets a million tasks wait for a full fleet, and reports what
// each of them takes.
func BenchmarkEnqueue(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s, _ := queueFleet(b, 1_000)
		w := newWaitingTasks(false)
		var out Outbox
		before := heapInUse()
		b.StartTimer()
		for range maxWaitingLimit {
			s.Apply(1, 1, 1, w.next(), &out)
			out.Reset()
		}
		b.StopTimer()
		require.Equal(b, maxWaitingLimit, s.queue.list.Len())
		b.ReportMetric(float64(heapInUse()-before)/maxWaitingLimit, "B/waiter")
		runtime.KeepAlive(s)
		b.StartTimer()
	}
}

// BenchmarkWake ends a task on a full fleet while many wait: the room goes to
// the next of them.
func BenchmarkWake(b *testing.B) {
	for _, waiting := range []int{1_000, 1_000_000} {
		for _, alike := range []bool{false, true} {
			b.Run(fmt.Sprintf("waiting=%d/alike=%v", waiting, alike), func(b *testing.B) { benchmarkWake(b, waiting, alike) })
		}
	}
}

func benchmarkWake(b *testing.B, waiting int, alike bool) {
	s, leases := queueFleet(b, 1_000)
	w := newWaitingTasks(alike)
	var out Outbox
	for range waiting {
		s.Apply(1, 1, uint64(w.n), w.next(), &out)
		out.Reset()
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		s.Apply(1, 1, 1, &wire.Release{Lease: leases[i%len(leases)]}, &out)
		if len(out.Items) != 2 || out.Items[1].Kind != wire.KindPlaced {
			b.Fatalf("%d messages", len(out.Items))
		}
		leases[i%len(leases)] = out.Items[1].Placed.Lease
		i++
		out.Reset()
		s.Apply(1, 1, uint64(w.n), w.next(), &out) // another comes
		out.Reset()
	}
}

// BenchmarkOthers places and releases tasks in one half of a fleet, while the
// other half is full and nobody waits, or a hundred thousand do.
func BenchmarkOthers(b *testing.B) {
	for _, waiting := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			s, _ := queueFleet(b, 1_000)
			w := newWaitingTasks(false)
			var out Outbox
			for i := range 1_000 {
				s.Apply(0, 2, 1, &wire.Register{Worker: fmt.Sprintf("other-%06d", i), Address: "10.0.0.1:9000", Incarnation: 1, Seq: 1, Tags: []string{"other"}, Slots: 16}, &out)
				s.Apply(0, 2, 0, &wire.Promised{Handle: uint32(1_000 + i), Grantor: s.Grantor()}, &out)
				out.Reset()
			}
			for range waiting {
				s.Apply(1, 1, uint64(w.n), w.next(), &out)
				out.Reset()
			}
			m := wire.Schedule{Task: []byte("other-00000000"), Tags: wire.AppendTags(nil, []string{"other"})}
			for b.Loop() {
				s.Apply(1, 9, 1, &m, &out)
				s.Apply(1, 9, 1, &wire.Release{Lease: out.Items[0].Placed.Lease}, &out)
				out.Reset()
			}
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
