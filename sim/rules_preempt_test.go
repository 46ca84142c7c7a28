package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about tasks that must make room.

// drainBy drains a worker with a deadline.
func (s *script) drainBy(worker string, ms uint32) {
	s.t.Helper()
	require.True(s.t, query[*wire.Cordoned](s, &wire.Cordon{Worker: worker, On: true, Drain: true, DeadlineMS: ms}).Changed)
}

// graces is what an agent was told of a task since it was asked last.
func (s *script) graces(a *agent, t *task) (list []uint32) {
	s.t.Helper()
	s.settled()
	for _, m := range a.told {
		if m.Lease == t.lease.id {
			list = append(list, m.GraceMS)
		}
	}
	a.told = nil
	return list
}

// preemptGrace is the grace in the scripts.
func (s *script) preemptGrace() sched.Time { return s.host.cfg.PreemptGrace }

func TestADeadlineWarnsThenKills(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	begun := s.place(c1)
	s.runs(begun)
	s.drainBy("w1", 60_000)
	s.passes(59_000)
	require.Empty(t, s.graces(a, begun))
	s.passes(3000)
	require.Equal(t, []uint32{uint32(s.preemptGrace())}, s.graces(a, begun), "one notice")
	s.passes(s.preemptGrace() - 3000)
	require.Empty(t, s.graces(a, begun))
	s.passes(4000)
	require.Equal(t, []uint32{0}, s.graces(a, begun))
	s.passes(21_000)
	require.Equal(t, []uint32{0, 0}, s.graces(a, begun), "until it is over")
	require.EqualValues(t, 1, s.worker(a).Info.Taken, "no timer frees room")
	s.ends(begun)
	s.settled()
	require.Zero(t, s.worker(a).Info.Taken)
	s.passes(30_000)
	require.Empty(t, s.graces(a, begun))
	require.Equal(t, []string{"cordoned", "drained"}, s.flags("w1"))
}

func TestADeadlineAsksBackWhatHasNotBegun(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	idle, hurries := s.place(c1), s.place(c1)
	s.hand(hurries)
	s.drainBy("w1", 1)
	s.now += 2
	s.pulse()
	require.NoError(t, s.arrives(hurries), "its begin was under way")
	s.settled()
	s.passes(2000)
	require.Equal(t, wire.StateEnded, s.renewal(idle).State)
	require.Equal(t, wire.StateBegun, s.renewal(hurries).State)
	require.Equal(t, []uint32{uint32(s.preemptGrace())}, s.graces(a, hurries))
}

func TestWhatBeginsBehindTheDeadlineIsWarned(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	kept := s.place(c1)
	s.runs(kept)
	s.breaks(a)
	s.drainBy("w1", 1)
	s.now += 5
	s.pulse()
	a.stop(true)
	s.restarts()
	a.start()
	s.settled()
	s.drainBy("w1", 1)
	s.passes(2000)
	require.Equal(t, []uint32{uint32(s.preemptGrace())}, s.graces(a, kept), "a restart forgot the first drain")
	s.breaks(a)
	s.passes(2000)
	s.returns(a)
	left := s.graces(a, kept)
	require.Len(t, left, 1, "it is told again")
	require.InDelta(t, float64(s.preemptGrace()-2000), float64(left[0]), 1000, "of what is left")
}

func TestADeadlineCanBePutOff(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	begun := s.place(c1)
	s.runs(begun)
	s.drainBy("w1", 5000)
	s.drainBy("w1", 60_000)
	s.passes(20_000)
	require.Empty(t, s.graces(a, begun))
	require.True(t, s.cordon("w1", false))
	s.passes(60_000)
	require.Empty(t, s.graces(a, begun), "the drain is over")
}
