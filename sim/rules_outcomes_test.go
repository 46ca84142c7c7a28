package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about what the end of a task says of a worker.

// recent is what is listed of the last tasks of a worker: failures, and all.
func (s *script) recent(a *agent) [2]uint32 {
	s.t.Helper()
	info := s.worker(a).Info
	return [2]uint32{info.RecentFailed, info.Recent}
}

func TestFifteenOutcomesAreKept(t *testing.T) {
	s, a, c1 := bad(t)
	s.fails(c1, "w1", "ann", "ann")
	for range 13 {
		s.goes(c1, "w1", "ann")
	}
	require.Equal(t, [2]uint32{2, 15}, s.recent(a))
	s.goes(c1, "w1", "ann")
	require.Equal(t, [2]uint32{1, 15}, s.recent(a))
	s.fails(c1, "w1", "ann")
	require.Equal(t, [2]uint32{1, 15}, s.recent(a))
}

func TestOutcomesAreForgottenWithTime(t *testing.T) {
	s, a, c1 := bad(t)
	s.fails(c1, "w1", "ann")
	s.passes(1_800_000)
	s.fails(c1, "w1", "bob")
	s.passes(3_599_000)
	require.Equal(t, [2]uint32{2, 2}, s.recent(a))
	s.passes(1000)
	require.Equal(t, [2]uint32{0, 0}, s.recent(a))
}

func TestARefusalForWantOfRoomSaysNothing(t *testing.T) {
	s, a, c1 := bad(t)
	a.shared, a.external = true, 4
	a.book.SetExternal(4)
	full := s.askAs(c1, "w1", "ann")
	s.hand(full)
	require.Error(t, s.arrives(full))
	s.settled()
	require.EqualValues(t, 1, s.ended(wire.ReasonRefused))
	require.Equal(t, [2]uint32{0, 0}, s.recent(a))
}

func TestWhatARestartLosesSaysNothing(t *testing.T) {
	s, a, c1 := bad(t)
	listed, late, missing := s.askAs(c1, "w1", "ann"), s.askAs(c1, "w1", "bob"), s.askAs(c1, "w1", "eve")
	s.runs(listed)
	s.runs(late)
	s.runs(missing)
	missing.lease.running = false
	a.stop(true)
	_, err := a.book.End(missing.lease.id, wire.ReasonLost)
	require.NoError(t, err)
	_, err = a.book.End(listed.lease.id, wire.ReasonLost)
	require.NoError(t, err)
	listed.lease.running = false
	a.start()
	s.settled()
	require.Equal(t, [2]uint32{0, 0}, s.recent(a), "the registration says that it is lost")
	a.end(late.lease, wire.ReasonLost)
	s.settled()
	require.Equal(t, [2]uint32{0, 0}, s.recent(a), "and so does a report behind it")
	s.lives(c1, "w1", wire.ReasonLost, "ann")
	require.Equal(t, [2]uint32{1, 1}, s.recent(a), "what the new process loses counts")
}

func TestWhatMustMakeRoomSaysNothing(t *testing.T) {
	s, a, c1 := bad(t)
	preempted := s.askAs(c1, "w1", "ann")
	s.runs(preempted)
	s.drainBy("w1", 1)
	s.passes(2000)
	preempted.lease.agent.end(preempted.lease, wire.ReasonFailed)
	s.settled()
	require.Equal(t, [2]uint32{0, 0}, s.recent(a))
}

func TestAMassLossBlamesNobody(t *testing.T) {
	s, _, c1 := bad(t)
	for range 12 {
		s.joinAs(string(rune('a'+len(s.agents))), 1)
	}
	for _, a := range s.agents[2:] {
		s.breaks(a)
	}
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	require.Empty(t, s.flags("w1"))
	for _, a := range s.agents[2:] {
		s.returns(a)
	}
	s.fails(c1, "w1", "ann")
	require.Equal(t, quarantinedFlags, s.flags("w1"))
}

func TestFailuresAreCountedByDevice(t *testing.T) {
	s := newScript(t)
	s.joinAs("good", 4)
	a := s.newAgent("w1", 4, "w1")
	a.offer(nil, []wire.Device{{Memory: 100}, {Memory: 100}})
	a.connect()
	c1 := s.client("c1")
	s.settled()
	s.goes(c1, "good", "ann", "ann", "ann", "ann", "ann")
	takes := func(gpus int64, owner string) {
		t := c1.newTask("w1")
		t.owner, t.needs.resources = owner, map[string]int64{offer.GPU: gpus}
		c1.schedule(t)
		s.settled()
		s.runs(t)
		a.end(t.lease, wire.ReasonFailed)
		s.settled()
	}
	takes(2, "ann")
	takes(1, "bob")
	devices := s.worker(a).Info.Devices
	require.Equal(t, []uint32{2, 1}, []uint32{devices[0].Failed, devices[1].Failed})
	takes(1, "eve")
	takes(1, "ann")
	takes(1, "ann")
	require.Equal(t, "failed 5 of its last 5 tasks, of 3 owners or groups, 5 of them on device 0; the others fail 0 %", s.worker(a).Info.CordonReason)
}

func TestOtherDevicesAreNotBlamed(t *testing.T) {
	s := newScript(t)
	a := s.newAgent("w1", 4, "w1")
	a.offer(nil, []wire.Device{{Memory: 100}, {Memory: 100}})
	a.connect()
	c1 := s.client("c1")
	s.settled()
	whole := c1.newTask("w1")
	whole.needs.resources = map[string]int64{offer.GPU: 2}
	c1.schedule(whole)
	s.settled()
	s.runs(whole)
	a.end(whole.lease, wire.ReasonFailed)
	s.settled()
	a.stop(false)
	a.offer(nil, []wire.Device{{Memory: 100}})
	a.start()
	s.settled()
	info := s.worker(a).Info
	require.EqualValues(t, 1, info.RecentFailed)
	require.Zero(t, info.Devices[0].Failed, "it is another one")
}

func TestAGangFindsRoomForOneOnProbe(t *testing.T) {
	s, a, c1 := quarantined(t)
	s.passes(backoff)
	both := func(gang bool) (g *group) {
		g = &group{gang: gang}
		for range 2 {
			t := c1.newTask("w1")
			t.group = g
			g.tasks = append(g.tasks, t)
		}
		c1.batch(g)
		s.settled()
		return g
	}
	both(true)
	require.Zero(t, s.worker(a).Info.Taken)
	require.Equal(t, probingFlags, s.flags("w1"))
	g := both(false)
	require.NotNil(t, g.tasks[0].lease)
	require.Nil(t, g.tasks[1].lease)
	s.runs(g.tasks[0])
	s.ends(g.tasks[0])
	s.settled()
	require.Empty(t, s.flags("w1"))
	both(true)
	require.EqualValues(t, 2, s.worker(a).Info.Taken)
}

func TestNothingIsHeldOnProbe(t *testing.T) {
	s, _, c1 := quarantined(t)
	g := &group{gang: true}
	for range 2 {
		t := c1.newTask("w1")
		t.group, t.wait = g, 600_000
		g.tasks = append(g.tasks, t)
	}
	c1.batch(g)
	s.settled()
	s.passes(backoff)
	for range 3 {
		probe := s.askAs(c1, "w1", "ann")
		require.NotNil(t, probe.lease, "the gang waits for two, and would for ever")
		s.release(probe)
		s.passes(s.host.cfg.HoldAfter)
	}
	s.goes(c1, "w1", "ann")
	s.settled()
	require.NotNil(t, g.tasks[1].lease, "room for both is there at last")
}

func TestWhoWaitsGetsTheProbe(t *testing.T) {
	s, _, c1 := quarantined(t)
	first, second := c1.newTask("w1"), c1.newTask("w1")
	for _, task := range []*task{first, second} {
		task.wait = uint32(10 * backoff)
		c1.schedule(task)
	}
	s.settled()
	s.passes(backoff)
	s.settled()
	require.NotNil(t, first.lease)
	require.Nil(t, second.lease)
	s.release(first)
	s.settled()
	require.NotNil(t, second.lease)
}

func TestQuarantineCanBeSwitchedOff(t *testing.T) {
	s := newScript(t)
	cfg := sched.DefaultConfig()
	cfg.Quarantine = false
	s.startScheduler(cfg)
	s.newGateway()
	a, c1 := s.joinAs("w1", 4), s.client("c1")
	s.joinAs("good", 4)
	s.goes(c1, "good", "ann", "bob", "eve", "ann", "bob")
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	require.Empty(t, s.flags("w1"))
	require.Equal(t, [2]uint32{0, 0}, s.recent(a))
}

func TestAWorkerOnProbeIsNotFree(t *testing.T) {
	s, _, c1 := quarantined(t)
	free := func() float64 {
		var scan sched.FleetScan
		for done := false; !done; {
			done = s.host.state.ScanFleet(&scan)
		}
		return scan.Resources[sched.Slots].Free
	}
	require.EqualValues(t, 4, free(), "those of the good one")
	s.passes(backoff)
	require.EqualValues(t, 4, free(), "one task is all that may come")
	s.goes(c1, "w1", "ann")
	require.EqualValues(t, 8, free())
}

func TestNobodyMakesRoomOnProbe(t *testing.T) {
	s, a, c1 := bad(t)
	kept := c1.newTask("w1")
	kept.owner, kept.on = "dan", wire.OnPreemptEnd
	c1.schedule(kept)
	s.settled()
	s.runs(kept)
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	whole := c1.newTask("w1")
	whole.needs.exclusive, whole.priority, whole.preempt, whole.wait = true, 10, true, 10*backoff
	c1.schedule(whole)
	s.settled()
	s.passes(2 * backoff)
	require.Equal(t, probingFlags, s.flags("w1"))
	require.Empty(t, s.graces(a, kept), "it is not known yet whether the machine is worth it")
	s.goes(c1, "w1", "ann")
	s.passes(5000)
	require.NotEmpty(t, s.graces(a, kept))
}
