package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

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
