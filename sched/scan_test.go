package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// scanAll does a whole scan and returns it, and the slices that it took.
func scanAll(s *State) (f FleetScan, slices int) {
	for done := false; !done; slices++ {
		done = s.ScanFleet(&f)
	}
	return f, slices
}

// A slice visits a bounded number of workers and leases, whatever the fleet.
func TestAScanComesInSlices(t *testing.T) {
	const workers, busy = 3 * ScanVisits, 40
	s := withWorkers(t, workers)
	c := newCycle(s)
	for range busy {
		c.place(t)
	}
	var f FleetScan
	for slices, done := 0, false; !done; slices++ {
		before := f
		done = s.ScanFleet(&f)
		visits := f.Workers - before.Workers + f.Leases - before.Leases
		require.LessOrEqual(t, visits, ScanVisits+ScanLeases)
		require.LessOrEqual(t, f.Workers-before.Workers, ScanVisits)
		require.True(t, done || visits >= ScanVisits, "a slice that ends early")
	}
	require.Equal(t, []int{workers, busy}, []int{f.Workers, f.Leases})
	require.Equal(t, Amount{Capacity: 16 * workers, Taken: busy, Free: 16*workers - busy}, f.Resources[Slots])
	require.Empty(t, f.Fault)
}

// A worker with very many leases is counted, and not recounted.
func TestAScanIsBoundedByTheLeasesOfOneWorker(t *testing.T) {
	s, _ := crowd(t, 0, func(*Config) {})
	s.workers.At(0).slots, s.workers.At(0).taken = ScanLeases+2, ScanLeases+1
	f, _ := scanAll(s)
	require.Zero(t, f.Leases)
	s.workers.At(0).slots, s.workers.At(0).taken = 1, 1
	require.NoError(t, s.Check())
}

// many returns a scheduler whose only worker has devices and runs a task of
// each kind.
func many(t *testing.T) (*State, *worker) {
	t.Helper()
	s := fleetOf(t, 1, map[string]int64{"cpu": 8_000, "slots": 5}, []wire.Device{{Memory: 1_000}, {Memory: 1_000}})
	var out Outbox
	for i, resources := range []map[string]int64{{}, {"cpu": 500}, {"gpu_mem": 300}, {"gpu": 1}} {
		out.Reset()
		s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Appendf(nil, "t%d", i), Resources: wire.AppendResources(nil, resources)}, &out)
		require.Equal(t, wire.KindPlaced, out.Items[0].Kind)
	}
	w := s.workers.At(0)
	begun := &wire.Begun{Handle: w.handle, Seq: 2, Record: wire.Record{Lease: s.leases.slots.At(w.head - 1).id, Task: []byte("t0")}}
	s.Apply(1, 2, 0, begun, &out)
	return s, w
}

// Each fault that is planted is found and counted, under its number, each time
// that somebody looks; and nothing else is.
func TestAScanFindsWhatIsWrong(t *testing.T) {
	for invariant, faults := range map[string][]func(s *State, w *worker){
		"I1": {
			func(_ *State, w *worker) { w.taken-- },
			func(_ *State, w *worker) { w.held.Amounts[0] += 5 },
			func(_ *State, w *worker) { w.held.Astray++ },
			func(s *State, w *worker) { s.occupy(w, s.leases.slots.At(w.head-1), -1) },
		},
		"I4": {
			func(s *State, _ *worker) { s.index.SetEligible(0, false) },
			func(_ *State, w *worker) { w.promised = false },
		},
		"I5": {
			func(_ *State, w *worker) { w.held.Devices[0].Shares += 7 },
			func(_ *State, w *worker) { w.held.Devices[1].Leases-- },
		},
		"I6": {
			func(s *State, w *worker) { s.index.SetLoad(0, index.Full-2, s.room(w)...) },
		},
		"I9": {
			func(s *State, w *worker) { s.leases.slots.At(w.head - 1).state = wire.StateEnded },
			func(s *State, w *worker) { s.leases.slots.At(w.tail - 1).worker = 5 },
			func(s *State, w *worker) { w.tail = w.head },
		},
		"digest": {
			func(_ *State, w *worker) { w.digest ^= 1 },
		},
	} {
		for i, plant := range faults {
			t.Run(fmt.Sprint(invariant, i), func(t *testing.T) {
				s, w := many(t)
				clean, _ := scanAll(s)
				require.Empty(t, clean.Fault)
				plant(s, w)
				for n := range uint64(2) {
					f, _ := scanAll(s)
					require.Contains(t, f.Fault, ": worker \"worker-000000\": ")
					var o Observation
					s.Observe(1, &o)
					for k, name := range InvariantNames {
						if name == invariant {
							require.Equal(t, n+1, o.Violated[k], f.Fault)
						}
					}
				}
			})
		}
	}
}

// Names of a fleet's own do not mix with the slots.
func TestAResourceThatIsCalledSlots(t *testing.T) {
	s, _ := many(t)
	f, _ := scanAll(s)
	require.Equal(t, map[string]Amount{
		"slots":            {Capacity: 16, Taken: 4, Free: 12},
		"slots (resource)": {Capacity: 5, Free: 5},
		"cpu":              {Capacity: 8_000, Taken: 500, Free: 7_500},
		"gpu":              {Capacity: 2, Taken: 1},
		"gpu_mem":          {Capacity: 2_000, Taken: 1_300, Free: 700},
	}, f.Resources)
}

func TestAScanAllocatesLittle(t *testing.T) {
	s := fleetOf(t, ScanVisits, map[string]int64{"cpu": 8_000}, []wire.Device{{Memory: 1_000}})
	c := newCycle(s)
	for range 1000 {
		c.place(t)
	}
	f, _ := scanAll(s)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		f.next = 0
		for !s.ScanFleet(&f) {
		}
	}), "a scan that goes on")
}

// BenchmarkScanSlice is how long one slice keeps everybody else from the core.
func BenchmarkScanSlice(b *testing.B) {
	for _, leases := range []int{0, 4} {
		b.Run(fmt.Sprintf("%d_leases_each", leases), func(b *testing.B) {
			const workers = 100_000
			s := fleetOf(b, workers, map[string]int64{"cpu": 8_000, "mem": 65_536}, nil)
			c := newCycle(s)
			for range leases * workers {
				c.place(b)
			}
			var f FleetScan
			for b.Loop() {
				if s.ScanFleet(&f) {
					f.next = 0
				}
			}
		})
	}
}
