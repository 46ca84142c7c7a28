package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about agents that reconnect, restart or come too
// late.

func TestAnEndedLeaseNeverBeginsAgain(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	c1, c2 := s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.runs(first)
	s.ends(first)
	s.settled()
	second := s.place(c2)
	require.ErrorIs(t, s.arrives(first), ledger.ErrEnded, "a late copy of the begin")
	s.runs(second)
}

func TestABeginByAnotherCallerIsRefused(t *testing.T) {
	s := newScript(t)
	a := s.join("w1", 2)
	first := s.place(s.client("c1"))
	s.runs(first)
	require.ErrorIs(t, a.begin(s.begin[first], "somebody else"), ledger.ErrOtherCaller)
	require.NoError(t, s.arrives(first), "the same caller may ask again")
	s.settled()
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
}

func TestAnAgentRefusesWhatExceedsItsSlots(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	first, second := s.place(c1), s.place(c1)
	a.announce(offer.Kit{Slots: 1}) // the scheduler does not know yet
	s.hand(first)
	s.hand(second)
	require.NoError(t, s.arrives(first))
	require.ErrorIs(t, s.arrives(second), ledger.ErrFull)
	s.returns(a)
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonRefused}, s.renewal(second))
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
	s.refuse(c1)
}

func TestAGrantedLeaseSurvivesAReconnect(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.breaks(a)
	s.returns(a) // the same incarnation; it does not know of the lease
	s.refuse(c2)
	s.runs(first)
}

func TestABegunLeaseThatARegistrationDoesNotListIsLost(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.runs(first)
	m := a.book.Register()
	m.Leases = nil // a store that forgot
	a.send(m)
	s.settled()
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonLost}, s.renewal(first))
	require.Zero(t, s.worker(a).Info.Taken)
}

func TestANewIncarnationEndsWhatItDoesNotList(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 3), s.client("c1")
	granted, begun, ended := s.place(c1), s.place(c1), s.place(c1)
	s.runs(begun)
	s.runs(ended)
	a.stop(false)
	a.start()
	s.settled()
	for _, task := range []*task{granted, begun, ended} {
		require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonLost}, s.renewal(task))
	}
	require.Equal(t, uint64(3), s.ended(wire.ReasonLost))
	s.place(c1)
	s.place(c1)
	s.place(c1)
}

func TestANewIncarnationKeepsWhatItLists(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.runs(first)
	a.stop(true)
	a.start()
	s.settled()
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	s.refuse(c1)
	require.Zero(t, s.ended(wire.ReasonLost))
	s.ends(first)
	s.settled()
	require.Equal(t, uint64(1), s.ended(wire.ReasonOK))
}

func TestAnEndThatWasNotAcknowledgedKeepsItsOutcome(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.runs(first)
	s.ends(first)
	s.breaks(a) // and the report with it
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	s.returns(a)
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonOK}, s.renewal(first))
	require.Zero(t, a.book.Unacknowledged())
	s.place(c1)
}

func TestALeaseNamesItsIncarnation(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.passes(11_000)
	s.settled() // revoked, and remembered
	a.stop(true)
	a.start()
	s.settled() // the memory is gone with the old incarnation
	second := s.place(c2)
	s.hand(first)
	require.ErrorIs(t, s.arrives(first), ledger.ErrOldIncarnation)
	s.runs(second)
}

func TestAnOrphanTakesRoomAndEndsOnce(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.runs(first)
	l := a.link
	a.stop(true)
	s.closeHost(l)
	s.passes(90_000) // offline, then removed
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonLost}, s.renewal(first))
	a.start()
	s.settled()
	s.refuse(c2)
	require.Equal(t, uint64(1), s.ended(wire.ReasonLost))
	s.ends(first)
	s.settled()
	require.Equal(t, uint64(0), s.ended(wire.ReasonOK), "it was told to have ended before")
	require.Equal(t, uint64(1), s.ended(wire.ReasonLost))
	s.place(c2)
}

func TestOfflineEndsNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	first, second := s.place(c1), s.place(c1)
	s.runs(first)
	s.breaks(a)
	s.passes(40_000)
	require.Equal(t, "offline", s.worker(a).Info.State)
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	require.Equal(t, wire.StateAskedBack, s.renewal(second).State)
	s.returns(a)
	require.Equal(t, "online", s.worker(a).Info.State)
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
}

func TestABrokenConnectionMakesSuspiciousAtOnce(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	s.breaks(a)
	require.Equal(t, "suspicious", s.worker(a).Info.State)
	s.refuse(c1)
}

func TestASilentWorkerGetsNothingEvenBeforeThePulse(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	c1 := s.client("c1")
	s.now += 10_000 // and the timer is late
	s.refuse(c1)
}
