package client

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// waysToGiveUp are the ways in which a client gives a lease of the task t1 up
// while the scheduler, whose worker has not answered, still knows it.
var waysToGiveUp = map[string]func(t *testing.T, f *fake, c *Client) *Lease{
	"start within": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1", StartWithin: time.Hour})
		c.book.outOfTime(l)
		eventually(t, "lost", func() bool { return isClosed(l.Lost()) })
		return l
	},
	"hand too late": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1", StartWithin: time.Hour})
		c.book.outOfTime(l)
		return l // whether the client has noticed or not
	},
	"ttl": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1", TTL: time.Hour})
		c.book.outOfTime(l)
		l.expiry.Reset(0)
		eventually(t, "lost", func() bool { return isClosed(l.Lost()) })
		return l
	},
	"ttl, before the timer": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1", TTL: time.Hour})
		c.book.outOfTime(l)
		return l
	},
	"asked back": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1"})
		f.set(l.ID(), wire.StateAskedBack, 0)
		eventually(t, "lost", func() bool { return isClosed(l.Lost()) })
		return l
	},
	"released when handed": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1"})
		_, err := l.Hand()
		require.NoError(t, err)
		require.ErrorIs(t, c.Release(within(t), l), ErrAskedBack)
		return l
	},
	"released by its id": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1"})
		require.ErrorIs(t, c.ReleaseID(within(t), l.ID(), true), ErrAskedBack)
		return l
	},
	"released with others": func(t *testing.T, f *fake, c *Client) *Lease {
		l := mustSchedule(t, c, Task{ID: "t1"})
		require.NoError(t, c.ReleaseAll(within(t), []*Lease{l}))
		return l
	},
	"loop left early": func(t *testing.T, f *fake, c *Client) *Lease {
		for range c.ScheduleEach(within(t), []Task{{ID: "t0"}, {ID: "t1"}}) {
			break
		}
		f.mu.Lock()
		id := f.leases[c.ID()+" t1"]
		f.mu.Unlock()
		c.book.mu.Lock()
		l := c.book.leases[id]
		c.book.mu.Unlock()
		eventually(t, "released", func() bool { return f.count(f.released, id) > 0 && isClosed(l.Lost()) })
		return l
	},
}

// outOfTime lets the time to begin of a lease be over, in which it did not run
// out before a test had the lease.
func (b *book) outOfTime(l *Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.beginBy = time.Now().Add(-time.Millisecond)
}

// waysToAsk are the calls that a lease could come back by.
var waysToAsk = map[string]func(ctx context.Context, c *Client, task Task) (*Lease, error){
	"Schedule": func(ctx context.Context, c *Client, task Task) (*Lease, error) { return c.Schedule(ctx, task) },
	"ScheduleAll": func(ctx context.Context, c *Client, task Task) (*Lease, error) {
		results, _ := c.ScheduleAll(ctx, []Task{task})
		return results[0].Lease, results[0].Err
	},
	"ScheduleEach": func(ctx context.Context, c *Client, task Task) (l *Lease, err error) {
		for _, r := range c.ScheduleEach(ctx, []Task{task}) {
			l, err = r.Lease, r.Err
		}
		return l, err
	},
	"ScheduleGang": func(ctx context.Context, c *Client, task Task) (*Lease, error) {
		leases, err := c.ScheduleGang(ctx, []Task{task}, false)
		if err != nil {
			return nil, err
		}
		return leases[0], nil
	},
}

// A lease that the client gave up is never handed over again, by whatever call
// the scheduler names it: its worker may have taken it back meanwhile.
func TestWhatWasGivenUpIsNotHandedOverOnceMore(t *testing.T) {
	for gave, giveUp := range waysToGiveUp {
		for asked, ask := range waysToAsk {
			t.Run(gave+"/"+asked, func(t *testing.T) {
				f := quick(newFake(t))
				f.setBend(func(p *peer, request uint64, m wire.Message) bool {
					if m.Kind() == wire.KindRelease { // the worker does not answer
						f.mu.Lock()
						f.released[m.(*wire.Release).Lease]++
						f.mu.Unlock()
						p.send(request, &wire.Released{Code: wire.CodeAskedBack})
						return true
					}
					return false
				})
				c := f.dial(nil)
				l := giveUp(t, f, c)
				_, err := l.Hand()
				require.Error(t, err)
				for range 3 {
					again, err := ask(within(t), c, Task{ID: "t1"})
					require.Nil(t, again)
					require.ErrorIs(t, err, ErrAskedBack)
				}
				f.mu.Lock()
				f.endLocked(l.ID(), wire.ReasonRevoked)
				f.mu.Unlock()
				fresh, err := ask(within(t), c, Task{ID: "t1"})
				require.NoError(t, err)
				require.NotEqual(t, l.ID(), fresh.ID())
				_, err = fresh.Hand()
				require.NoError(t, err)
				_, err = l.Hand()
				require.Error(t, err)
			})
		}
	}
}

// From the call of Release on a lease is not handed over, whether the scheduler
// has answered or not.
func TestALeaseOnItsWayBackIsNotHandedOver(t *testing.T) {
	f := newFake(t)
	asked, hold := make(chan struct{}), make(chan struct{})
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if m.Kind() == wire.KindRelease {
			close(asked)
			<-hold
		}
		return false
	})
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	released := make(chan error, 1)
	go func() { released <- c.Release(t.Context(), l) }()
	<-asked
	_, err := l.Hand()
	require.ErrorIs(t, err, ErrReleased)
	require.ErrorIs(t, l.Err(), ErrReleased)
	close(hold)
	require.NoError(t, <-released)
	_, err = l.Hand()
	require.ErrorIs(t, err, ErrReleased)
}

// A lease whose TTL is over is not answered once more, even if its timer has not
// had its turn.
func TestATTLThatIsOverIsNotAnswered(t *testing.T) {
	for asked, ask := range waysToAsk {
		t.Run(asked, func(t *testing.T) {
			f := newFake(t)
			c := f.dial(nil)
			l := waysToGiveUp["ttl, before the timer"](t, f, c)
			again, err := ask(within(t), c, Task{ID: "t1"})
			require.Nil(t, again)
			require.ErrorIs(t, err, errTTL)
			require.ErrorIs(t, l.Err(), ErrLost)
		})
	}
}

// A gang one of whose leases was given up before keeps none of the others.
func TestAGangWithALeaseThatWasGivenUpKeepsNothing(t *testing.T) {
	f := quick(newFake(t))
	c := f.dial(nil)
	waysToGiveUp["asked back"](t, f, c)
	_, err := c.ScheduleGang(within(t), []Task{{ID: "t0"}, {ID: "t1"}, {ID: "t2"}}, false)
	require.ErrorIs(t, err, ErrAskedBack)
	eventually(t, "the others are released", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.released) == 2 && len(f.leases) == 1
	})
}
