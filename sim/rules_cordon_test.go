package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about workers that are out of service.

// cordon takes a worker out of service, or puts it back, and reports whether
// that changed anything.
func (s *script) cordon(worker string, on bool) (changed bool) {
	s.t.Helper()
	return query[*wire.Cordoned](s, &wire.Cordon{Worker: worker, On: on, Reason: "disk", By: "ana"}).Changed
}

func TestACordonedWorkerGetsNothingNew(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	begun, granted := s.place(c1), s.place(c1)
	s.runs(begun)
	require.True(t, s.cordon("w1", true))
	require.False(t, s.cordon("w1", true))
	require.Equal(t, wire.StateBegun, s.renewal(begun).State, "what runs stays")
	s.runs(granted)
	s.ends(begun)
	s.settled()
	s.refuse(c1)
	info := s.worker(a).Info
	require.Equal(t, []any{"online", []string{"cordoned"}, "disk", "ana"}, []any{info.State, info.Flags, info.CordonReason, info.CordonBy})
	require.True(t, s.cordon("w1", false))
	require.False(t, s.cordon("w1", false))
	s.place(c1)
}

func TestACordonBelongsToTheID(t *testing.T) {
	for _, way := range []struct {
		name string
		goes func(s *script, a *agent)
	}{
		{"reconnect", func(s *script, a *agent) { s.breaks(a) }},
		{"new incarnation", func(_ *script, a *agent) { a.stop(false); a.start() }},
		{"deregistration", func(s *script, a *agent) { l := a.link; a.leave(); s.up(l); s.closeHost(l) }},
		{"removal", func(s *script, a *agent) { s.breaks(a); s.passes(90_000); a.stop(false); a.start() }},
		{"removal by hand", func(s *script, a *agent) { s.remove("w1"); a.stop(false); a.start() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := newScript(t)
			a, c1 := s.join("w1", 1), s.client("c1")
			s.cordon("w1", true)
			way.goes(s, a)
			s.returns(a)
			require.Equal(t, []string{"cordoned"}, s.worker(a).Info.Flags)
			s.refuse(c1)
			require.True(t, s.cordon("w1", false))
			s.place(c1)
		})
	}
}

func TestACordonIsLiftedWhileTheWorkerIsGone(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	noSuch := func(on bool) {
		t.Helper()
		require.Equal(t, wire.CodeNotFound, query[*wire.Error](s, &wire.Cordon{Worker: "w1", On: on}).Code)
	}
	s.cordon("w1", true)
	l := a.link
	a.leave()
	s.up(l)
	noSuch(true)
	require.True(t, s.cordon("w1", false))
	noSuch(false)
	s.closeHost(l)
	s.returns(a)
	require.Empty(t, s.worker(a).Info.Flags)
	s.place(c1)
}

// drain asks that a worker becomes empty, and reports whether that changed
// anything.
func (s *script) drain(worker string) (changed bool) {
	s.t.Helper()
	return query[*wire.Cordoned](s, &wire.Cordon{Worker: worker, On: true, Drain: true}).Changed
}

// flags is what is listed of a worker.
func (s *script) flags(worker string) []string {
	s.t.Helper()
	return query[*wire.Worker](s, &wire.GetWorker{ID: worker}).Info.Flags
}

func TestADrainedWorkerHasSaidSo(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	begun, granted := s.place(c1), s.place(c1)
	s.runs(begun)
	require.True(t, s.drain("w1"))
	draining, drained := []string{"cordoned", "draining"}, []string{"cordoned", "drained"}
	s.refuse(c1)
	s.runs(granted)
	s.ends(begun)
	s.settled()
	require.Equal(t, draining, s.flags("w1"))
	a.external = 1
	s.ends(granted)
	a.report()
	s.settled()
	require.Equal(t, draining, s.flags("w1"), "it runs something outside any lease")
	a.external = 0
	a.book.SetExternal(0)
	s.breaks(a)
	a.connect()
	s.up(a.link)
	require.NotContains(t, s.flags("w1"), "drained", "it has not promised anything")
	s.settled()
	require.Equal(t, drained, s.flags("w1"))
	s.breaks(a)
	require.Contains(t, s.flags("w1"), "drained", "the machine may be switched off now")
	s.returns(a)
	require.True(t, s.cordon("w1", false))
	require.Empty(t, s.flags("w1"))
	s.place(c1)
}

func TestADrainedWorkerOfHTTPHasSaidSo(t *testing.T) {
	s := newScript(t)
	b := s.newWeb(2)
	b.report(&sched.Report{Worker: b.id, Slots: 2})
	s.now += 100
	require.True(t, s.drain(b.id))
	require.Equal(t, []string{"http", "cordoned", "draining"}, s.flags(b.id), "it may have begun something since")
	b.report(&sched.Report{Worker: b.id, Slots: 2, Current: 1, Timestamp: 1})
	require.Equal(t, []string{"http", "cordoned", "draining"}, s.flags(b.id))
	b.report(&sched.Report{Worker: b.id, Slots: 2, Timestamp: 2})
	require.Equal(t, []string{"http", "cordoned", "drained"}, s.flags(b.id))
}

func TestACordonBecomesADrain(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	require.True(t, s.cordon("w1", true))
	require.True(t, s.drain("w1"))
	require.False(t, s.drain("w1"))
	require.False(t, s.cordon("w1", true))
	require.Equal(t, []string{"cordoned", "drained"}, s.flags("w1"))
}

// stops lets an agent take its own worker out of service.
func (s *script) stops(a *agent) {
	s.t.Helper()
	a.send(&wire.Cordon{Worker: a.worker, On: true, Drain: true, Own: true})
	s.settled()
}

func TestAnAgentsOwnDrain(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	require.Equal(t, wire.CodeNotRegistered, query[*wire.Error](s, &wire.Cordon{Worker: "w1", On: true, Own: true}).Code)
	s.stops(a)
	require.Equal(t, []string{"cordoned", "drained"}, s.flags("w1"))
	s.refuse(c1)
	require.True(t, s.cordon("w1", true), "an operator's word counts more")
	s.stops(a)
	require.Equal(t, []string{"cordoned"}, s.flags("w1"))
	a.send(&wire.Cordon{Worker: "w1", Own: true})
	s.settled()
	require.Equal(t, []string{"cordoned"}, s.flags("w1"))
	a.stop(false)
	a.start()
	s.returns(a)
	require.Equal(t, []string{"cordoned"}, s.flags("w1"))
}

func TestAnAgentsOwnDrainEndsWithIt(t *testing.T) {
	for _, way := range []struct {
		name string
		goes func(s *script, a *agent)
	}{
		{"new incarnation", func(_ *script, a *agent) { a.stop(false); a.start() }},
		{"deregistration", func(s *script, a *agent) { l := a.link; a.leave(); s.up(l); s.closeHost(l) }},
		{"removal", func(s *script, a *agent) { s.breaks(a); s.passes(90_000); a.stop(false); a.start() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			s := newScript(t)
			a, c1 := s.join("w1", 1), s.client("c1")
			s.stops(a)
			s.breaks(a)
			s.returns(a)
			require.Equal(t, []string{"cordoned", "drained"}, s.flags("w1"), "the same incarnation goes on stopping")
			way.goes(s, a)
			if way.name == "deregistration" {
				require.Equal(t, wire.CodeNotFound, query[*wire.Error](s, &wire.Cordon{Worker: "w1"}).Code)
			}
			s.returns(a)
			require.Empty(t, s.flags("w1"))
			s.place(c1)
		})
	}
}
