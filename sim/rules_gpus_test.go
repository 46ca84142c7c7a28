package sim

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about GPUs that two workers list.

// machine makes an agent with a GPU for each UUID, not connected yet.
func (s *script) machine(worker string, uuids ...string) *agent {
	s.t.Helper()
	a := s.newAgent(worker, 4)
	devices := []wire.Device{}
	for _, uuid := range uuids {
		devices = append(devices, wire.Device{Memory: 16384, UUID: uuid})
	}
	a.offer(nil, devices)
	return a
}

// refused requires that an agent which connects is refused its GPUs.
func (s *script) refused(a *agent) {
	s.t.Helper()
	s.conflicts(a, "device_conflicts")
}

// conflicts requires that an agent which connects is refused, which a counter
// counts.
func (s *script) conflicts(a *agent, refusals string) {
	s.t.Helper()
	before := query[*wire.Stats](s, &wire.GetStats{}).Counters[refusals]
	for range 2 { // the first time it may be told that its incarnation is void
		a.connect()
		s.settled()
	}
	require.False(s.t, a.book.Connected())
	require.Greater(s.t, query[*wire.Stats](s, &wire.GetStats{}).Counters[refusals], before)
}

func TestAGPUBelongsToTheWorkerThatIsConnected(t *testing.T) {
	s := newScript(t)
	a, b := s.machine("w1", "GPU-1", "GPU-2"), s.machine("w2", "GPU-3", "gpu-2")
	s.returns(a)
	s.refused(b)
	s.passes(40_000)
	s.refused(b)
	s.breaks(a)
	s.returns(a)
	s.refused(b)
	a.send(a.book.Deregister())
	s.settled()
	s.returns(b)
}

func TestAGPUBelongsToTheWorkerWithALease(t *testing.T) {
	s := newScript(t)
	a, c := s.machine("w1", "GPU-1", "GPU-2"), s.client("c1")
	s.returns(a)
	s.takes(c, amounts(offer.GPU, 1))
	s.breaks(a)
	s.passes(40_000)
	b := s.machine("w2", "GPU-2")
	s.refused(b)
	s.remove("w1")
	s.returns(b)
}

func TestAWorkerThatIsGoneGivesWay(t *testing.T) {
	s := newScript(t)
	a, b := s.machine("w1", "GPU-1"), s.machine("w2", "GPU-1")
	s.returns(a)
	s.breaks(a)
	s.passes(19_000)
	s.refused(b)
	s.passes(1_000)
	s.returns(b)
	require.Equal(t, wire.CodeNotFound, query[*wire.Error](s, &wire.GetWorker{ID: "w1"}).Code)
	s.refused(a)
}

func TestAMissingGPUBelongsToTheWorkerWhoseTaskHasIt(t *testing.T) {
	s := newScript(t)
	a, b, c := s.machine("w1", "GPU-1", "GPU-2"), s.machine("w2", "GPU-1", "GPU-9"), s.client("c1")
	s.returns(a)
	task := s.takes(c, amounts(offer.GPU, 1))
	s.breaks(a)
	lost := slices.Clone(a.Devices)
	lost[0].Missing = true
	a.offer(nil, lost)
	s.returns(a)
	s.refused(b)
	s.ends(task)
	s.settled()
	s.returns(b)
}

func TestATaskOnAGPUBringsItsWorkerIn(t *testing.T) {
	s := newScript(t)
	a, b, c := s.machine("w1", "GPU-1"), s.machine("w2", "GPU-1"), s.client("c1")
	s.returns(a)
	s.takes(c, amounts(offer.GPU, 1))
	s.restarts()
	s.returns(b)
	s.returns(a)
	require.Equal(t, wire.CodeNotFound, query[*wire.Error](s, &wire.GetWorker{ID: "w2"}).Code)
	s.passes(1_000) // w2 hears that it was removed
	s.settled()
	s.refused(b)
}

// renumber starts the process of an agent anew, which finds these GPUs.
func (s *script) renumber(a *agent, keep bool, visible ...int) {
	s.t.Helper()
	s.breaks(a)
	a.visible = visible
	a.stop(keep)
	a.start()
	s.settled()
	require.True(s.t, a.book.Connected())
}

// wholes are the numbers of the devices that the tasks of a worker take.
func (s *script) wholes(a *agent) (all []int) {
	s.t.Helper()
	for i, d := range s.worker(a).Info.Devices {
		if d.Whole {
			all = append(all, i)
		}
	}
	return all
}

func TestGPUsKeepTheirNumbersWhileATaskRuns(t *testing.T) {
	s := newScript(t)
	a, c := s.machine("w1", "GPU-1", "GPU-2", "GPU-3"), s.client("c1")
	s.returns(a)
	first := s.takes(c, amounts(offer.GPU, 1))
	require.Equal(t, []int{0}, first.lease.gpus)
	s.renumber(a, true, 2, 1, 0) // another order
	second := s.takes(c, amounts(offer.GPU, 2))
	require.ElementsMatch(t, []int{1, 2}, second.lease.gpus)
	s.ends(second)
	s.settled()
	s.renumber(a, true, 2) // the GPU of the task is gone, and one more
	require.Equal(t, []int{0}, s.wholes(a))
	require.True(t, s.worker(a).Info.Devices[0].Missing)
	third := s.takes(c, amounts(offer.GPU, 1))
	require.Equal(t, []int{2}, third.lease.gpus)
	s.refuses(c, amounts(offer.GPU, 1))
	s.ends(first)
	s.ends(third)
	s.settled()
	s.refuses(c, amounts(offer.GPU, 2))
	s.renumber(a, true, 1, 2) // nothing runs: the list is that of the process
	require.Len(t, s.worker(a).Info.Devices, 2)
	require.ElementsMatch(t, []int{1, 2}, s.takes(c, amounts(offer.GPU, 2)).lease.gpus)
}

func TestGPUsWithoutUUIDsAreWithheldWhenTheListChanges(t *testing.T) {
	s := newScript(t)
	a, c := s.machine("w1", "", ""), s.client("c1")
	s.returns(a)
	s.takes(c, amounts(offer.GPU, 1))
	task := s.takes(c, amounts(offer.GPU, 1))
	require.Equal(t, []int{1}, task.lease.gpus)
	s.renumber(a, true, 1) // it is number 0 now
	for _, d := range s.worker(a).Info.Devices {
		require.True(t, d.Missing)
	}
	s.renumber(a, true, 0, 1)
	s.ends(task)
	s.settled()
	require.Equal(t, []int{1}, s.takes(c, amounts(offer.GPU, 1)).lease.gpus)
	s.renumber(a, false, 1)
	require.Equal(t, []int{1}, s.takes(c, amounts(offer.GPU, 1)).lease.gpus, "the tasks are over with the process")
}

func TestAWholeWorkerIsTheGPUsThatAreThere(t *testing.T) {
	s := newScript(t)
	a, c := s.machine("w1", "GPU-1", "GPU-2"), s.client("c1")
	devices := slices.Clone(a.Devices)
	devices[0].Missing = true
	a.offer(nil, devices)
	s.returns(a)
	require.Equal(t, uint64(2), s.takes(c, needs{exclusive: true}).lease.takes.Devices)
}
