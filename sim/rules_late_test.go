package sim

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about messages of the past: of an old connection,
// an old incarnation, an old scheduler.

func TestALateReportOfAnOldIncarnationChangesNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	for range 3 {
		a.send(a.book.Heartbeat(0))
	}
	s.settled()
	a.send(a.book.Heartbeat(2))
	old := a.link
	a.stop(false)
	a.start()
	s.settled()
	s.up(old)
	require.Zero(t, s.worker(a).Info.External)
	s.place(c1)
	s.place(c1)
}

func TestARepeatedReportChangesNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.hand(first)
	require.NoError(t, s.arrives(first))
	copied := append([]byte(nil), a.link.up[0].bytes...)
	s.settled()
	s.ends(first)
	s.settled()
	s.sendRaw(a.link, copied) // begun, once more
	s.settled()
	require.Zero(t, s.worker(a).Info.Taken)
	s.place(c1)
}

func TestALateRegistrationOfTheSameIncarnationChangesNothing(t *testing.T) {
	s := newScript(t)
	a, c1 := s.newAgent("w1", 1), s.client("c1")
	a.connect()
	old := s.slips(a)
	s.returns(a)
	s.up(old)
	require.Empty(t, s.worker(a).Info.Flags)
	s.place(c1)
}

func TestALateRegistrationOfAnOldIncarnationIsVoid(t *testing.T) {
	s := newScript(t)
	a, c1 := s.newAgent("w1", 1), s.client("c1")
	a.connect()
	old := s.slips(a) // with a registration that promises nothing yet
	s.returns(a)
	l := a.link
	a.stop(false)
	s.closeHost(l)
	a.start()
	s.settled()
	s.up(old)
	require.Equal(t, a.book.Incarnation(), s.worker(a).Info.Incarnation)
	require.Empty(t, s.worker(a).Info.Flags)
	s.place(c1)
}

// Somebody who knows a worker's incarnation registers it elsewhere, with the
// greatest number there is. The agent learns of it by its next report, and comes
// back by itself with what it runs.
func TestAWorkerThatWasRegisteredByAnotherComesBack(t *testing.T) {
	for name, stays := range map[string]bool{"who is gone": false, "who stays": true} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			a, c1 := s.join("w1", 2), s.client("c1")
			first := s.place(c1)
			s.runs(first)
			l := s.dial(&asker{})
			s.sendUp(l, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent})
			s.sendUp(l, 2, &wire.Register{Worker: "w1", Address: "x:1", Incarnation: a.book.Incarnation(), Seq: math.MaxUint32, Slots: 2,
				Leases: []wire.Record{{Lease: first.lease.id, Task: []byte("t")}}})
			s.up(l)
			if !stays {
				s.hangUp(l, 0, 0)
				s.closeHost(l)
			}
			a.send(a.book.Heartbeat(0))
			s.settled()
			require.Nil(t, a.link, "it is told that it is not registered here")
			a.connect()
			s.settled()
			s.returns(a) // under a new incarnation
			require.Equal(t, a.book.Incarnation(), s.worker(a).Info.Incarnation)
			require.Equal(t, wire.StateBegun, s.renewal(first).State)
			s.place(c1)
			s.ends(first)
			s.settled()
			require.Equal(t, uint64(1), s.ended(wire.ReasonOK))
		})
	}
}

func TestSupersededIsAnsweredAndHeals(t *testing.T) {
	s := newScript(t)
	a := s.join("w1", 1)
	s.restarts()
	s.settled()
	c1 := s.client("c1")
	a.connect()
	old := a.link // with the registration of the first incarnation
	a.stop(true)
	a.start()
	s.settled()
	s.up(old) // the new scheduler takes it for the newer one
	s.refuse(c1)
	a.send(a.book.Heartbeat(0))
	s.settled() // superseded
	s.returns(a)
	s.place(c1)
}

func TestAfterARemovalTheSameIncarnationIsVoid(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.breaks(a)
	s.passes(90_000)
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonLost}, s.renewal(first))
	a.connect()
	s.settled() // superseded
	s.returns(a)
	second := s.place(c2)
	s.hand(first)
	require.ErrorIs(t, s.arrives(first), ledger.ErrOldIncarnation)
	s.runs(second)
}

func TestTheEpochRisesAboveAPromisedOne(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	for epoch := uint32(2); epoch < 5; epoch++ {
		s.restarts()
		s.returns(a)
		require.Equal(t, epoch, a.book.Promised().Epoch)
		require.Equal(t, epoch, s.place(c1).lease.id.Epoch)
	}
}

func TestALeaseOfAForeignEpochIsNotKnown(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	liar, c1 := s.join("w2", 0), s.client("c1")
	var ids []wire.LeaseID
	for g := (wire.Grantor{Epoch: 10, Instance: 5}); len(ids) < 70; g.Epoch += 10 {
		p := s.place(c1)
		ids = append(ids, p.lease.id)
		s.release(p)
		s.lies(liar, g)
	}
	for i, id := range ids {
		r, want := query[*wire.Released](s, &wire.Release{Lease: id}), wire.CodeAlreadyEnded
		if i < len(ids)-64 {
			want = wire.CodeNotFound // so many epochs are not remembered
		}
		require.Equal(t, want, r.Code, "%v", id)
		id.Epoch += 3
		require.Equal(t, wire.CodeNotFound, query[*wire.Released](s, &wire.Release{Lease: id}).Code, "%v", id)
		renewed := query[*wire.Renewed](s, &wire.Renew{Leases: []wire.LeaseID{id}})
		require.Equal(t, wire.LeaseStatus{}, renewed.Leases[0])
	}
}

// lies registers an agent with a promise that it never made.
func (s *script) lies(a *agent, promised wire.Grantor) {
	s.t.Helper()
	a.lying = true
	if a.link == nil {
		a.connect()
		s.settled()
	}
	m := a.book.Register()
	m.Promised = promised
	a.send(m)
	s.settled()
}

func TestOneDamagedWorkerDoesNotUseUpTheEpochs(t *testing.T) {
	for name, promised := range map[string]wire.Grantor{
		"largest":          {Epoch: math.MaxUint32, Instance: 5},
		"last but one":     {Epoch: math.MaxUint32 - 1, Instance: 5},
		"at the limit":     {Epoch: wire.MaxEpoch, Instance: 5},
		"below the limit":  {Epoch: wire.MaxEpoch - 1, Instance: 5},
		"of this instance": {Epoch: math.MaxUint32},
		"of no instance":   {Epoch: math.MaxUint32 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			a, c1 := s.join("w1", 2), s.client("c1")
			first := s.place(c1)
			s.runs(first)
			if name == "of this instance" {
				promised.Instance = s.host.cfg.Instance
			}
			s.lies(s.join("w2", 0), promised)
			s.breaks(a)
			s.returns(a)
			require.LessOrEqual(t, a.book.Promised().Epoch, uint32(wire.MaxEpoch))
			for range 3 {
				s.restarts()
				a.connect()
				s.settled()
				if a.link == nil { // it was told that its incarnation is void
					s.returns(a)
				}
				require.LessOrEqual(t, a.book.Promised().Epoch, uint32(wire.MaxEpoch))
				require.Equal(t, uint32(1), s.worker(a).Info.Taken, "what runs is kept")
				s.release(s.place(c1))
			}
			s.ends(first)
			s.settled()
			require.Zero(t, s.worker(a).Info.Taken)
		})
	}
}

// One that raises the epoch again and again, by a little each time, gets no
// further than the limit.
func TestACreepingEpochEndsAtTheLimit(t *testing.T) {
	s := newScript(t)
	a, liar, c1 := s.join("w1", 1), s.join("w2", 0), s.client("c1")
	for g := (wire.Grantor{Epoch: wire.MaxEpoch/4 - 1, Instance: 5}); g.Epoch < 3*wire.MaxEpoch; g.Epoch += wire.MaxEpoch / 4 {
		g.Instance++
		s.lies(liar, g)
		require.LessOrEqual(t, s.host.state.Grantor().Epoch, uint32(wire.MaxEpoch))
	}
	s.breaks(a)
	s.returns(a)
	s.restarts()
	a.connect()
	s.settled()
	s.returns(a)
	require.Equal(t, uint32(1), a.book.Promised().Epoch, "it promised the new one from the beginning")
	s.place(c1)
}

func TestALeaseOfAnOldSchedulerDoesNotBegin(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.hand(first)
	s.restarts()
	s.returns(a)
	second := s.place(c2)
	require.ErrorIs(t, s.arrives(first), ledger.ErrOtherInstance)
	s.runs(second)
}

func TestALateReleaseAfterTheEndIsToldSo(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	c1, c2 := s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.runs(first)
	s.ends(first)
	s.settled()
	second := s.place(c2)
	require.Equal(t, wire.Released{Code: wire.CodeAlreadyEnded, Reason: wire.ReasonOK}, s.release(first))
	s.runs(second)
}
