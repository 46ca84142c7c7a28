package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about amounts, devices, whole workers and gangs.
// In most of them the scheduler restarts: what it knows then are records.

// equip makes an agent that is registered with two GPUs of 16 GiB and some
// amounts.
func (s *script) equip(worker string, slots uint32) *agent {
	s.t.Helper()
	a := s.newAgent(worker, slots)
	a.offer(map[string]int64{"cpu": 4000}, []wire.Device{{Memory: 16384}, {Memory: 16384}})
	a.connect()
	s.settled()
	require.True(s.t, a.book.Connected())
	return a
}

// asks asks for a place of a task with needs.
func (s *script) asks(c *client, n needs) *task {
	s.t.Helper()
	t := c.newTask()
	t.needs = n
	c.schedule(t)
	s.settled()
	return t
}

// takes gets a lease for a task with needs and lets the task run.
func (s *script) takes(c *client, n needs) *task {
	s.t.Helper()
	t := s.asks(c, n)
	require.Equal(s.t, phaseHeld, t.phase, "the task was not placed")
	s.runs(t)
	return t
}

// refuses asks for a place that must not be given.
func (s *script) refuses(c *client, n needs) {
	s.t.Helper()
	require.Nil(s.t, s.asks(c, n).lease, "the task was placed")
}

func amounts(pairs ...any) needs {
	n := needs{resources: map[string]int64{}}
	for i := 0; i < len(pairs); i += 2 {
		n.resources[pairs[i].(string)] = int64(pairs[i+1].(int))
	}
	return n
}

// comesBack restarts the scheduler and registers an agent with the new one.
func (s *script) comesBack(a *agent) {
	s.t.Helper()
	s.restarts()
	s.returns(a)
}

func TestAmountsAreTakenUntilTheTaskEnds(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	first := s.takes(c, amounts("cpu", 2500))
	s.refuses(c, amounts("cpu", 2000))
	s.comesBack(a)
	s.refuses(c, amounts("cpu", 2000))
	s.takes(c, amounts("cpu", 1500))
	s.ends(first)
	s.settled()
	s.takes(c, amounts("cpu", 2500))
	s.refuses(c, amounts("cpu", 1))
}

func TestADeviceIsGivenOnce(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	whole := s.takes(c, amounts(offer.GPU, 1))
	require.Equal(t, uint64(0b01), whole.lease.takes.Devices)
	s.comesBack(a)
	shared := s.takes(c, amounts(offer.GPUMem, 10_000))
	require.Equal(t, uint64(0b10), shared.lease.takes.Devices)
	s.refuses(c, amounts(offer.GPU, 1))
	s.refuses(c, amounts(offer.GPUMem, 8000))
	s.ends(whole)
	s.settled()
	s.takes(c, amounts(offer.GPUMem, 8000))
}

func TestSharesOfADeviceAddUp(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	s.takes(c, amounts(offer.GPUMem, 9000))
	s.comesBack(a)
	s.takes(c, amounts(offer.GPUMem, 7000))
	second := s.takes(c, amounts(offer.GPUMem, 9000))
	s.refuses(c, amounts(offer.GPUMem, 9000))
	s.ends(second)
	s.settled()
	s.takes(c, amounts(offer.GPU, 1))
}

func TestAnExclusiveTaskIsAlone(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	alone := s.takes(c, needs{exclusive: true})
	s.comesBack(a)
	s.refuses(c, needs{})
	s.refuses(c, needs{exclusive: true})
	s.ends(alone)
	s.settled()
	s.takes(c, needs{})
	s.refuses(c, needs{exclusive: true})
}

func TestAWorkerThatShrankGetsNothingUntilItFits(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	first := s.takes(c, amounts("cpu", 3000))
	a.announce(offer.Kit{Slots: 9, Resources: map[string]int64{"cpu": 2000}, Devices: a.Devices})
	s.returns(a)
	require.Contains(t, s.worker(a).Info.Flags, "overcommitted")
	s.refuses(c, needs{})
	s.ends(first)
	s.settled()
	s.takes(c, amounts("cpu", 2000))
}

func TestAGangThatDoesNotFitTakesNothing(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	gang := func(n int) []*task {
		g := &group{gang: true}
		for range n {
			t := c.newTask()
			t.needs, t.group = amounts(offer.GPUMem, 16_000, "cpu", 1000), g
			g.tasks = append(g.tasks, t)
		}
		c.batch(g)
		s.settled()
		return g.tasks
	}
	for _, task := range gang(3) {
		require.Nil(t, task.lease)
	}
	require.Zero(t, s.worker(a).Info.Used["cpu"])
	for _, task := range gang(2) {
		s.runs(task)
	}
	s.refuses(c, amounts(offer.GPUMem, 1000))
}

func TestAnExclusiveTaskGetsDevicesThatAreLargeEnough(t *testing.T) {
	s := newScript(t)
	a, c := s.equip("w1", 9), s.client("c1")
	a.stop(false)
	a.offer(nil, []wire.Device{{Memory: 16384}, {Memory: 8192}})
	a.down = false
	s.returns(a)
	n := amounts(offer.GPU, 2, offer.GPUMem, 16384)
	n.exclusive = true
	s.refuses(c, n)
	n.resources[offer.GPUMem] = 8192
	require.Equal(t, uint64(0b11), s.takes(c, n).lease.takes.Devices)
}

func TestADistinctGangSharesNoWorker(t *testing.T) {
	s := newScript(t)
	s.equip("w1", 9)
	s.equip("w2", 9)
	c := s.client("c1")
	gang := func(tasks ...*task) {
		g := &group{gang: true, distinct: true, tasks: tasks}
		for _, t := range tasks {
			t.group = g
		}
		c.batch(g)
		s.settled()
	}
	first, second, third := c.newTask(), c.newTask(), c.newTask()
	gang(first, second, third)
	require.Nil(t, first.lease, "there is no third worker")
	first, second, third = c.newTask(), c.newTask(), c.newTask()
	gang(first, second)
	require.NotEqual(t, first.lease.worker, second.lease.worker)
	gang(first, second, third) // two of them have leases
	require.Nil(t, third.lease)
}
