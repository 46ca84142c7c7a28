package fake_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// runs schedules a task and begins it.
func runs(t *testing.T, s *fake.Scheduler, c *client.Client, task client.Task) *client.Lease {
	t.Helper()
	l, err := c.Schedule(within(t), task)
	require.NoError(t, err)
	h, err := l.Hand()
	require.NoError(t, err)
	require.NoError(t, s.Worker(l.Worker()).Begin(h))
	l.Began()
	return l
}

// next calls Requeued in the background.
func next(ctx context.Context, c *client.Client, l *client.Lease) <-chan asked {
	out := make(chan asked, 1)
	go func() {
		l, err := c.Requeued(ctx, l)
		out <- asked{l, err}
	}()
	return out
}

func TestATaskMakesRoomAndGoesRound(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c, boss := s.Dial(), s.Dial()
	low := runs(t, s, c, client.Task{ID: "low", Priority: -1, OnPreempt: client.OnPreemptRequeue})
	again := next(within(t), c, low)
	behind := ask(t, within(t), c, client.Task{ID: "behind", Priority: -1, Wait: time.Hour})

	high := ask(t, within(t), boss, client.Task{ID: "high", Preempt: true, Wait: time.Minute})
	s.Advance(time.Second)
	require.True(t, w.Preempted(low.ID()))
	<-low.Preempted()
	require.InDelta(t, 30, low.Grace().Seconds(), 5)
	require.Empty(t, high, "the room comes with its end")
	require.NoError(t, w.End(low.ID(), wire.ReasonFailed))
	urgent := <-high
	require.NoError(t, urgent.err)
	require.Empty(t, again)
	waits(t, c, "low", true)
	require.NoError(t, boss.Release(within(t), urgent.lease))
	got := <-again
	require.NoError(t, got.err)
	require.NotEqual(t, low.ID(), got.lease.ID())
	require.Empty(t, behind, "it came later")
	st := stats(t, c)
	require.EqualValues(t, 1, st.Counters["preempted"])
	require.EqualValues(t, 1, st.Counters["requeued"])
	require.NoError(t, s.Check())
}

func TestWhoGoesOnBeyondTheGraceIsKilled(t *testing.T) {
	s, err := fake.Start(fake.Config{Grace: 2 * time.Second})
	require.NoError(t, err)
	defer s.Close()
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	low := runs(t, s, c, client.Task{ID: "low", OnPreempt: client.OnPreemptEnd, Priority: -1})
	_, err = c.Schedule(within(t), client.Task{ID: "hasty", Preempt: true, Wait: time.Second})
	require.ErrorIs(t, err, client.ErrBadRequest)
	high := ask(t, within(t), c, client.Task{ID: "high", Preempt: true, Wait: time.Minute})
	s.Advance(time.Second)
	require.Len(t, w.Running(), 1)
	s.Advance(3 * time.Second)
	require.Empty(t, w.Running())
	require.False(t, w.Preempted(low.ID()))
	require.NoError(t, (<-high).err)
	for e, err := range c.Ended(within(t), client.EndedFilter{Task: "low"}) {
		require.NoError(t, err)
		require.Equal(t, wire.ReasonPreempted, e.Reason)
	}
	require.NoError(t, s.Check())
}

// A client that is away when its task makes room loses the place, not the task.
func TestAClientThatWasAwayAsksAgain(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	boss := s.Dial()
	var last net.Conn
	down := make(chan struct{})
	c, err := client.Dial(within(t), []string{fake.Address}, &client.Options{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		if last != nil {
			<-down
		}
		nc, err := s.DialContext(ctx, addr)
		last = nc
		return nc, err
	}})
	require.NoError(t, err)
	defer c.Close()
	low := runs(t, s, c, client.Task{ID: "low", Priority: -1, OnPreempt: client.OnPreemptRequeue})
	again := next(within(t), c, low)
	high := ask(t, within(t), boss, client.Task{ID: "high", Preempt: true, Wait: time.Hour})
	s.Advance(time.Second)
	<-low.Preempted()
	require.NoError(t, last.Close())
	require.NoError(t, w.End(low.ID(), wire.ReasonLost))
	urgent := <-high
	require.NoError(t, urgent.err)
	waits(t, boss, "low", false)
	close(down)
	waits(t, boss, "low", true)
	require.NoError(t, boss.Release(within(t), urgent.lease))
	require.NoError(t, (<-again).err)
	require.NoError(t, s.Check())
}

// A scheduler that was started anew knows the task by its worker's list alone,
// and cannot put it back: its client asks again.
func TestATaskOfAFormerSchedulerGoesRound(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	low := runs(t, s, c, client.Task{ID: "low", Priority: -1, OnPreempt: client.OnPreemptRequeue})
	again := next(within(t), c, low)
	s.Restart()
	eventually(t, "the running lease is known again", func() bool { return stats(t, c).Begun == 1 })
	high := ask(t, within(t), s.Dial(), client.Task{ID: "high", Preempt: true, Wait: time.Hour})
	s.Advance(time.Second)
	<-low.Preempted()
	require.NoError(t, w.End(low.ID(), wire.ReasonFailed))
	require.NoError(t, (<-high).err)
	waits(t, c, "low", true)
	s.AddWorker("w2", 1)
	got := <-again
	require.NoError(t, got.err)
	require.Equal(t, "w2", got.lease.Worker())
	require.NoError(t, s.Check())
}

// A task that has not begun is asked back at once.
func TestATaskThatHasNotBegunMakesRoom(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	low, err := c.Schedule(within(t), client.Task{ID: "low", Priority: -1, OnPreempt: client.OnPreemptRequeue})
	require.NoError(t, err)
	again := next(within(t), c, low)
	high := ask(t, within(t), c, client.Task{ID: "high", Preempt: true, Wait: time.Minute})
	s.Advance(time.Second)
	require.NoError(t, (<-high).err)
	<-low.Lost()
	waits(t, c, "low", true)
	s.AddWorker("w2", 1)
	require.NoError(t, (<-again).err)
	require.NoError(t, s.Check())
}

// The caller that gives up takes its task out of the queue.
func TestWhoWaitsForARequeuedTaskMayGiveUp(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	low := runs(t, s, c, client.Task{ID: "low", Priority: -1, OnPreempt: client.OnPreemptRequeue})
	high := ask(t, within(t), c, client.Task{ID: "high", Preempt: true, Wait: time.Minute})
	s.Advance(time.Second)
	require.NoError(t, w.End(low.ID(), wire.ReasonFailed))
	require.NoError(t, (<-high).err)
	waits(t, c, "low", true) // on its own, until somebody asks
	s.Advance(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	again := next(ctx, c, low)
	eventually(t, "taken over", func() bool {
		for q, err := range c.Queue(within(t), client.QueueFilter{Task: "low"}) {
			return err == nil && q.LeftMS > wire.MaxWait-1000
		}
		return false
	})
	cancel()
	require.ErrorIs(t, (<-again).err, context.Canceled)
	waits(t, c, "low", false)
	require.NoError(t, s.Check())
}
