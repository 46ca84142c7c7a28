package sim

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

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

// refused requires that an agent which connects is refused.
func (s *script) refused(a *agent) {
	s.t.Helper()
	const refusals = "device_conflicts"
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
	s.takes(c, amounts(gpu, 1))
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
	task := s.takes(c, amounts(gpu, 1))
	s.breaks(a)
	lost := slices.Clone(a.devices)
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
	s.takes(c, amounts(gpu, 1))
	s.restarts()
	s.returns(b)
	s.returns(a)
	require.Equal(t, wire.CodeNotFound, query[*wire.Error](s, &wire.GetWorker{ID: "w2"}).Code)
	s.passes(1_000) // w2 hears that it was removed
	s.settled()
	s.refused(b)
}
