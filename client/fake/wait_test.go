package fake_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// asked is a Schedule under way.
type asked struct {
	lease *client.Lease
	err   error
}

// ask asks for a place and returns when the task waits at the scheduler.
func ask(t *testing.T, ctx context.Context, c *client.Client, task client.Task) <-chan asked {
	t.Helper()
	out := make(chan asked, 1)
	go func() {
		l, err := c.Schedule(ctx, task)
		out <- asked{l, err}
	}()
	waits(t, c, task.ID, true)
	return out
}

// waits waits until a task stands in the queue, or does not.
func waits(t *testing.T, c *client.Client, task string, want bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		n := 0
		for _, err := range c.Queue(t.Context(), client.QueueFilter{Task: task}) {
			require.NoError(t, err)
			n++
		}
		return (n == 1) == want
	}, patience, time.Millisecond)
}

// full returns a scheduler whose one slot is taken.
func full(t *testing.T) (*fake.Scheduler, *client.Client, *client.Lease) {
	t.Helper()
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	l, err := c.Schedule(t.Context(), client.Task{ID: "first"})
	require.NoError(t, err)
	return s, c, l
}

func TestATaskWaitsForRoom(t *testing.T) {
	s, c, first := full(t)
	low := ask(t, t.Context(), c, client.Task{ID: "low", Wait: time.Hour, Priority: -1})
	another := s.Dial()
	high := ask(t, t.Context(), another, client.Task{ID: "high", Wait: time.Hour, Priority: 1})
	require.NoError(t, c.Release(t.Context(), first))
	got := <-high
	require.NoError(t, got.err)
	require.Equal(t, "w1", got.lease.Worker())
	require.NoError(t, another.Release(t.Context(), got.lease))
	require.NoError(t, (<-low).err)
	require.NoError(t, s.Check())
}

func TestAWaitIsOver(t *testing.T) {
	s, c, first := full(t)
	h, err := first.Hand()
	require.NoError(t, err)
	require.NoError(t, s.Worker("w1").Begin(h))
	late := ask(t, t.Context(), c, client.Task{ID: "late", Wait: time.Minute})
	s.Advance(2 * time.Minute)
	require.ErrorIs(t, (<-late).err, client.ErrUnavailable)
	require.NoError(t, s.Check())
}

func TestACallerThatGoesAwayWaitsNoMore(t *testing.T) {
	s, c, first := full(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := ask(t, ctx, c, client.Task{ID: "gone", Wait: time.Hour})
	cancel()
	require.ErrorIs(t, (<-gone).err, context.Canceled)
	waits(t, c, "gone", false)
	require.NoError(t, c.Release(t.Context(), first))
	_, err := c.Schedule(t.Context(), client.Task{ID: "next"})
	require.NoError(t, err)
	require.NoError(t, s.Check())
}

func TestWaitingTasksAreCancelled(t *testing.T) {
	s, c, _ := full(t)
	a := ask(t, t.Context(), c, client.Task{ID: "a", Wait: time.Hour, Owner: "ann"})
	b := ask(t, t.Context(), c, client.Task{ID: "b", Wait: time.Hour, Owner: "bob"})
	n, err := c.CancelWaiting(t.Context(), client.QueueFilter{Owner: "ann"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorIs(t, (<-a).err, client.ErrCancelled)
	n, err = c.CancelWaiting(t.Context(), client.QueueFilter{Task: "b"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorIs(t, (<-b).err, client.ErrCancelled)
	_, err = c.CancelWaiting(t.Context(), client.QueueFilter{})
	require.ErrorIs(t, err, client.ErrBadRequest)
	require.NoError(t, s.Check())
}

func TestAWaitGoesOnOnAnotherConnection(t *testing.T) {
	s, c, first := full(t)
	w := s.Worker("w1")
	h, err := first.Hand()
	require.NoError(t, err)
	require.NoError(t, w.Begin(h))
	waiting := ask(t, t.Context(), c, client.Task{ID: "waiting", Wait: time.Hour})
	s.Disconnect()
	waits(t, c, "waiting", true)
	require.NoError(t, w.End(first.ID(), wire.ReasonOK))
	require.NoError(t, (<-waiting).err)
}

func TestBatchesAndGangsWait(t *testing.T) {
	s, c, first := full(t)
	type answers struct {
		results []client.Result
		err     error
	}
	all := make(chan answers, 1)
	go func() {
		r, err := c.ScheduleAll(t.Context(), []client.Task{{ID: "a1", Wait: time.Hour}, {ID: "a2", Tags: []string{"fpga"}, Wait: time.Hour}})
		all <- answers{r, err}
	}()
	waits(t, c, "a1", true)
	require.NoError(t, c.Release(t.Context(), first))
	got := <-all
	require.NoError(t, got.err)
	require.NoError(t, got.results[0].Err)
	require.ErrorIs(t, got.results[1].Err, client.ErrInfeasible)

	gang := make(chan error, 1)
	go func() {
		_, err := c.ScheduleGang(t.Context(), []client.Task{{ID: "g1", Wait: time.Hour}, {ID: "g2"}}, false)
		gang <- err
	}()
	waits(t, c, "g1", true)
	s.AddWorker("w2", 1)
	require.NoError(t, c.Release(t.Context(), got.results[0].Lease))
	require.NoError(t, <-gang)
	require.NoError(t, s.Check())
}

// Tasks wait for workers to come if they say so, or if none is known: alone, in a
// batch and as a gang.
func TestTasksWaitForWorkers(t *testing.T) {
	s := fake.New(t)
	c := s.Dial()
	answers := make(chan error, 3)
	go func() {
		results, err := c.ScheduleAll(t.Context(), []client.Task{{ID: "a1", Wait: time.Hour}, {ID: "a2", Wait: time.Hour}})
		for _, r := range results {
			if err == nil {
				err = r.Err
			}
		}
		answers <- err
	}()
	waits(t, c, "a1", true)
	waits(t, c, "a2", true)
	s.AddWorker("w1", 2)
	require.NoError(t, <-answers)

	fpga := client.Task{ID: "b1", Tags: []string{"fpga"}, Wait: time.Hour}
	_, err := c.Schedule(t.Context(), fpga)
	require.ErrorIs(t, err, client.ErrInfeasible)
	fpga.WaitForWorkers = true
	other := fpga
	other.ID = "b2"
	go func() {
		_, err := c.Schedule(t.Context(), fpga)
		answers <- err
	}()
	go func() {
		_, err := c.ScheduleGang(t.Context(), []client.Task{other}, false)
		answers <- err
	}()
	waits(t, c, "b1", true)
	waits(t, c, "b2", true)
	for w, err := range c.Queue(t.Context(), client.QueueFilter{}) {
		require.NoError(t, err)
		require.True(t, w.NoWorker)
	}
	s.AddWorker("w2", 2, "fpga")
	require.NoError(t, <-answers)
	require.NoError(t, <-answers)
	fpga.ID, fpga.Wait = "b3", 0
	_, err = c.Schedule(t.Context(), fpga)
	require.ErrorIs(t, err, client.ErrBadRequest)
	require.NoError(t, s.Check())
}

func TestBadWaits(t *testing.T) {
	_, c, _ := full(t)
	for _, wait := range []time.Duration{-1, 25 * time.Hour} {
		_, err := c.Schedule(t.Context(), client.Task{ID: "x", Wait: wait})
		require.ErrorIs(t, err, client.ErrBadRequest)
		require.ErrorContains(t, err, "wait")
	}
}

// An owner has as many leases as one may have: a further task is refused, or
// waits for one of these, though the worker has room.
func TestAnOwnerHasALimit(t *testing.T) {
	s, err := fake.Start(fake.Config{LeasesPerOwner: 1})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	s.AddWorker("w1", 8)
	c := s.Dial()
	first, err := c.Schedule(t.Context(), client.Task{ID: "first", Owner: "ann", Group: "g"})
	require.NoError(t, err)
	_, err = c.Schedule(t.Context(), client.Task{ID: "second", Owner: "ann"})
	require.ErrorIs(t, err, client.ErrOwnerLimit)
	var refused *wire.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, []any{"owner", uint64(1)}, []any{refused.Field, refused.Limit})

	third := ask(t, t.Context(), c, client.Task{ID: "third", Owner: "ann", Wait: time.Hour})
	for w, err := range c.Queue(t.Context(), client.QueueFilter{}) {
		require.NoError(t, err)
		require.True(t, w.AtLimit)
	}
	many := make(chan []client.Result, 1)
	go func() {
		results, _ := c.ScheduleAll(t.Context(), []client.Task{{ID: "fourth", Owner: "ann", Wait: time.Hour}, {ID: "other", Owner: "bob"}})
		many <- results
	}()
	waits(t, c, "fourth", true)
	n, err := c.CountWaiting(t.Context(), client.QueueFilter{Owner: "ann"})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	n, err = c.CountLeases(t.Context(), client.LeaseFilter{Owner: "ann", Group: "g"})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	require.NoError(t, c.Release(t.Context(), first))
	got := <-third
	require.NoError(t, got.err)
	require.NoError(t, c.Release(t.Context(), got.lease))
	results := <-many
	require.NoError(t, results[0].Err)
	require.NoError(t, results[1].Err)
	n, err = c.CountWaiting(t.Context(), client.QueueFilter{})
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, s.Check())
}
