package client

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func TestWhatATaskSaysOfMakingRoomIsChecked(t *testing.T) {
	for _, c := range []struct {
		field string // "" if nothing is wrong
		gang  bool
		task  Task
	}{
		{"", false, Task{Preempt: true, Wait: time.Minute}},
		{"", false, Task{OnPreempt: OnPreemptRequeue}},
		{"", true, Task{OnPreempt: OnPreemptNever}},
		{"wait_ms", false, Task{Preempt: true}},
		{"preempt", false, Task{Preempt: true, Wait: time.Minute, Policy: Spread, SpreadBy: "zone"}},
		{"preempt", true, Task{Preempt: true, Wait: time.Minute}},
		{"on_preempt", false, Task{OnPreempt: OnPreemptNever + 1}},
		{"on_preempt", false, Task{OnPreempt: OnPreemptRequeue, Policy: Spread, SpreadBy: "zone"}},
		{"on_preempt", true, Task{OnPreempt: OnPreemptRequeue}},
	} {
		c.task.ID = "t1"
		f := newFake(t)
		client := f.dial(nil)
		var err error
		if c.gang {
			_, err = client.ScheduleGang(within(t), []Task{{ID: "t0"}, c.task}, false)
		} else {
			_, err = client.Schedule(within(t), c.task)
		}
		if c.field == "" {
			require.NoError(t, err)
			continue
		}
		var refused *wire.Error
		require.ErrorAs(t, err, &refused, "%+v", c.task)
		require.Equal(t, wire.CodeBadRequest, refused.Code)
		require.Equal(t, c.field, refused.Field, "%+v", c.task)
		require.Zero(t, f.live(), "nobody was asked")
	}
}

// Only a drain without a deadline lets everything run to its end.
func TestADeadlineOfZeroIsAtOnce(t *testing.T) {
	f := newFake(t)
	var sent atomic.Uint32
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if c, ok := m.(*wire.Cordon); ok {
			require.True(t, c.Drain)
			sent.Store(c.DeadlineMS)
			p.send(request, &wire.Cordoned{Changed: true})
			return true
		}
		return false
	})
	c := f.dial(nil)
	for deadline, want := range map[time.Duration]uint32{0: 1, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, wire.MaxDrain * time.Millisecond: wire.MaxDrain} {
		_, err := c.DrainWithin(within(t), "w1", "", deadline)
		require.NoError(t, err)
		require.Equal(t, want, sent.Load(), deadline)
	}
	_, err := c.Drain(within(t), "w1", "")
	require.NoError(t, err)
	require.Zero(t, sent.Load(), "no deadline")
}

func TestWhoPreemptsWaitsForTheGraceAtLeast(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	_, err := c.Schedule(within(t), Task{ID: "t1", Preempt: true, Wait: (graceOfFake - 1) * time.Millisecond})
	require.ErrorIs(t, err, ErrBadRequest)
	var refused *wire.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "wait_ms", refused.Field)
	require.EqualValues(t, graceOfFake, refused.Limit)
	require.Zero(t, f.live())

	// What is left of the wait on another connection is still enough.
	var asked atomic.Int32
	f.setBend(func(p *peer, _ uint64, m wire.Message) bool {
		s, ok := m.(*wire.Schedule)
		if !ok {
			return false
		}
		require.True(t, s.Preempt)
		require.EqualValues(t, graceOfFake, s.WaitMS)
		if asked.Add(1) == 1 {
			time.Sleep(5 * time.Millisecond)
			p.nc.Close()
			return true
		}
		return false
	})
	mustSchedule(t, c, Task{ID: "t2", Preempt: true, Wait: graceOfFake * time.Millisecond})
	require.EqualValues(t, 2, asked.Load())
}

func TestOfABatchThoseThatPreemptAskAlone(t *testing.T) {
	f := newFake(t)
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool {
		switch m := m.(type) {
		case *wire.Batch:
			require.Len(t, m.Tasks, 1)
			require.Equal(t, wire.OnPreemptEnd, m.Tasks[0].OnPreempt)
		case *wire.Schedule:
			require.True(t, m.Preempt)
			require.EqualValues(t, 60_000, m.WaitMS)
		}
		return false
	})
	results, err := f.dial(nil).ScheduleAll(within(t), []Task{{ID: "a", Preempt: true, Wait: time.Minute}, {ID: "b", OnPreempt: OnPreemptEnd}})
	require.NoError(t, err)
	for i, id := range []string{"a", "b"} {
		require.NoError(t, results[i].Err)
		require.Equal(t, id, results[i].Lease.Task().ID)
	}
}

func TestASchedulerThatKnowsNoPreemptionIsNotAsked(t *testing.T) {
	f := newFake(t)
	f.old = true
	for field, task := range map[string]Task{
		"preempt":    {ID: "t1", Preempt: true, Wait: time.Minute},
		"on_preempt": {ID: "t1", OnPreempt: OnPreemptNever},
	} {
		_, err := f.dial(nil).Schedule(within(t), task)
		var old *TooOldError
		require.ErrorAs(t, err, &old)
		require.Equal(t, field, old.Field)
	}
	require.Zero(t, f.live())
}

// notice is a push about a lease.
func notice(l *Lease, news wire.News, reason wire.Reason) *wire.Notice {
	n := &wire.Notice{Lease: l.ID(), Task: l.Task().ID, News: news, Reason: reason}
	if news == wire.NewsPreempted {
		n.GraceMS = graceOfFake
	}
	return n
}

func mustClose(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.Fail(t, what)
	}
}

func TestTheNoticeReachesTheHolder(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	for _, on := range []OnPreempt{OnPreemptDefault, OnPreemptRequeue} {
		l := mustSchedule(t, c, Task{ID: "t-" + on.String(), OnPreempt: on})
		told := l.Preempted()
		l.Began()
		require.Zero(t, l.Grace())
		f.push(notice(l, wire.NewsPreempted, wire.ReasonNone))
		mustClose(t, told, "the notice did not come")
		require.InDelta(t, graceOfFake, l.Grace().Milliseconds(), graceOfFake/2)
		f.push(notice(l, wire.NewsPreempted, wire.ReasonNone)) // once more changes nothing
		require.NoError(t, c.Ping(within(t)))
		require.NoError(t, l.Err())
	}
}

// A lease that nobody asked after is forgotten with its begin, and one that
// somebody did with its end.
func TestNothingIsFollowedForEver(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	plain, asked := mustSchedule(t, c, Task{ID: "t1"}), mustSchedule(t, c, Task{ID: "t2"})
	asked.Preempted()
	plain.Began()
	asked.Began()
	require.Nil(t, c.book.leases[plain.ID()])
	require.NotNil(t, c.book.leases[asked.ID()])
	late := plain.Preempted()
	require.NotNil(t, c.book.leases[plain.ID()], "better late than never")
	f.push(notice(plain, wire.NewsPreempted, wire.ReasonNone))
	mustClose(t, late, "the notice did not come")
	for _, l := range []*Lease{plain, asked} {
		f.set(l.ID(), wire.StateEnded, wire.ReasonFailed)
	}
	f.drop() // what is followed is asked after on the next connection
	eventually(t, "forgotten", func() bool {
		c.book.mu.Lock()
		defer c.book.mu.Unlock()
		return len(c.book.leases) == 0 && c.book.follows.first() == nil
	})
	require.Zero(t, plain.Grace(), "it is over")
}

// A push of a kind that this library does not know yet, in the middle of
// answers, costs nothing.
func TestUnknownPushesAreLeftOut(t *testing.T) {
	near, far := net.Pipe()
	played := script(t, far, `
		< 0000000b 98 01 01 01 01 01 a2 6331 a0 90  # hello of c1
		> 0000000d 99 40 01 01 a1 73 01 07 00 cd2710 80 # hello_ok, start ttl 10 s
		> 00000004 93 7f 00 05                       # kind 127, a push
		< 00000005 92 02 cd 1000                     # ping
		> 00000005 92 42 cd 1000 00000004 93 7f 00 05  # pong, and another push
		< 00000005 92 02 cd 2000
		> 00000004 93 7f 00 05 00000005 92 42 cd 2000  # a push, and the pong
	`[1:])
	c, err := NewConn(within(t), near, &wire.Hello{Role: wire.RoleClient, Client: "c1"}, func(m wire.Message) { t.Errorf("pushed %v", m.Kind()) })
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, askOnce(within(t), c, &wire.Ping{}, func(wire.Message) error { return nil }))
	}
	require.NoError(t, <-played)
}

func TestEndedErrorsAreAlreadyEnded(t *testing.T) {
	err := error(&EndedError{Reason: wire.ReasonOK})
	require.ErrorIs(t, err, ErrAlreadyEnded)
	require.False(t, errors.Is(err, ErrBegun))
	require.EqualError(t, err, "dtask: the lease has ended: ok")
}
