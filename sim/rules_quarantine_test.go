package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about workers that fail their tasks.

// backoff is the first one in the scripts.
const backoff = 60_000

// joinAs is join for a worker that has a tag of its own name.
func (s *script) joinAs(worker string, slots uint32) *agent {
	s.t.Helper()
	a := s.newAgent(worker, slots, worker)
	a.connect()
	s.settled()
	return a
}

// askAs asks for a place on the worker of a name for a task of an owner.
func (s *script) askAs(c *client, worker, owner string) *task {
	s.t.Helper()
	t := c.newTask(worker)
	t.owner = owner
	c.schedule(t)
	s.settled()
	return t
}

// lives runs whole tasks of owners on a worker, all with one outcome.
func (s *script) lives(c *client, worker string, outcome wire.Reason, owners ...string) {
	s.t.Helper()
	for _, owner := range owners {
		t := s.askAs(c, worker, owner)
		require.Equal(s.t, phaseHeld, t.phase, "the task was not placed")
		s.runs(t)
		t.lease.agent.end(t.lease, outcome)
		s.settled()
	}
}

// goes and fails are lives that go well or do not.
func (s *script) goes(c *client, worker string, owners ...string) {
	s.t.Helper()
	s.lives(c, worker, wire.ReasonOK, owners...)
}

func (s *script) fails(c *client, worker string, owners ...string) {
	s.t.Helper()
	s.lives(c, worker, wire.ReasonFailed, owners...)
}

var (
	quarantinedFlags = []string{"cordoned", "quarantined"}
	probingFlags     = []string{"cordoned", "quarantined", "probing"}
)

// bad is a script with a healthy worker "good" of which enough is known, a
// worker "w1" and a client.
func bad(t *testing.T) (*script, *agent, *client) {
	s := newScript(t)
	a, c1 := s.joinAs("w1", 4), s.client("c1")
	s.joinAs("good", 4)
	s.goes(c1, "good", "ann", "bob", "eve", "ann", "bob")
	return s, a, c1
}

// quarantined is bad with w1 in quarantine.
func quarantined(t *testing.T) (*script, *agent, *client) {
	s, a, c1 := bad(t)
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	require.Equal(t, quarantinedFlags, s.flags("w1"))
	return s, a, c1
}

func TestAWorkerThatFailsItsTasksIsQuarantined(t *testing.T) {
	s, a, c1 := bad(t)
	kept := s.askAs(c1, "w1", "ann")
	s.runs(kept)
	s.fails(c1, "w1", "ann", "bob")
	s.lives(c1, "w1", wire.ReasonLost, "eve")
	s.lives(c1, "w1", wire.ReasonRefused, "ann")
	require.Empty(t, s.flags("w1"))
	s.fails(c1, "w1", "bob")
	info := s.worker(a).Info
	require.Equal(t, quarantinedFlags, info.Flags)
	require.Equal(t, "failed 5 of its last 5 tasks, of 3 owners or groups; the others fail 0 %", info.CordonReason)
	require.Equal(t, "scheduler", info.CordonBy)
	require.EqualValues(t, backoff, info.ProbeMS)
	require.Equal(t, wire.StateBegun, s.renewal(kept).State, "what runs stays")
	require.Nil(t, s.askAs(c1, "w1", "ann").lease)
	require.EqualValues(t, 1, query[*wire.Stats](s, &wire.GetStats{}).Counters["quarantines"])
}

func TestTwoOwnersAreNotEnough(t *testing.T) {
	s, _, c1 := bad(t)
	for range 8 {
		s.fails(c1, "w1", "ann", "bob")
	}
	require.Empty(t, s.flags("w1"))
	s.fails(c1, "w1", "eve")
	require.Equal(t, quarantinedFlags, s.flags("w1"))
}

func TestFourFailuresAreNotEnough(t *testing.T) {
	s, _, c1 := bad(t)
	s.fails(c1, "w1", "ann", "bob", "eve", "fay")
	for range 10 {
		s.goes(c1, "w1", "ann")
	}
	s.fails(c1, "w1", "gus")
	require.Empty(t, s.flags("w1"), "and five of fifteen is not clearly more")
}

func TestAFleetThatFailsQuarantinesNobody(t *testing.T) {
	s, _, c1 := bad(t)
	s.fails(c1, "good", "dan", "dan", "dan", "dan", "dan", "dan")
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	require.Empty(t, s.flags("w1"), "most of what the others do fails, too")
	s.goes(c1, "good", "dan")
	s.goes(c1, "w1", "dan", "dan", "dan")
	s.fails(c1, "w1", "eve", "ann", "bob", "eve")
	require.Empty(t, s.flags("w1"), "the others do not succeed more than twice as often")
	s.fails(c1, "w1", "ann")
	require.Equal(t, quarantinedFlags, s.flags("w1"))
}

func TestNothingIsKnownOfTheOthers(t *testing.T) {
	s := newScript(t)
	s.joinAs("w1", 4)
	s.joinAs("good", 4)
	c1 := s.client("c1")
	s.goes(c1, "good", "ann", "ann", "ann", "ann")
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob", "eve")
	require.Empty(t, s.flags("w1"))
}

func TestWhatRunsElsewhereGoesWell(t *testing.T) {
	s := newScript(t)
	s.joinAs("w1", 4)
	s.joinAs("good", 8)
	c1 := s.client("c1")
	for range 4 {
		s.runs(s.askAs(c1, "good", "ann"))
	}
	s.askAs(c1, "good", "ann")
	own := s.askAs(c1, "w1", "ann")
	s.runs(own)
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	require.Empty(t, s.flags("w1"), "four are known of the others")
	s.runs(s.askAs(c1, "good", "ann"))
	s.fails(c1, "w1", "eve")
	require.Equal(t, quarantinedFlags, s.flags("w1"), "nothing has ended there, but tasks go on")
}

func TestAPoisonousTaskQuarantinesNobody(t *testing.T) {
	s, _, c1 := bad(t)
	s.joinAs("better", 4)
	for range 15 {
		s.goes(c1, "good", "dan")
		s.goes(c1, "better", "dan")
	}
	poisoned := []string{"v1", "v2", "v3"}
	for _, worker := range poisoned {
		s.joinAs(worker, 4)
	}
	for range 3 {
		for _, owner := range []string{"ann", "bob", "eve"} {
			for _, worker := range poisoned {
				s.fails(c1, worker, owner)
			}
		}
	}
	for _, worker := range poisoned {
		require.Empty(t, s.flags(worker))
	}
	s.fails(c1, "v1", "fay", "gus", "hal", "fay")
	require.Empty(t, s.flags("v1"), "only the last four count")
	s.fails(c1, "v1", "gus")
	require.Equal(t, quarantinedFlags, s.flags("v1"), "these fail nowhere else")
}

func TestWhoSucceedsElsewhereIsEvidence(t *testing.T) {
	s, _, c1 := bad(t)
	owners := []string{"ann", "bob", "eve"}
	for _, worker := range []string{"v1", "v2"} {
		s.joinAs(worker, 4)
		s.fails(c1, worker, owners...)
	}
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob", "eve")
	require.Empty(t, s.flags("w1"), "they fail on three workers, and have had no success since")
	for range 3 {
		s.goes(c1, "good", owners...)
	}
	s.fails(c1, "w1", "ann")
	require.Equal(t, quarantinedFlags, s.flags("w1"))
}

func TestTwoBadWorkersDoNotVouchForEachOther(t *testing.T) {
	s, _, c1 := bad(t)
	s.joinAs("w2", 4)
	for _, owner := range []string{"ann", "bob", "eve", "ann", "bob"} {
		s.fails(c1, "w1", owner)
		s.fails(c1, "w2", owner)
	}
	require.Equal(t, quarantinedFlags, s.flags("w1"))
}

func TestAtMostATenthIsQuarantined(t *testing.T) {
	s, _, c1 := quarantined(t)
	s.joinAs("w2", 4)
	s.fails(c1, "w2", "ann", "bob", "eve", "ann", "bob", "eve")
	require.Empty(t, s.flags("w2"))
	require.True(t, s.cordon("w1", false))
	s.fails(c1, "w2", "ann")
	require.Equal(t, quarantinedFlags, s.flags("w2"))
}

func TestTheOnlyWorkerIsNotQuarantined(t *testing.T) {
	s, _, c1 := bad(t)
	s.breaks(s.agents[1])
	s.passes(11_000)
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob", "eve")
	require.Empty(t, s.flags("w1"), "the other one is silent")
}

func TestAProbeIsOneTask(t *testing.T) {
	s, a, c1 := quarantined(t)
	s.passes(backoff - 1000)
	require.Nil(t, s.askAs(c1, "w1", "ann").lease)
	s.passes(1000)
	require.Equal(t, probingFlags, s.flags("w1"))
	probe := s.askAs(c1, "w1", "ann")
	require.NotNil(t, probe.lease)
	require.Nil(t, s.askAs(c1, "w1", "ann").lease, "it is granted")
	s.runs(probe)
	require.Nil(t, s.askAs(c1, "w1", "ann").lease, "it runs")
	s.ends(probe)
	s.settled()
	require.Empty(t, s.flags("w1"))
	require.Zero(t, s.worker(a).Info.RecentFailed)
	s.askAs(c1, "w1", "ann")
	require.NotNil(t, s.askAs(c1, "w1", "ann").lease, "it is in service")
}

func TestAProbeThatSaysNothingIsRepeated(t *testing.T) {
	for _, way := range []struct {
		name string
		ends func(s *script, a *agent, probe *task)
	}{
		{"released", func(s *script, _ *agent, probe *task) { s.release(probe) }},
		{"given back by the worker", func(s *script, _ *agent, _ *task) { s.passes(11_000); s.settled() }},
		{"gone with the agent", func(s *script, a *agent, probe *task) {
			s.runs(probe)
			a.stop(false)
			a.start()
			s.settled()
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			s, a, c1 := quarantined(t)
			s.passes(backoff)
			probe := s.askAs(c1, "w1", "ann")
			require.NotNil(t, probe.lease)
			way.ends(s, a, probe)
			require.Equal(t, probingFlags, s.flags("w1"))
			require.NotNil(t, s.askAs(c1, "w1", "ann").lease)
			require.Nil(t, s.askAs(c1, "w1", "ann").lease)
		})
	}
}

func TestEachQuarantineIsTwiceAsLong(t *testing.T) {
	s, a, c1 := quarantined(t)
	for _, next := range []sched.Time{2, 4, 8, 16, 32, 60, 60} {
		s.passes(sched.Time(s.worker(a).Info.ProbeMS))
		s.fails(c1, "w1", "ann")
		require.Equal(t, quarantinedFlags, s.flags("w1"))
		require.EqualValues(t, next*backoff, s.worker(a).Info.ProbeMS)
	}
	s.passes(sched.Time(s.worker(a).Info.ProbeMS))
	s.goes(c1, "w1", "ann")
	s.fails(c1, "w1", "ann", "bob", "eve", "ann", "bob")
	require.EqualValues(t, 60*backoff, s.worker(a).Info.ProbeMS, "it is remembered")
}

func TestABackoffIsForgotten(t *testing.T) {
	s, a, c1 := quarantined(t)
	s.passes(backoff)
	s.goes(c1, "w1", "ann")
	s.passes(10*backoff - 1000)
	s.fails(c1, "w1", "ann", "bob", "eve", "ann")
	s.passes(1000)
	s.fails(c1, "w1", "bob")
	require.EqualValues(t, backoff, s.worker(a).Info.ProbeMS)
}

func TestAQuarantineBelongsToTheID(t *testing.T) {
	for _, way := range []struct {
		name string
		goes func(s *script, a *agent)
	}{
		{"reconnect", func(s *script, a *agent) { s.breaks(a) }},
		{"new incarnation", func(_ *script, a *agent) { a.stop(false); a.start() }},
		{"deregistration", func(s *script, a *agent) { s.leaves(a) }},
		{"removal by hand", func(s *script, a *agent) { s.remove("w1"); a.stop(false); a.start() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			s, a, c1 := quarantined(t)
			way.goes(s, a)
			s.returns(a)
			require.Equal(t, quarantinedFlags, s.flags("w1"))
			require.Nil(t, s.askAs(c1, "w1", "ann").lease)
			s.passes(backoff)
			require.Equal(t, probingFlags, s.flags("w1"))
			require.NotNil(t, s.askAs(c1, "w1", "ann").lease)
			require.Nil(t, s.askAs(c1, "w1", "ann").lease)
		})
	}
}

// leaves deregisters an agent.
func (s *script) leaves(a *agent) {
	s.t.Helper()
	l := a.link
	require.True(s.t, a.leave())
	s.up(l)
	s.closeHost(l)
}

func TestWhoStaysAwayIsForgotten(t *testing.T) {
	s, a, _ := quarantined(t)
	s.leaves(a)
	s.passes(11*backoff - 1000)
	s.returns(a)
	require.Equal(t, probingFlags, s.flags("w1"))
	s.leaves(a)
	s.passes(10*backoff - 1000)
	s.returns(a)
	require.Equal(t, probingFlags, s.flags("w1"), "it was here meanwhile")
	s.leaves(a)
	s.passes(10 * backoff)
	s.returns(a)
	require.Empty(t, s.flags("w1"))
}

func TestWhoNeverComesBackIsForgotten(t *testing.T) {
	s, a, _ := quarantined(t)
	s.leaves(a)
	s.passes(11 * backoff)
	s.returns(a)
	require.Empty(t, s.flags("w1"))
}

func TestAnOperatorsWordEndsAQuarantine(t *testing.T) {
	s, a, c1 := quarantined(t)
	require.True(t, s.cordon("w1", false))
	require.False(t, s.cordon("w1", false))
	require.Empty(t, s.flags("w1"))
	s.fails(c1, "w1", "ann", "bob", "eve", "ann")
	require.Empty(t, s.flags("w1"), "what it did before is forgotten")
	s.fails(c1, "w1", "ann")
	require.EqualValues(t, backoff, s.worker(a).Info.ProbeMS, "so is the first back-off")
	require.True(t, s.cordon("w1", true))
	require.Equal(t, []string{"cordoned"}, s.flags("w1"))
	require.Equal(t, "ana", s.worker(a).Info.CordonBy)
	s.passes(2 * backoff)
	require.Nil(t, s.askAs(c1, "w1", "ann").lease)
	require.True(t, s.cordon("w1", false))
	require.NotNil(t, s.askAs(c1, "w1", "ann").lease)
}

func TestAQuarantineIsLiftedWhileTheWorkerIsGone(t *testing.T) {
	s, a, _ := quarantined(t)
	s.leaves(a)
	require.True(t, s.cordon("w1", false))
	s.returns(a)
	require.Empty(t, s.flags("w1"))
}

func TestAnAgentThatStopsDoesNotEndAQuarantine(t *testing.T) {
	s, a, c1 := quarantined(t)
	a.send(&wire.Cordon{Worker: "w1", Own: true})
	s.settled()
	require.NotContains(t, s.events(0), "uncordoned w1")
	s.stops(a)
	require.Equal(t, []string{"cordoned", "drained", "quarantined"}, s.flags("w1"))
	a.stop(false)
	a.start()
	s.settled()
	require.Equal(t, quarantinedFlags, s.flags("w1"))
	require.Nil(t, s.askAs(c1, "w1", "ann").lease)
}

func TestWhatIsOutOfServiceIsNotQuarantined(t *testing.T) {
	s, _, c1 := bad(t)
	last := s.askAs(c1, "w1", "eve")
	s.runs(last)
	s.fails(c1, "w1", "ann", "bob", "eve", "ann")
	s.stops(s.agents[0])
	last.lease.agent.end(last.lease, wire.ReasonFailed)
	s.settled()
	require.Equal(t, []string{"cordoned", "drained"}, s.flags("w1"))
}
