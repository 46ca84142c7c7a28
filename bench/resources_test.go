package bench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// equipped gives every worker amounts and four GPUs of two sizes.
func equipped(_ int, m *wire.Register) {
	m.Resources = map[string]int64{"cpu": 32_000, "mem": 131_072}
	m.Devices = []wire.Device{{Memory: 40_960}, {Memory: 40_960}, {Memory: 81_920}, {Memory: 81_920}}
}

// needs are kinds of tasks with what they ask for beside two tags.
var needs = []struct {
	name string
	more func(i int, m *wire.Schedule)
}{
	{"tags", func(int, *wire.Schedule) {}},
	{"cpu+mem", takes("cpu", 2_000, "mem", 8_192)},
	{"gpu-share", takes("cpu", 1_000, "gpu_mem", 10_240)},
	{"gpu", takes("gpu", 1)},
	{"gpu-of-a-size", takes("gpu", 1, "gpu_mem", 60_000)},
	{"selector", func(_ int, m *wire.Schedule) { m.Selector = []byte("linux && !spot") }},
	{"prefer", func(i int, m *wire.Schedule) { m.Prefer = fmt.Appendf(nil, "zone-%d", i%12) }},
	{"pack", func(_ int, m *wire.Schedule) { m.Policy = []byte("pack") }},
}

// takes returns what completes a request for some amounts.
func takes(pairs ...any) func(int, *wire.Schedule) {
	amounts := map[string]int64{}
	for i := 0; i < len(pairs); i += 2 {
		amounts[pairs[i].(string)] = int64(pairs[i+1].(int))
	}
	raw := wire.AppendResources(nil, amounts)
	return func(_ int, m *wire.Schedule) { m.Resources = raw }
}

// BenchmarkPathNeeds is BenchmarkPath for tasks that need more than tags, in a
// fleet of which a quarter is taken by tasks of mixed kinds.
func BenchmarkPathNeeds(b *testing.B) {
	const workers = 5_000
	plain := newPath(b, workers)
	b.Run("fleet of slots alone/tags", func(b *testing.B) { benchmarkNeeds(b, plain, func(int, *wire.Schedule) {}) })
	p := newPathOf(b, workers, equipped)
	mixed := newRequestsFor(b, func(i int, m *wire.Schedule) { needs[i%4].more(i, m) })
	for range 4 * workers {
		p.serve(b, clientSession, mixed.next())
	}
	for _, n := range needs {
		b.Run("fleet with resources/"+n.name, func(b *testing.B) { benchmarkNeeds(b, p, n.more) })
	}
}

// tasksBefore keeps the ids of the tasks of different benchmarks apart.
var tasksBefore = 1_000_000

func benchmarkNeeds(b *testing.B, p *path, more func(int, *wire.Schedule)) {
	r := newRequestsFor(b, more)
	tasksBefore += 10_000_000
	r.n = tasksBefore
	b.ReportAllocs()
	for b.Loop() {
		p.placeAndRelease(b, r)
	}
}

// BenchmarkPathAdversarial asks fleets in which almost nobody has the room, and
// all who might look alike.
func BenchmarkPathAdversarial(b *testing.B) {
	cpu := func(of func(i int) int64) func(int, *wire.Register) {
		return func(i int, m *wire.Register) { m.Resources = map[string]int64{"cpu": of(i), "mem": 8} }
	}
	for _, workers := range []int{5_000, 50_000} {
		for _, c := range []struct {
			name string
			has  func(int, *wire.Register)
		}{
			{"hundredth", cpu(func(i int) int64 { return int64(i * 7919 % 100) })},
			{"one", cpu(func(i int) int64 { return int64(99 * (i / (workers - 1))) })},
		} {
			b.Run(fmt.Sprintf("%s/workers=%d", c.name, workers), func(b *testing.B) {
				benchmarkNeeds(b, newPathOf(b, workers, c.has), func(_ int, m *wire.Schedule) {
					m.Tags = nil
					takes("cpu", 99)(0, m)
				})
			})
		}
		b.Run(fmt.Sprintf("opposed/workers=%d", workers), func(b *testing.B) { benchmarkOpposed(b, workers) })
	}
}

// benchmarkOpposed asks a fleet whose workers have either cpu or mem left, for
// both: refused after a look at each.
func benchmarkOpposed(b *testing.B, workers int) {
	p := newPathOf(b, workers, func(_ int, m *wire.Register) { m.Resources = map[string]int64{"cpu": 2, "mem": 2} })
	fill := newRequestsFor(b, func(i int, m *wire.Schedule) { m.Tags = nil; takes([]string{"cpu", "mem"}[i/25], 2)(i, m) })
	for range workers {
		p.serve(b, clientSession, fill.next())
	}
	r := newRequestsFor(b, func(i int, m *wire.Schedule) { m.Tags = nil; takes("cpu", 1, "mem", 1)(i, m) })
	r.n = 50_000_000
	for b.Loop() {
		reply := p.serve(b, clientSession, r.next())
		if wire.Kind(reply[5]) != wire.KindError {
			b.Fatalf("answer %x", reply)
		}
	}
}

// BenchmarkPathGang places eight tasks with a GPU share each in one decision,
// and gives them back.
func BenchmarkPathGang(b *testing.B) {
	for _, distinct := range []bool{false, true} {
		b.Run(fmt.Sprintf("distinct=%v", distinct), func(b *testing.B) {
			p := newPathOf(b, 5_000, equipped)
			n := 0
			for b.Loop() {
				m := &wire.Batch{AllOrNone: true, Distinct: distinct}
				for range 8 {
					n++
					t := wire.Schedule{Task: fmt.Appendf(nil, "task-%d", n), Tags: wire.AppendTags(nil, []string{"linux"})}
					takes("cpu", 1_000, "gpu_mem", 10_240)(n, &t)
					m.Tasks = append(m.Tasks, t)
				}
				p.serve(b, clientSession, wire.Append(nil, 7, m))
				all, ok := p.out.Items[0].Message().(*wire.PlacedAll)
				require.True(b, ok)
				for i := range all.Results {
					require.Equal(b, wire.CodeOK, all.Results[i].Code)
					p.serve(b, clientSession, wire.Append(nil, 8, &wire.Release{Lease: all.Results[i].Placed.Lease}))
				}
			}
		})
	}
}

// TestPathWithNeedsAllocatesNothing: what a task needs is read once, not for
// each task.
func TestPathWithNeedsAllocatesNothing(t *testing.T) {
	p := newPathOf(t, 200, equipped)
	for _, n := range needs {
		r := newRequestsFor(t, n.more)
		for range 20_000 {
			p.placeAndRelease(t, r)
		}
		require.Zero(t, testing.AllocsPerRun(1000, func() { p.placeAndRelease(t, r) }), n.name)
	}
	require.NoError(t, p.state.Check())
}
