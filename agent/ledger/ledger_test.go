package ledger

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// connected returns a ledger that promised epoch 1, instance 7.
func connected(t testing.TB, c Config) *Ledger {
	c.Worker, c.Incarnation = "w1", 1
	l := New(c)
	l.Register()
	_, ok := l.Registered(&wire.Registered{Handle: 1, Grantor: wire.Grantor{Epoch: 1, Instance: 7}})
	require.True(t, ok)
	return l
}

func handover(counter uint64) *wire.Handover {
	return &wire.Handover{
		Lease:  wire.LeaseID{Epoch: 1, Instance: 7, Counter: counter},
		Worker: "w1", Incarnation: 1, Task: "t",
	}
}

func TestBeginNamesTheFieldThatNoRecordCanCarry(t *testing.T) {
	long := strings.Repeat("x", wire.MaxID+1)
	for field, spoil := range map[string]func(h *wire.Handover, caller *string){
		"task":     func(h *wire.Handover, _ *string) { h.Task = "" },
		"client":   func(h *wire.Handover, _ *string) { h.Client = long },
		"owner":    func(h *wire.Handover, _ *string) { h.Owner = long },
		"group":    func(h *wire.Handover, _ *string) { h.Group = long },
		"caller":   func(_ *wire.Handover, caller *string) { *caller = long },
		"priority": func(h *wire.Handover, _ *string) { h.Priority = -wire.MaxPriority - 1 },
		"resources": func(h *wire.Handover, _ *string) {
			h.Resources = map[string]int64{"cpu": wire.MaxAmount + 1}
		},
		"on_preempt": func(h *wire.Handover, _ *string) { h.OnPreempt = wire.OnPreemptNever + 1 },
	} {
		t.Run(field, func(t *testing.T) {
			l := connected(t, Config{Slots: 1})
			h, caller := handover(1), "p"
			spoil(h, &caller)
			_, err := l.Begin(h, caller)
			var e *wire.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, wire.CodeBadRequest, e.Code)
			require.Contains(t, e.Field, field)
			require.Zero(t, l.Running())
			require.NoError(t, l.Check())
		})
	}
}

func TestBegunCarriesTheWholeRecord(t *testing.T) {
	l := connected(t, Config{Slots: 1})
	h := handover(5)
	h.Task, h.Client, h.Owner, h.Group, h.Priority = "task", "client", "owner", "group", -3
	h.Resources, h.OnPreempt = map[string]int64{"cpu": 500, "mem": 64}, wire.OnPreemptRequeue
	want := wire.Record{
		Lease: h.Lease, Task: []byte("task"), Client: []byte("client"), Owner: []byte("owner"), Group: []byte("group"),
		Priority: -3, Resources: wire.AppendResources(nil, h.Resources), OnPreempt: wire.OnPreemptRequeue,
	}
	m, err := l.Begin(h, "p")
	require.NoError(t, err)
	require.Equal(t, want, m.Record)
	require.Equal(t, []wire.Record{want}, l.Register().Leases)

	again := New(Config{Worker: "w1", Incarnation: 2, Slots: 1})
	for r, caller := range l.All() {
		require.NoError(t, again.Restore(*r, caller))
	}
	require.Equal(t, []wire.Record{want}, again.Register().Leases, "the next process has it, too")
}

func TestAListThatNoRegistrationHoldsIsRefused(t *testing.T) {
	t.Run("leases", func(t *testing.T) {
		l := connected(t, Config{Slots: wire.MaxSlots})
		for i := range uint64(MaxLeases) {
			_, err := l.Begin(handover(i+1), "p")
			require.NoError(t, err)
		}
		_, err := l.Begin(handover(MaxLeases+1), "p")
		require.ErrorIs(t, err, ErrMemoryFull)
		require.NoError(t, l.Check())
	})
	t.Run("bytes", func(t *testing.T) {
		l := connected(t, Config{Slots: wire.MaxSlots})
		var err error
		begun := 0
		for err == nil {
			h := handover(uint64(begun + 1))
			h.Owner, h.Group = strings.Repeat("o", wire.MaxID), strings.Repeat("g", wire.MaxID)
			if _, err = l.Begin(h, "p"); err == nil {
				begun++
			}
		}
		require.ErrorIs(t, err, ErrMemoryFull)
		require.Less(t, begun, MaxLeases)
		require.NoError(t, l.Check())
		frame := wire.Append(nil, 1, l.Register())
		require.LessOrEqual(t, len(frame), 4+wire.MaxFrame)
		require.Greater(t, len(frame), MaxListBytes*3/4)
	})
}

func TestReportNumbersRunOut(t *testing.T) {
	l := connected(t, Config{Slots: 1})
	l.seq = maxSeq
	require.True(t, l.MemoryFull())
	_, err := l.Begin(handover(1), "p")
	require.ErrorIs(t, err, ErrMemoryFull)
	l.Superseded(2)
	require.False(t, l.MemoryFull())
	require.EqualValues(t, 1, l.Register().Seq)
	l.beats = maxSeq - 1
	require.False(t, l.MemoryFull())
	l.Beat(0)
	require.True(t, l.MemoryFull())
	l.Superseded(3)
	require.EqualValues(t, 1, l.Beat(0).Seq)
}

func TestARegistrationTellsTheNumberOfTheLastBeat(t *testing.T) {
	l := connected(t, Config{Slots: 1})
	require.Zero(t, l.Register().Beats)
	l.Beat(0)
	require.EqualValues(t, 2, l.Beat(0).Seq)
	l.SkipBeats()
	require.EqualValues(t, 2, l.Register().Beats, "it passes over numbers behind those it tells")
	require.EqualValues(t, 3+wire.BeatSkip, l.Beat(0).Seq)
	require.Equal(t, l.Beats(), l.Register().Beats)
	l.Superseded(2)
	require.Zero(t, l.Register().Beats)
	l.beats = maxSeq
	l.SkipBeats()
	l.Register()
	require.EqualValues(t, maxSeq, l.Beats(), "a new incarnation is due")
}

func TestRestoreTwiceIsAnError(t *testing.T) {
	l := New(Config{Worker: "w1", Incarnation: 1, Slots: 1})
	r := wire.Record{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: 1}, Task: []byte("t")}
	require.NoError(t, l.Restore(r, "p"))
	require.ErrorContains(t, l.Restore(r, "p"), "restored twice")
	got, caller := l.Record(r.Lease)
	require.Equal(t, &r, got)
	require.Equal(t, "p", caller)
}

// BenchmarkBeginEnd is one lease from begin to acknowledgement. The memory is
// renewed when it is full, as an agent does.
func BenchmarkBeginEnd(b *testing.B) {
	l := connected(b, Config{Slots: 1})
	h := handover(0)
	for b.Loop() {
		h.Lease.Counter++
		if l.MemoryFull() {
			l.Superseded(1)
			l.Register()
			l.Registered(&wire.Registered{Handle: 1, Grantor: wire.Grantor{Epoch: 1, Instance: 7}})
		}
		if _, err := l.Begin(h, "p"); err != nil {
			b.Fatal(err)
		}
		if _, err := l.End(h.Lease, wire.ReasonOK); err != nil {
			b.Fatal(err)
		}
		l.Ended(h.Lease)
	}
}

// BenchmarkHeap reports the heap of one ledger that has run a thousand leases
// and runs four.
func BenchmarkHeap(b *testing.B) {
	const ledgers, leases, running = 200, 1000, 4
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		all := make([]*Ledger, ledgers)
		for i := range all {
			all[i] = connected(b, Config{Slots: running})
			for n := range uint64(leases) {
				h := handover(n + 1)
				if _, err := all[i].Begin(h, "p"); err != nil {
					b.Fatal(err)
				}
				if n >= leases-running {
					continue
				}
				if _, err := all[i].End(h.Lease, wire.ReasonOK); err != nil {
					b.Fatal(err)
				}
				all[i].Ended(h.Lease)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/ledgers, "B/ledger")
		runtime.KeepAlive(all)
	}
}
