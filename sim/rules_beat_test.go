package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about heartbeats that come as datagrams.

// lands delivers a beat and returns the acknowledgement, nil if there is none.
func (s *script) lands(a *agent, m *wire.Beat) *wire.BeatAck {
	s.t.Helper()
	answer := s.land(a, wire.AppendDatagram(nil, 1, m))
	s.look()
	if answer == nil {
		return nil
	}
	ack, request, err := new(wire.Decoder).Decode(answer)
	require.NoError(s.t, err)
	require.Equal(s.t, uint64(1), request)
	return ack.(*wire.BeatAck)
}

// beats delivers the next beat of an agent, which reads the acknowledgement.
func (s *script) beats(a *agent) *wire.BeatAck {
	s.t.Helper()
	ack := s.lands(a, a.tell())
	require.NotNil(s.t, ack)
	a.acknowledge(ack)
	return ack
}

func TestBeatsKeepAWorkerAlive(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	a.datagrams = true
	s.passes(30_000)
	require.Equal(t, "online", s.worker(a).Info.State)
	require.Empty(t, s.worker(a).Info.Flags)
	a.external = 1
	require.Equal(t, &wire.BeatAck{Seq: a.sent + 1, Grantor: a.grantor}, s.beats(a))
	s.place(c1)
	s.refuse(c1)
	a.external = 0
	s.beats(a)
	s.place(c1)
}

func TestAnOldBeatChangesNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	early := a.tell()
	a.external = 2
	late := a.tell()
	require.NotNil(t, s.lands(a, late))
	require.Nil(t, s.lands(a, early), "it was overtaken")
	s.refuse(c1)
	a.external = 0
	last := a.tell()
	require.NotNil(t, s.lands(a, last))
	require.Nil(t, s.lands(a, late), "it came before")
	s.place(c1)
	s.now += 9_000
	require.Nil(t, s.lands(a, last), "it comes again")
	s.now += 1_500
	s.refuse(c1) // nothing new was heard for too long
}

// Somebody who knows an incarnation can use up the numbers of its datagrams.
// Its next registration says which ones it has sent itself.
func TestAForgedBeatIsForgottenWithTheNextRegistration(t *testing.T) {
	for name, above := range map[string]uint32{"by one": 1, "by what an agent skips": wire.BeatSkip, "by a little more": wire.BeatSkip + 2, "by all there are": 1<<32 - 10} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			a := s.join("w1", 2)
			a.datagrams = true
			for range 3 {
				s.beats(a)
			}
			copied := a.tell()
			require.NotNil(t, s.lands(a, copied))
			require.NotNil(t, s.lands(a, &wire.Beat{Worker: []byte("w1"), Incarnation: a.book.Incarnation(), Seq: a.sent + above}))
			dropped := 0
			for s.lands(a, a.tell()) == nil {
				s.settled() // the agent may have registered again
				dropped++
				require.Less(t, dropped, 3*missingAcks)
			}
			require.Nil(t, s.lands(a, copied), "it came before all that")
			require.Equal(t, "online", s.worker(a).Info.State)
		})
	}
}

// Datagrams may overtake a registration that was built before them.
func TestALateRegistrationLowersNoNumberOfBeats(t *testing.T) {
	s := newScript(t)
	a := s.join("w1", 2)
	for range 3 {
		s.beats(a)
	}
	a.register()
	late := a.tell()
	require.NotNil(t, s.lands(a, late))
	s.settled()
	require.Nil(t, s.lands(a, late), "it came before the registration")
	require.False(t, s.beats(a).Connect)
}

func TestABeatOfAnOldIncarnationChangesNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	for range 3 {
		s.beats(a)
	}
	a.external = 2
	old := a.tell()
	a.external = 0
	a.stop(false)
	a.start()
	s.settled()
	s.now += 9_000
	require.Equal(t, &wire.BeatAck{Seq: old.Seq, Grantor: a.grantor, Connect: true}, s.lands(a, old))
	require.Zero(t, s.worker(a).Info.External)
	s.now += 1_500
	s.refuse(c1)
	require.Equal(t, &wire.BeatAck{Seq: 1, Grantor: a.grantor}, s.beats(a), "each incarnation counts from 1")
	s.place(c1)
}

func TestNothingIsCreatedByADatagram(t *testing.T) {
	s := newScript(t)
	a, c1 := s.newAgent("w1", 1), s.client("c1")
	unknown := func() {
		t.Helper()
		require.True(t, s.beats(a).Connect)
		require.Empty(t, query[*wire.Workers](s, &wire.ListWorkers{}).Rows)
		s.refuse(c1)
	}
	unknown()
	s.returns(a)
	first := s.place(c1)
	s.runs(first)
	s.restarts()
	s.settled()
	unknown() // what it promised and what it runs is told by its registration alone
	s.returns(a)
	require.False(t, s.beats(a).Connect)
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	s.remove("w1")
	require.True(t, s.beats(a).Connect)
	s.settled() // superseded
	s.returns(a)
	require.False(t, s.beats(a).Connect)
}

func TestALostReportIsHealedThroughTheDigest(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.hand(first)
	require.NoError(t, s.arrives(first))
	s.drop(&a.link.up, 0) // the report that it began
	require.False(t, s.beats(a).Connect, "the beat may have overtaken a report")
	require.Equal(t, wire.StateGranted, s.renewal(first).State)
	require.True(t, s.beats(a).Connect)
	s.settled() // registered again
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	require.False(t, s.beats(a).Connect)
	s.ends(first)
	s.drop(&a.link.up, 0)
	require.False(t, s.beats(a).Connect)
	require.True(t, s.beats(a).Connect)
	s.settled()
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonOK}, s.renewal(first))
	require.False(t, s.beats(a).Connect)
	s.place(c1)
}

func TestABeatThatOvertookAReportAsksForNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	for range 3 {
		first := s.place(c1)
		s.hand(first)
		require.NoError(t, s.arrives(first))
		require.False(t, s.beats(a).Connect)
		s.up(a.link)
		require.False(t, s.beats(a).Connect)
		s.ends(first)
		require.False(t, s.beats(a).Connect)
		s.settled()
		require.False(t, s.beats(a).Connect)
	}
}

func TestABeatBehindARegistrationAsksForNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.hand(first)
	require.NoError(t, s.arrives(first))
	s.drop(&a.link.up, 0)
	require.False(t, s.beats(a).Connect)
	late := a.tell()
	s.ends(first)
	s.breaks(a)
	s.returns(a)
	require.False(t, s.lands(a, late).Connect, "the registration says more than the beat")
	require.False(t, s.beats(a).Connect)
}

func TestABeatPlacesNothingWithoutAPromise(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	s.breaks(a)
	require.True(t, s.beats(a).Connect)
	require.Equal(t, "online", s.worker(a).Info.State)
	require.Equal(t, []string{"connecting"}, s.worker(a).Info.Flags)
	s.refuse(c1)
	a.connect()
	s.up(a.link) // it has registered and not promised
	require.False(t, s.beats(a).Connect)
	s.refuseAlone(c1)
	s.settled()
	require.False(t, s.beats(a).Connect)
	s.place(c1)
}

func TestMissingAcknowledgementsRegisterAgain(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.passes(11_000)
	s.drop(&a.link.down, 0) // the revoke
	for range missingAcks {
		a.tell()
	}
	require.True(t, a.book.Connected())
	a.tell()
	require.False(t, a.book.Connected())
	s.settled() // the revoke is repeated
	require.Equal(t, wire.ReasonRevoked, s.renewal(first).Reason)
	s.place(c1)
}
