package client

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// quick makes renewals come every 10 ms.
func quick(f *fake) *fake {
	f.startTTL = 30 * time.Millisecond
	return f
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestRenewsUntilBegun(t *testing.T) {
	f := quick(newFake(t))
	l := mustSchedule(t, f.dial(nil), Task{ID: "t1"})
	eventually(t, "renewed", func() bool { return f.count(f.renewals, l.ID()) >= 3 })
	f.set(l.ID(), wire.StateBegun, 0)
	eventually(t, "begun", func() bool { return l.book.size() == 0 })
	seen := f.count(f.renewals, l.ID())
	other := mustSchedule(t, f.dial(nil), Task{ID: "t2"})
	eventually(t, "time passes", func() bool { return f.count(f.renewals, other.ID()) >= 3 })
	require.Equal(t, seen, f.count(f.renewals, l.ID()))
	require.NoError(t, l.Err())
	require.False(t, isClosed(l.Lost()))
}

func TestBeganStopsRenewals(t *testing.T) {
	l := mustSchedule(t, newFake(t).dial(nil), Task{ID: "t1"})
	l.Began()
	require.Zero(t, l.book.size())
	require.NoError(t, l.Err())
}

func TestRenewalsFindALostLease(t *testing.T) {
	for name, c := range map[string]struct {
		state  wire.State
		reason wire.Reason
		lost   bool
	}{
		"the scheduler forgot it":   {wire.StateNone, 0, true},
		"it was revoked":            {wire.StateEnded, wire.ReasonRevoked, true},
		"its worker refused it":     {wire.StateEnded, wire.ReasonRefused, true},
		"it was asked back":         {wire.StateAskedBack, 0, true},
		"its task is through":       {wire.StateEnded, wire.ReasonOK, false},
		"its task failed":           {wire.StateEnded, wire.ReasonFailed, false},
		"an HTTP worker counted it": {wire.StateEnded, wire.ReasonBelieved, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := quick(newFake(t))
			l := mustSchedule(t, f.dial(nil), Task{ID: "t1"})
			signal := l.Lost()
			f.set(l.ID(), c.state, c.reason)
			if !c.lost {
				eventually(t, "ended", func() bool { return l.book.size() == 0 })
				require.False(t, isClosed(signal))
				require.NoError(t, l.Err())
				return
			}
			eventually(t, "lost", func() bool { return isClosed(signal) })
			require.ErrorIs(t, l.Err(), ErrLost)
			_, err := l.Hand()
			require.ErrorIs(t, err, ErrLost)
			require.ErrorIs(t, l.book.clientRelease(t, l), ErrLost)
			require.True(t, isClosed(l.Lost()), "asked afterwards")
		})
	}
}

// clientRelease releases through a client that shares the book.
func (b *book) clientRelease(t *testing.T, l *Lease) error {
	return (&Client{book: b}).Release(within(t), l)
}

func TestAHandedLeaseThatIsAskedBackWaitsForItsWorker(t *testing.T) {
	f := quick(newFake(t))
	l := mustSchedule(t, f.dial(nil), Task{ID: "t1"})
	_, err := l.Hand()
	require.NoError(t, err)
	f.set(l.ID(), wire.StateAskedBack, 0)
	before := f.count(f.renewals, l.ID())
	eventually(t, "asked twice", func() bool { return f.count(f.renewals, l.ID()) >= before+2 })
	require.NoError(t, l.Err())
	f.set(l.ID(), wire.StateEnded, wire.ReasonRevoked)
	eventually(t, "lost", func() bool { return isClosed(l.Lost()) })
}

func TestStartWithinGivesUp(t *testing.T) {
	f := quick(newFake(t))
	l := mustSchedule(t, f.dial(nil), Task{ID: "t1", StartWithin: 20 * time.Millisecond})
	eventually(t, "lost", func() bool { return isClosed(l.Lost()) })
	require.ErrorIs(t, l.Err(), errStartWithin)
	eventually(t, "released", func() bool { return f.live() == 0 })
	require.False(t, f.handed[l.ID()])
}

func TestStartWithinOfAHandedLeaseAsksTheScheduler(t *testing.T) {
	f := quick(newFake(t))
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1", StartWithin: 20 * time.Millisecond})
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if _, ok := m.(*wire.Release); ok {
			p.send(request, &wire.Released{Code: wire.CodeBegun})
			return true
		}
		return false
	})
	_, err := l.Hand()
	require.NoError(t, err)
	eventually(t, "settled", func() bool { return l.book.size() == 0 })
	require.NoError(t, l.Err(), "it has begun")
	require.False(t, isClosed(l.Lost()))
}

func TestReleaseEndsALease(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	require.NoError(t, c.Release(within(t), l))
	require.Zero(t, f.live())
	require.ErrorIs(t, l.Err(), ErrReleased)
	_, err := l.Hand()
	require.ErrorIs(t, err, ErrReleased)
	require.ErrorIs(t, c.Release(within(t), l), ErrReleased)
	require.Equal(t, 1, f.count(f.released, l.ID()))
	require.False(t, isClosed(l.Lost()), "its holder knows")
}

func TestReleaseOfAHandedLeaseAsksItBack(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	_, err := l.Hand()
	require.NoError(t, err)
	require.ErrorIs(t, c.Release(within(t), l), ErrAskedBack)
	require.True(t, f.handed[l.ID()])
	_, err = l.Hand()
	require.ErrorIs(t, err, ErrReleased)

	_, err = c.Schedule(within(t), Task{ID: "t1"})
	require.ErrorIs(t, err, ErrAskedBack, "the same lease comes again and is never handed over")
}

// Another life of the program may have handed the lease over.
func TestReleaseOfALeaseFromAnEarlierLifeAsksItBack(t *testing.T) {
	f := newFake(t)
	earlier := f.dial(&Options{ClientID: "c1"})
	mustSchedule(t, earlier, Task{ID: "t1"})
	require.NoError(t, earlier.Close())
	c := f.dial(&Options{ClientID: "c1"})
	l := mustSchedule(t, c, Task{ID: "t1"})
	require.True(t, l.Flags().Repeat())
	require.ErrorIs(t, c.Release(within(t), l), ErrAskedBack)
	require.True(t, f.handed[l.ID()])
}

func TestReleaseOfABegunLeaseChangesNothing(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	f.set(l.ID(), wire.StateBegun, 0)
	require.ErrorIs(t, c.Release(within(t), l), ErrBegun)
	require.NoError(t, l.Err())
}

func TestReleaseOfAnEndedOrUnknownLease(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	f.set(l.ID(), wire.StateEnded, wire.ReasonOK)
	err := c.Release(within(t), l)
	require.ErrorIs(t, err, ErrAlreadyEnded)
	require.ErrorContains(t, err, "ok")

	l = mustSchedule(t, c, Task{ID: "t2"})
	f.set(l.ID(), wire.StateNone, 0)
	require.ErrorIs(t, c.Release(within(t), l), ErrNotFound)
	require.Error(t, f.dial(nil).Release(within(t), l), "another client's")
}

func TestReleaseGoesOnAfterItsContext(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Release(ctx, l), context.Canceled)
	eventually(t, "released", func() bool { return f.live() == 0 })
}

func TestTTLReplacesRenewals(t *testing.T) {
	f := quick(newFake(t))
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1", TTL: 300 * time.Millisecond})
	eventually(t, "expired", func() bool { return isClosed(l.Lost()) })
	require.ErrorIs(t, l.Err(), errTTL)
	require.Zero(t, f.count(f.renewals, l.ID()))

	kept := mustSchedule(t, c, Task{ID: "t2", TTL: time.Hour})
	require.NoError(t, c.Close())
	require.NoError(t, kept.Err(), "it needs no client")
}

func TestCloseLosesRenewedLeases(t *testing.T) {
	c := newFake(t).dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	require.NoError(t, c.Close())
	require.ErrorIs(t, l.Err(), ErrClosed)
	require.ErrorIs(t, l.Err(), ErrLost)
	require.True(t, isClosed(l.Lost()))
}

func TestManyLeasesAreRenewedInBatches(t *testing.T) {
	f := newFake(t)
	f.startTTL = 300 * time.Millisecond
	most := make(chan int, 1000)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if r, ok := m.(*wire.Renew); ok {
			most <- len(r.Leases)
		}
		return false
	})
	c := f.dial(nil)
	tasks := make([]Task, 1500)
	for i := range tasks {
		tasks[i].ID = randomID()
	}
	_, err := c.ScheduleAll(within(t), tasks)
	require.NoError(t, err)
	total := 0
	for total < 1500 {
		n := <-most
		require.LessOrEqual(t, n, wire.MaxBatch)
		total += n
	}
}
