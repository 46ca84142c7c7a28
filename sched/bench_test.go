package sched

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// withWorkers returns a scheduler with n promised workers of 16 slots, spread over
// 48 tag sets, one agent session and one client session.
func withWorkers(tb testing.TB, n int) *State { return fleetOf(tb, n, nil, nil) }

// fleetOf is withWorkers with resources and devices.
func fleetOf(tb testing.TB, n int, resources map[string]int64, devices []wire.Device) *State {
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
		s.Apply(0, Session(2+i/maxLinks), 1, &wire.Register{
			Resources: resources, Devices: devices,
			Worker: fmt.Sprintf("worker-%06d", i), Address: fmt.Sprintf("10.0.%d.%d:9000", i/250, i%250), Incarnation: 1, Seq: 1,
			Tags: []string{"linux", fmt.Sprintf("model-%d", i%48), fmt.Sprintf("zone-%d", i%4)}, Slots: 16,
		}, &out)
		s.Apply(0, Session(2+i/maxLinks), 0, &wire.Promised{Handle: uint32(i % maxLinks), Grantor: s.Grantor()}, &out)
		out.Reset()
	}
	return s
}

// cycle runs whole lives of tasks: schedule, begun, end.
type cycle struct {
	s        *State
	out      Outbox
	schedule wire.Schedule
	begun    wire.Begun
	end      wire.End
	ended    wire.Release
	tags     [][]byte
	n        int
}

func newCycle(s *State) *cycle {
	c := &cycle{s: s, end: wire.End{Outcome: wire.ReasonOK}}
	for i := range 50 {
		c.tags = append(c.tags, wire.AppendTags(nil, []string{fmt.Sprintf("model-%d", i%48), "linux"}[:1+i%2]))
	}
	c.schedule.Task = []byte("task-00000000")
	return c
}

func (c *cycle) place(tb testing.TB) *wire.Placed {
	c.n++
	for i, v := len(c.schedule.Task)-1, c.n; i > 4; i, v = i-1, v/10 {
		c.schedule.Task[i] = '0' + byte(v%10)
	}
	c.schedule.Tags = c.tags[c.n%len(c.tags)]
	c.out.Reset()
	c.s.Apply(1, 1, 1, &c.schedule, &c.out)
	if c.out.Items[0].Kind != wire.KindPlaced {
		tb.Fatal(c.out.Items[0].Other)
	}
	return &c.out.Items[0].Placed
}

// release gives a lease back that did not begin.
func (c *cycle) release(id wire.LeaseID) {
	c.ended = wire.Release{Lease: id}
	c.s.Apply(1, 1, 1, &c.ended, &c.out)
}

// live runs one task from schedule to end.
func (c *cycle) live(tb testing.TB) {
	p := c.place(tb)
	slot, _ := c.s.leases.find(p.Lease)
	w := c.s.workers.At(c.s.leases.slots.At(slot).worker)
	c.begun = wire.Begun{Handle: w.handle, Seq: w.seq + 1, Record: wire.Record{Lease: p.Lease, Task: c.schedule.Task}}
	c.end.Handle, c.end.Seq, c.end.Lease = w.handle, w.seq+2, p.Lease
	from := w.session
	c.s.Apply(1, from, 0, &c.begun, &c.out)
	c.s.Apply(1, from, 2, &c.end, &c.out)
}

func BenchmarkScheduleBegunEnd(b *testing.B) {
	for _, n := range []int{5_000, 100_000, 1_000_000} {
		if n > 100_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCycle(withWorkers(b, n))
			b.ReportAllocs()
			for b.Loop() {
				c.live(b)
			}
		})
	}
}

// BenchmarkScheduleRelease is one placement and its release: a lease's whole
// life as far as the scheduler alone decides it.
func BenchmarkScheduleRelease(b *testing.B) {
	c := newCycle(withWorkers(b, 5_000))
	b.ReportAllocs()
	for b.Loop() {
		c.release(c.place(b).Lease)
	}
}

// fullFleet is a cycle over 5,000 workers on which every slot is taken.
func fullFleet(b *testing.B) *cycle {
	c := newCycle(withWorkers(b, 5_000))
	for range 5_000 * 16 {
		c.schedule.Tags = nil
		c.n++
		c.schedule.Task = fmt.Appendf(c.schedule.Task[:0], "task-%08d", c.n)
		c.s.Apply(1, 1, 1, &c.schedule, &c.out)
		c.out.Reset()
	}
	return c
}

// BenchmarkScheduleRefused asks for a worker in a fleet that is full.
func BenchmarkScheduleRefused(b *testing.B) {
	c := fullFleet(b)
	b.ReportAllocs()
	for b.Loop() {
		c.schedule.Task = append(c.schedule.Task[:0], "another"...)
		c.schedule.Tags = c.tags[0]
		c.out.Reset()
		c.s.Apply(1, 1, 1, &c.schedule, &c.out)
	}
	require.Equal(b, wire.KindError, c.out.Items[0].Kind)
}

func BenchmarkHeartbeat(b *testing.B) {
	s := withWorkers(b, 5_000)
	var out Outbox
	m := wire.Heartbeat{Seq: 1}
	b.ReportAllocs()
	for b.Loop() {
		if m.Handle = (m.Handle + 1) % maxLinks; m.Handle == 0 {
			m.Seq++
		}
		s.Apply(1, 2, 0, &m, &out)
	}
	require.Empty(b, out.Items)
}

// TestHotPathAllocatesNothing: once the tables have grown, a task's life and a
// heartbeat cost no allocation.
func TestHotPathAllocatesNothing(t *testing.T) {
	c := newCycle(withWorkers(t, 500))
	for range 3 * leaseMemory {
		c.live(t)
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() { c.live(t) }))
	require.NoError(t, c.s.Check())
	h := wire.Heartbeat{Seq: 1 << 30}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		h.Seq++
		c.s.Apply(1, 2, 0, &h, &c.out)
	}))
}

// BenchmarkMemory reports the heap that an idle worker and a live lease take,
// ids included: what more of them take, beside the tables of a fixed size.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		const few, many, leases = 20_000, 60_000, 131_072
		before := heap()
		small := withWorkers(b, few)
		middle := heap()
		s := withWorkers(b, many)
		perWorker := (float64(heap()-middle) - float64(middle-before)) / (many - few)
		c := newCycle(s)
		c.schedule.Tags = nil
		before = heap()
		for range leases {
			c.place(b)
		}
		b.ReportMetric(perWorker, "B/worker")
		b.ReportMetric(float64(heap()-before)/leases, "B/lease")
		runtime.KeepAlive(small)
		runtime.KeepAlive(s)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkResources compares the whole life of a task that takes its slot
// alone with that of tasks that take amounts and shares of devices too. Half of
// the room is taken before.
func BenchmarkResources(b *testing.B) {
	gpus := []wire.Device{{Memory: 40960}, {Memory: 40960}, {Memory: 81920}, {Memory: 81920}}
	has := map[string]int64{"cpu": 32_000, "mem": 131_072}
	var takes [][]byte
	for _, m := range []map[string]int64{
		{"cpu": 2_000, "mem": 8_192}, {"cpu": 500, "mem": 1_024}, {"cpu": 4_000, "mem": 16_384}, {"cpu": 1_000, "gpu_mem": 10_240},
	} {
		takes = append(takes, wire.AppendResources(nil, m))
	}
	for _, n := range []int{5_000, 50_000} {
		for _, kind := range []string{"slots", "resources"} {
			b.Run(fmt.Sprintf("%s/workers=%d", kind, n), func(b *testing.B) {
				c := newCycle(fleetOf(b, n, has, gpus))
				next := func() {
					if kind == "resources" {
						c.schedule.Resources = takes[c.n%len(takes)]
					}
				}
				for range 4 * n {
					next()
					c.place(b)
				}
				for b.Loop() {
					next()
					p := c.place(b)
					c.s.Apply(0, 1, 1, &wire.Release{Lease: p.Lease}, &c.out)
					c.out.Reset()
				}
			})
		}
	}
}

// BenchmarkNothingFits asks a fleet in which each worker lacks one of two
// amounts, so that no part of it can be passed over.
func BenchmarkNothingFits(b *testing.B) {
	s := fleetOf(b, 5_000, map[string]int64{"cpu": 2, "mem": 2}, nil)
	c := newCycle(s)
	c.tags = [][]byte{wire.AppendTags(nil, nil)}
	for i := range 10_000 {
		c.schedule.Resources = wire.AppendResources(nil, map[string]int64{[]string{"cpu", "mem"}[i%2]: 1})
		c.place(b)
	}
	c.schedule.Resources, c.schedule.Task = wire.AppendResources(nil, map[string]int64{"cpu": 2, "mem": 2}), []byte("large")
	for b.Loop() {
		c.s.Apply(0, 1, 1, &c.schedule, &c.out)
		c.out.Reset()
	}
}

// BenchmarkHotPath times blocks of calls and reports the fastest, which other work on
// the machine disturbs least: compare two trees by it.
func BenchmarkHotPath(b *testing.B) {
	b.Run("release", func(b *testing.B) { // as BenchmarkScheduleRelease
		c := newCycle(withWorkers(b, 5_000))
		fastest(b, 0, func() { c.release(c.place(b).Lease) })
	})
	b.Run("life", func(b *testing.B) { // as BenchmarkScheduleBegunEnd
		c := newCycle(withWorkers(b, 5_000))
		fastest(b, 0, func() { c.live(b) })
	})
	b.Run("refused", func(b *testing.B) {
		c := fullFleet(b)
		fastest(b, 0, func() {
			c.out.Reset()
			c.s.Apply(1, 1, 1, &c.schedule, &c.out)
		})
	})
	b.Run("half", func(b *testing.B) { // half of the room is taken, and the oldest task ends
		c := newCycle(withWorkers(b, 5_000))
		ids := make([]wire.LeaseID, 40_000)
		c.tags = [][]byte{nil}
		for i := range ids {
			ids[i] = c.place(b).Lease
		}
		at := 0
		fastest(b, 0, func() {
			c.release(ids[at])
			ids[at] = c.place(b).Lease
			at = (at + 1) % len(ids)
		})
	})
	b.Run("growing", func(b *testing.B) { // every task is a new one, and all of them stay
		const room = 300_000
		c := newCycle(withWorkers(b, 20_000))
		c.tags = [][]byte{nil}
		fastest(b, room, func() { c.place(b) })
	})
}

// fastest runs a function in blocks and reports the nanoseconds that a call took in the
// fastest. After most calls, if not 0, it stops.
func fastest(b *testing.B, most int, f func()) {
	const block = 200
	least, calls := math.MaxFloat64, 0
	for b.Loop() {
		if most > 0 && calls+block > most {
			continue
		}
		calls += block
		began := time.Now()
		for range block {
			f()
		}
		least = min(least, float64(time.Since(began).Nanoseconds())/block)
	}
	b.ReportMetric(least, "ns/call")
}
