package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

func TestRegistersPromisesAndReports(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url(), func(c *Config) {
			c.Resources = map[string]int64{"cpu": 4000}
			c.External = func() uint32 { return 3 }
		})
		p, m := f.admit()
		require.Equal(t, "h:1", m.Address)
		require.Equal(t, []string{"cpu"}, m.Tags)
		require.EqualValues(t, 2, m.Slots)
		require.Equal(t, map[string]int64{"cpu": 4000}, m.Resources)
		require.NotZero(t, m.Incarnation)
		require.Zero(t, m.Promised)

		last := m.Seq
		for range 3 {
			h := await[*wire.Heartbeat](p)
			require.EqualValues(t, 5, h.Handle)
			require.EqualValues(t, 3, h.External)
			require.Greater(t, h.Seq, last)
			require.LessOrEqual(t, p.frame, 24, "bytes of a heartbeat")
			last = h.Seq
		}
		s := a.Status()
		require.True(t, s.Connected)
		require.Equal(t, f.grantor, s.Grantor)
		require.Empty(t, s.LastError)
	})
}

func TestBeginRevokeEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)

		task, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		begun := await[*wire.Begun](p)
		require.Equal(t, "t", string(begun.Record.Task))
		require.EqualValues(t, 1, begun.Record.Lease.Counter)

		p.push(&wire.Revoke{Handle: 5, Lease: task.Handover().Lease})
		require.EqualValues(t, 1, await[*wire.Begun](p).Record.Lease.Counter)

		other := handover(a, 2)
		p.push(&wire.Revoke{Handle: 6, Lease: handover(a, 3).Lease})
		p.push(&wire.Revoke{Handle: 5, Lease: other.Lease})
		require.Equal(t, other.Lease, await[*wire.Revoked](p).Lease)
		_, err = a.Begin(other, Caller{})
		require.ErrorIs(t, err, ErrEnded)

		_, err = a.Begin(handover(a, 1), Caller{})
		require.ErrorIs(t, err, ErrOtherCaller, "a begin without the token is another caller's")

		require.ErrorIs(t, task.End(wire.ReasonReleased), ErrOutcome)
		require.NoError(t, task.End(wire.ReasonFailed))
		<-task.Over()
		require.Equal(t, wire.ReasonFailed, await[*wire.End](p).Outcome)
		p.answer(&wire.Ended{})
		require.Eventually(t, func() bool { return a.Status().Unacknowledged == 0 }, patience, time.Millisecond)
		require.ErrorIs(t, task.End(wire.ReasonOK), ErrNotRunning)
	})
}

func TestRevokeRacesBegin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url(), func(c *Config) { c.Slots = 1000 })
		p, _ := f.admit()
		connected(t, a)
		const leases = 200
		begun := make(chan map[uint64]bool)
		go func() {
			ran := make(map[uint64]bool)
			for n := range uint64(leases) {
				if _, err := a.Begin(handover(a, n+1), Caller{}); err == nil {
					ran[n+1] = true
				}
			}
			begun <- ran
		}()
		for n := range uint64(leases) {
			p.push(&wire.Revoke{Handle: 5, Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: n + 1}})
		}
		ran := <-begun
		go a.Stop(t.Context())
		said, over := make(map[uint64]bool), make(map[uint64]bool)
		revoked := 0
		for {
			m, err := p.next()
			if err != nil {
				break
			}
			switch m := m.(type) {
			case *wire.Begun:
				said[m.Record.Lease.Counter] = true
			case *wire.End: // of a task that Stop ended
				over[m.Lease.Counter] = true
			case *wire.Revoked:
				revoked++
				require.False(t, ran[m.Lease.Counter] && !over[m.Lease.Counter], "lease %d runs and was given back", m.Lease.Counter)
			case *wire.Deregister:
				p.answer(&wire.Gone{})
			}
		}
		require.Equal(t, ran, said)
		t.Logf("%d begun, %d revoked", len(ran), revoked)
	})
}

func TestFullRefusesAndCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url(), func(c *Config) { c.Slots = 1 })
		p, _ := f.admit()
		connected(t, a)
		_, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		_, err = a.Begin(handover(a, 2), Caller{})
		require.ErrorIs(t, err, ErrFull)
		await[*wire.Begun](p)
		end := await[*wire.End](p)
		require.EqualValues(t, 2, end.Lease.Counter)
		require.Equal(t, wire.ReasonRefused, end.Outcome)
		require.Equal(t, 1, a.Status().Refused)
	})
}

func TestABrokenConnectionKeepsWhatRuns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url(), func(c *Config) { c.Slots = 3 })
		p, first := f.admit()
		connected(t, a)
		for n := range uint64(2) {
			_, err := a.Begin(handover(a, n+1), Caller{})
			require.NoError(t, err)
			await[*wire.Begun](p)
		}
		require.NoError(t, a.End(handover(a, 2).Lease, wire.ReasonOK))
		await[*wire.End](p)
		p.conn.Close()
		require.Eventually(t, func() bool { return !a.Status().Connected }, patience, time.Millisecond)
		_, err := a.Begin(handover(a, 3), Caller{})
		require.NoError(t, err, "the promise outlives the connection")

		p, again := f.admit()
		require.Equal(t, first.Incarnation, again.Incarnation)
		require.Greater(t, again.Seq, first.Seq)
		require.Equal(t, f.grantor, again.Promised)
		require.Equal(t, map[uint64]wire.Reason{1: wire.ReasonNone, 2: wire.ReasonOK, 3: wire.ReasonNone}, listed(again))
		await[*wire.Heartbeat](p)
		require.Zero(t, a.Status().Unacknowledged)
	})
}

func TestAnUnansweredEndIsRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		task, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		require.NoError(t, task.End(wire.ReasonOK))
		await[*wire.Begun](p)
		first := *await[*wire.End](p)
		second := *await[*wire.End](p)
		require.Equal(t, first.Lease, second.Lease)
		require.Equal(t, first.Outcome, second.Outcome)
		require.Greater(t, second.Seq, first.Seq)
		p.answer(&wire.Ended{})
		require.Eventually(t, func() bool { return a.Status().Unacknowledged == 0 }, patience, time.Millisecond)
	})
}

func TestSupersededDrawsANewIncarnation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, first := f.admit()
		connected(t, a)
		_, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		await[*wire.Begun](p)
		stale := handover(a, 2)

		p.push(&wire.Superseded{Worker: "w1", Incarnation: first.Incarnation + 1})
		p.push(&wire.Superseded{Worker: "w1", Incarnation: first.Incarnation})
		again := await[*wire.Register](p)
		require.NotEqual(t, first.Incarnation, again.Incarnation)
		require.Zero(t, again.Promised)
		require.Equal(t, map[uint64]wire.Reason{1: wire.ReasonNone}, listed(again))
		second := again.Incarnation
		p.admitted(f.grantor)
		connected(t, a)
		_, err = a.Begin(stale, Caller{})
		require.ErrorIs(t, err, ErrOldIncarnation)
		_, err = a.Begin(handover(a, 2), Caller{})
		require.NoError(t, err)
		await[*wire.Begun](p)

		p.push(&wire.Superseded{Worker: "w1", Incarnation: second})
		p.gone()
		require.Eventually(t, func() bool { return a.Status().LastError != "" }, patience, time.Millisecond)
		require.Contains(t, a.Status().LastError, errConflict.Error())
		require.Equal(t, 2, a.Status().Running)
	})
}

// A scheduler that cannot follow the promised epoch gets a new incarnation,
// whether or not it says that the old one is void.
func TestAPromiseThatIsOutOfReachIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"told first": true, "refused alone": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				log := &logged{}
				f := newFake(t)
				f.grantor.Epoch = 1<<32 - 1
				a := startAgent(t, f.url(), log.by)
				p, first := f.admit()
				connected(t, a)
				_, err := a.Begin(handover(a, 1), Caller{})
				require.NoError(t, err)
				await[*wire.Begun](p)
				p.conn.Close()

				f.grantor = wire.Grantor{Epoch: 1, Instance: 8}
				p, again := f.greet()
				require.Equal(t, first.Incarnation, again.Incarnation)
				require.EqualValues(t, 1<<32-1, again.Promised.Epoch)
				request := p.request
				if told {
					p.push(&wire.Superseded{Worker: "w1", Incarnation: first.Incarnation})
				}
				p.send(request, &wire.Error{Code: wire.CodeBadRequest, Field: "epoch", Message: "out of reach"})
				if told {
					again = await[*wire.Register](p)
				} else {
					p.gone()
					p, again = f.greet()
				}
				require.NotEqual(t, first.Incarnation, again.Incarnation)
				require.Zero(t, again.Promised)
				require.Equal(t, map[uint64]wire.Reason{1: wire.ReasonNone}, listed(again))
				p.admitted(f.grantor)
				require.Eventually(t, func() bool { return a.Status().Grantor == f.grantor }, patience, time.Millisecond)
				require.Eventually(t, func() bool { return log.count("out of reach") == 1 }, patience, time.Millisecond)
			})
		})
	}
}

func TestAFullMemoryRegistersAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, first := f.admit()
		connected(t, a)
		go func() {
			for n := range uint64(ledger.DefaultMemory) {
				p.push(&wire.Revoke{Handle: 5, Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: n + 1}})
			}
		}()
		for range ledger.DefaultMemory {
			await[*wire.Revoked](p)
		}
		again := await[*wire.Register](p)
		require.NotEqual(t, first.Incarnation, again.Incarnation)
		p.admitted(f.grantor)
	})
}

func TestASilentSchedulerIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		p.mute.Store(true)
		quiet := time.Now()
		p.gone()
		require.GreaterOrEqual(t, time.Since(quiet), silentIntervals*beatMS*time.Millisecond*8/10)
		f.admit()
	})
}

func TestAnUnansweredRegistrationIsSilence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.greet()
		p.gone()
		require.False(t, a.Status().Connected)
		f.admit()
		connected(t, a)
	})
}

func TestAnIdleSchedulerThatAnswersPingsIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		f.beatMS = 2 * beatMS
		startAgent(t, f.url())
		p, _ := f.admit()
		for range 3 * silentIntervals {
			await[*wire.Heartbeat](p)
		}
	})
}

func TestAnOlderSchedulerIsNotObeyed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		f.grantor = wire.Grantor{Epoch: 3, Instance: 9}
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		p.conn.Close()

		p, m := f.greet()
		require.Equal(t, f.grantor, m.Promised)
		p.answer(&wire.Registered{Handle: 5, Grantor: wire.Grantor{Epoch: 2, Instance: 7}, HeartbeatMS: beatMS})
		p.gone()
		require.Equal(t, f.grantor, a.Status().Grantor)

		f.grantor = wire.Grantor{Epoch: 4, Instance: 11}
		f.admit()
		require.Eventually(t, func() bool { return a.Status().Grantor == f.grantor }, patience, time.Millisecond)
	})
}

func TestARefusedHelloIsShownAndTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p := f.accept()
		p.answer(&wire.Error{Code: wire.CodeUnauthorized, Message: "the token is wrong", RetryAfterMS: 1})
		p.gone()
		require.Eventually(t, func() bool { return a.Status().LastError != "" }, patience, time.Millisecond)
		f.admit()
		connected(t, a)
		require.Empty(t, a.Status().LastError)
	})
}

func TestARefusedRegistrationIsLoggedOnceAndTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		var log logged
		a := startAgent(t, f.url(), log.by)
		for range 3 {
			p, _ := f.greet()
			p.answer(&wire.Error{Code: wire.CodeDeviceInUse, Field: "devices", Message: "device 0, the GPU GPU-1, is offered by worker w7 at h:7", RetryAfterMS: 1})
			p.gone()
		}
		f.admit()
		connected(t, a)
		require.Empty(t, a.Status().LastError)
		require.Equal(t, 1, log.count("the scheduler refuses this worker; it is tried again"))
		require.Equal(t, 1, log.count(`reason=device_in_use error="device 0, the GPU GPU-1, is offered by worker w7 at h:7"`))
	})
}

func TestTheNextAddressIsTried(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dead, f := newFake(t), newFake(t)
		dead.memory.end()
		a := startAgent(t, dead.url()+","+f.memory.addr.String())
		f.admit()
		connected(t, a)
		require.Equal(t, f.memory.addr.String(), a.Status().Scheduler)
	})
}

func TestStopDeregisters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		_, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		await[*wire.Begun](p)
		stopped := make(chan error)
		go func() { stopped <- a.Stop(t.Context()) }()
		require.Equal(t, wire.ReasonLost, await[*wire.End](p).Outcome)
		p.answer(&wire.Ended{})
		await[*wire.Deregister](p)
		p.answer(&wire.Gone{})
		require.NoError(t, <-stopped)
		p.gone()
		_, err = a.Begin(handover(a, 2), Caller{})
		require.ErrorIs(t, err, ErrStopped)
		require.ErrorIs(t, a.Stop(t.Context()), ErrStopped)
	})
}

func TestStopDoesNotWaitForAHangingScheduler(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		f.admit()
		connected(t, a)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		from := time.Now()
		require.NoError(t, a.Stop(ctx))
		require.Less(t, time.Since(from), patience)
	})
}

func TestBackoffBounds(t *testing.T) {
	for fails := range 100 {
		top := maxBackoff
		if fails < steadyFails+4 {
			top = firstBackoff << max(0, fails-steadyFails)
		}
		for range 50 {
			d := backoff(fails)
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.LessOrEqual(t, d, top)
		}
	}
	for range 1000 {
		d := jitter(time.Second)
		require.GreaterOrEqual(t, d, 900*time.Millisecond)
		require.LessOrEqual(t, d, 1100*time.Millisecond)
	}
}
