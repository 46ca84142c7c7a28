package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule of "Leases and accounting" about room that is
// given back: the trace on which two tasks land in one slot, or room leaks, if
// the rule is dropped. TestMutants drops them one by one.

func TestNothingIsPlacedBeforeThePromise(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.hand(first)
	s.restarts()
	a.connect()
	s.up(a.link) // it runs nothing yet, says the registration
	require.NoError(t, s.arrives(first))
	s.refuseAlone(c2)
	s.settled() // begun, then promised
	s.refuse(c2)
	s.ends(first)
	s.settled()
	s.place(c2)
}

func TestBegunReportOfAnUnknownLeaseTakesRoom(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.hand(first)
	s.restarts()
	a.connect()
	s.up(a.link)
	require.NoError(t, s.arrives(first))
	s.settled()
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	s.refuse(c2)
}

func TestReleaseOfAHandedLeaseAsksBack(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.hand(first)
	require.Equal(t, wire.CodeAskedBack, s.release(first).Code)
	s.refuseAlone(c2)
	require.NoError(t, s.arrives(first), "the begin was faster than the revoke")
	s.settled()
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
	require.Equal(t, wire.CodeBegun, s.release(first).Code)
	require.Equal(t, 1, a.book.Running())
	s.refuse(c2)
}

func TestReleaseOfALeaseNeverHandedEndsIt(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	first := s.place(s.client("c1"))
	require.Equal(t, wire.CodeOK, s.release(first).Code)
	s.place(s.client("c2"))
}

func TestSecondReleaseChangesNothing(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	require.Equal(t, wire.CodeOK, s.release(first).Code)
	second := s.place(c2)
	require.Equal(t, wire.Released{Code: wire.CodeAlreadyEnded, Reason: wire.ReasonReleased}, s.release(first))
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
	s.refuse(c1)
	s.runs(second)
}

func TestTheTimerAsksBackAndFreesNoRoom(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	c1, c2 := s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.passes(11_000)
	require.Equal(t, wire.StateAskedBack, s.renewal(first).State)
	s.refuseAlone(c2)
	s.hand(first)
	require.NoError(t, s.arrives(first), "the begin was faster than the revoke")
	s.settled()
	s.refuse(c2)
	s.passes(60_000)
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
}

func TestTheAnswerToARevokeGivesTheRoomBack(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.passes(11_000)
	s.settled()
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonRevoked}, s.renewal(first))
	second := s.place(c2)
	s.hand(first) // far too late
	require.ErrorIs(t, s.arrives(first), ledger.ErrEnded)
	s.runs(second)
	require.Equal(t, 1, a.book.Running())
}

func TestRenewalsKeepALease(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	first := s.place(s.client("c1"))
	for range 5 {
		s.passes(9_000)
		require.Equal(t, wire.StateGranted, s.renewal(first).State)
	}
	s.runs(first)
}

func TestRevokeIsRepeatedAfterARegistration(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.breaks(a) // the revoke has nowhere to go
	s.passes(12_000)
	require.Equal(t, wire.StateAskedBack, s.renewal(first).State)
	s.returns(a)
	require.Equal(t, wire.ReasonRevoked, s.renewal(first).Reason)
	s.place(c2)
}

func TestAnAskedBackLeaseMayStillBegin(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.breaks(a)
	s.passes(12_000)
	first.phase = phaseAsking // it lost the answer and asks again
	c1.schedule(first)
	s.settled()
	require.Equal(t, phaseHeld, first.phase)
	s.hand(first)
	require.NoError(t, s.arrives(first))
	s.returns(a)
	require.Equal(t, wire.StateBegun, s.renewal(first).State)
}

func TestAHeartbeatNeverOverwritesTheCount(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	a.send(a.book.Heartbeat(0)) // it runs nothing, as it knows
	s.settled()
	s.refuse(c2)
	s.runs(first)
}

func TestExternalLoadTakesRoom(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	a.external = 1
	a.send(a.book.Heartbeat(a.external))
	s.settled()
	s.place(c1)
	s.refuse(c1)
	a.external = 0
	a.send(a.book.Heartbeat(a.external))
	s.settled()
	s.place(c1)
}

func TestAClosedClientConnectionEndsNothing(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	c1, c2 := s.client("c1"), s.client("c2")
	first := s.place(c1)
	l := c1.link
	s.hangUp(l, 0, 0)
	s.closeHost(l)
	s.refuse(c2)
	s.hand(first)
	require.NoError(t, s.arrives(first))
	s.settled()
	s.refuse(c2)
}

func TestARetryGetsTheSameLease(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	first := s.ask(c1)
	c1.schedule(first) // the same task again
	s.settled()
	require.Equal(t, phaseHeld, first.phase)
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
	c1.newTask().id = first.id
	other := c1.tasks[len(c1.tasks)-1]
	other.priority = 7
	m := other.message(s.World)
	p := &asker{}
	l := s.dial(p)
	s.sendUp(l, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: c1.id})
	s.sendUp(l, 2, m)
	s.settled()
	require.Equal(t, wire.CodeConflict, p.answer.(*wire.Error).Code)
}
