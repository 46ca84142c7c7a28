package client

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// outcome is what Requeued returned.
type outcome struct {
	lease *Lease
	err   error
}

// follows calls Requeued in the background.
func follows(t *testing.T, c *Client, l *Lease) <-chan outcome {
	out := make(chan outcome, 1)
	ctx := within(t)
	go func() {
		next, err := c.Requeued(ctx, l)
		out <- outcome{next, err}
	}()
	return out
}

// runs schedules a task that may be requeued and says that it has begun.
func runs(t *testing.T, c *Client, f *fake, task Task) *Lease {
	t.Helper()
	task.OnPreempt = OnPreemptRequeue
	l := mustSchedule(t, c, task)
	f.set(l.ID(), wire.StateBegun, wire.ReasonNone)
	l.Began()
	return l
}

// ends has f end a lease, and tell so.
func (f *fake) ends(l *Lease, news wire.News, reason wire.Reason) {
	f.mu.Lock()
	f.endLocked(l.ID(), reason)
	f.mu.Unlock()
	f.push(notice(l, news, reason))
}

func TestARequeuedTaskIsAskedForAgain(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := runs(t, c, f, Task{ID: "t1", Tags: []string{"gpu"}, NotWorkers: []string{"w9"}, Priority: -3, Wait: time.Minute})
	var asked atomic.Int32
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool {
		if s, ok := m.(*wire.Schedule); ok {
			asked.Add(1)
			require.Equal(t, wire.AppendTags(nil, []string{"gpu"}), s.Tags)
			require.Equal(t, wire.AppendWorkers(nil, []string{"w9"}), s.NotWorkers)
			require.EqualValues(t, -3, s.Priority)
			require.Equal(t, wire.OnPreemptRequeue, s.OnPreempt)
			require.InDelta(t, wire.MaxWait, s.WaitMS, 1_000)
		}
		return false
	})
	out := follows(t, c, l)
	f.push(notice(l, wire.NewsPreempted, wire.ReasonNone))
	mustClose(t, l.Preempted(), "the notice did not come")
	require.Empty(t, out)
	f.ends(l, wire.NewsRequeued, wire.ReasonPreempted)
	got := <-out
	require.NoError(t, got.err)
	require.NotEqual(t, l.ID(), got.lease.ID())
	again, err := c.Requeued(within(t), l)
	require.NoError(t, err)
	require.Same(t, got.lease, again, "nobody asks a second time")
	require.EqualValues(t, 1, asked.Load())
	require.NoError(t, got.lease.Err())
}

func TestATaskThatIsOverIsNotAskedForAgain(t *testing.T) {
	for _, reason := range []wire.Reason{wire.ReasonOK, wire.ReasonFailed, wire.ReasonLost} {
		for _, told := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v told=%v", reason, told), func(t *testing.T) {
				f := newFake(t)
				c := f.dial(nil)
				l := runs(t, c, f, Task{ID: "t1"})
				if told {
					f.push(notice(l, wire.NewsPreempted, wire.ReasonNone))
				}
				f.ends(l, wire.NewsOver, reason)
				got := <-follows(t, c, l)
				if told && reason == wire.ReasonLost {
					require.NoError(t, got.err, "it had to make room, and its scheduler could not requeue it")
					require.NotEqual(t, l.ID(), got.lease.ID())
					return
				}
				requireEnded(t, got.err, reason)
				require.Empty(t, c.book.leases)
				require.Zero(t, f.live())
			})
		}
	}
}

// What happened while there was no connection is asked after on the next one.
func TestWhatWasMissedIsAskedAfter(t *testing.T) {
	for _, c := range []struct {
		reason wire.Reason
		told   bool // the notice came before the connection was lost
		again  bool
	}{
		{wire.ReasonPreempted, false, true}, {wire.ReasonPreempted, true, true}, {wire.ReasonLost, true, true},
		{wire.ReasonRevoked, true, true}, {wire.ReasonLost, false, false}, {wire.ReasonOK, true, false}, {wire.ReasonFailed, false, false},
	} {
		t.Run(fmt.Sprintf("%v told=%v", c.reason, c.told), func(t *testing.T) {
			f := newFake(t)
			client := f.dial(nil)
			l := runs(t, client, f, Task{ID: "t1"})
			if c.told {
				f.push(notice(l, wire.NewsPreempted, wire.ReasonNone))
				mustClose(t, l.Preempted(), "the notice did not come")
			}
			f.mu.Lock()
			f.endLocked(l.ID(), c.reason)
			f.mu.Unlock()
			f.drop()
			got := <-follows(t, client, l)
			if c.again {
				require.NoError(t, got.err)
				require.NotEqual(t, l.ID(), got.lease.ID())
				return
			}
			requireEnded(t, got.err, c.reason)
		})
	}
}

// requireEnded expects the EndedError of a reason.
func requireEnded(t *testing.T, err error, reason wire.Reason) {
	t.Helper()
	var over *EndedError
	require.ErrorAs(t, err, &over)
	require.Equal(t, reason, over.Reason)
}

func TestALeaseThatHasNotBegunIsFollowedToo(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1", OnPreempt: OnPreemptRequeue})
	out := follows(t, c, l)
	f.ends(l, wire.NewsRequeued, wire.ReasonRevoked)
	mustClose(t, l.Lost(), "it can not be begun any more")
	got := <-out
	require.NoError(t, got.err)
	require.NoError(t, got.lease.Err())

	// One whose renewals find it asked back is lost, and its end is heard of.
	f = quick(newFake(t))
	c = f.dial(nil)
	l = mustSchedule(t, c, Task{ID: "t2", OnPreempt: OnPreemptRequeue})
	f.set(l.ID(), wire.StateAskedBack, wire.ReasonNone)
	mustClose(t, l.Lost(), "it is asked back")
	f.ends(l, wire.NewsRequeued, wire.ReasonRevoked)
	got = <-follows(t, c, l)
	require.NoError(t, got.err)
	require.NotEqual(t, l.ID(), got.lease.ID())
}

func TestRequeuedEndsWithTheLeaseTheContextAndTheClient(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1", OnPreempt: OnPreemptRequeue})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Requeued(ctx, l)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, c.Release(within(t), l))
	_, err = c.Requeued(within(t), l)
	require.ErrorIs(t, err, ErrReleased)

	l = mustSchedule(t, c, Task{ID: "t2"})
	_, err = c.Requeued(within(t), l)
	require.ErrorIs(t, err, ErrBadRequest)
	_, err = f.dial(nil).Requeued(within(t), l)
	require.ErrorIs(t, err, errForeign)

	l = runs(t, c, f, Task{ID: "t3"})
	f.mu.Lock()
	f.endLocked(l.ID(), wire.ReasonFailed)
	f.mu.Unlock()
	require.ErrorIs(t, c.Release(within(t), l), ErrAlreadyEnded)
	_, err = c.Requeued(within(t), l)
	requireEnded(t, err, wire.ReasonFailed) // the answer to the release says so

	running, waiting := runs(t, c, f, Task{ID: "t4"}), mustSchedule(t, c, Task{ID: "t5", OnPreempt: OnPreemptRequeue})
	outs := []<-chan outcome{follows(t, c, running), follows(t, c, waiting)}
	require.NoError(t, c.Close())
	for _, out := range outs {
		require.ErrorIs(t, (<-out).err, ErrClosed)
	}
	require.Empty(t, c.book.leases)
}

// A program that lives again asks for its tasks, and follows those that run.
func TestATaskOfAFormerLifeIsFollowed(t *testing.T) {
	f := newFake(t)
	l := runs(t, f.dial(&Options{ClientID: "stable"}), f, Task{ID: "t1"})
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if m.Kind() != wire.KindSchedule || f.state(l.ID()).State != wire.StateBegun {
			return false
		}
		p.send(request, &wire.Placed{Lease: l.ID(), Target: wire.AppendTarget(nil, "w1", "h:1"), Flags: wire.PlacedRepeat | wire.PlacedBegun})
		return true
	})
	c := f.dial(&Options{ClientID: "stable"})
	found := mustSchedule(t, c, Task{ID: "t1", OnPreempt: OnPreemptRequeue})
	require.Same(t, found, mustSchedule(t, c, Task{ID: "t1", OnPreempt: OnPreemptRequeue}))
	out := follows(t, c, found)
	f.ends(found, wire.NewsRequeued, wire.ReasonPreempted)
	require.NoError(t, (<-out).err)
}

// A task that was requeued while a begin of it was refused keeps its place.
func TestElsewhereForATaskThatWaitsAgain(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1", OnPreempt: OnPreemptRequeue})
	_, err := l.Hand()
	require.NoError(t, err)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		switch m := m.(type) {
		case *wire.Release: // its worker gives it back at once
			f.ends(l, wire.NewsRequeued, wire.ReasonRevoked)
			p.send(request, &wire.Released{Code: wire.CodeAskedBack})
			return true
		case *wire.Schedule:
			if len(m.NotWorkers) > 0 {
				p.send(request, &wire.Error{Code: wire.CodeConflict, Field: "task"})
				return true
			}
		}
		return false
	})
	next, err := c.ScheduleElsewhere(within(t), l)
	require.NoError(t, err)
	require.Empty(t, next.Task().NotWorkers, "the worker did not refuse it")
}

// renewals plays a scheduler that answers the n-th renewal with a status.
func renewals(status func(n int) wire.LeaseStatus) func(context.Context, string) (net.Conn, error) {
	return pipes(func(int) func(in *input, nc net.Conn) {
		return func(in *input, nc net.Conn) {
			for n := 0; ; {
				m, request, err := in.message()
				if err != nil {
					return
				}
				if _, ok := m.(*wire.Renew); ok {
					nc.Write(wire.Append(nil, request, &wire.Renewed{Leases: []wire.LeaseStatus{status(n)}}))
					n++
				}
			}
		}
	})
}

// The scheduler is asked from time to time what became of a lease, for a notice
// may go to another program with the same client id.
func TestALeaseIsAskedAfterWithoutANotice(t *testing.T) {
	none, begun := wire.LeaseStatus{}, wire.LeaseStatus{State: wire.StateBegun}
	over := wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonOK}
	for name, c := range map[string]struct {
		says []wire.LeaseStatus // the last one for ever
		lost bool               // else it has ended
	}{
		"it ends":                        {[]wire.LeaseStatus{begun, begun, over}, false},
		"its worker comes back with it":  {[]wire.LeaseStatus{none, none, none, none, begun, none, none, none, none, over}, false},
		"nobody ever comes back with it": {[]wire.LeaseStatus{begun, none}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				client, err := Dial(t.Context(), []string{"x"}, &Options{Dial: renewals(func(n int) wire.LeaseStatus {
					asked = n + 1
					return c.says[min(n, len(c.says)-1)]
				})})
				require.NoError(t, err)
				l := placed(t, client)
				start := time.Now()
				_, err = client.Requeued(t.Context(), l)
				if c.lost {
					require.ErrorIs(t, err, ErrLost)
					require.Equal(t, 1+maxMissing, asked)
				} else {
					requireEnded(t, err, wire.ReasonOK)
					require.Equal(t, len(c.says), asked)
				}
				require.InDelta(t, asked, time.Since(start)/followPeriod, 1)
				require.NoError(t, client.Close())
			})
		})
	}
}

// placed puts a lease that runs into the book, as Schedule does.
func placed(t *testing.T, c *Client) *Lease {
	l, fresh := c.book.grant(&Task{ID: "t1", OnPreempt: OnPreemptRequeue}, &wire.Placed{
		Lease: wire.LeaseID{Epoch: 1, Instance: 1, Counter: 1}, Target: wire.AppendTarget(nil, "w", "h"), TTLMS: 10_000,
	}, time.Now())
	require.True(t, fresh)
	l.Began()
	return l
}
