package fake_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// tasksOf returns tasks that are alike but for their ids, t-0 and so on.
func tasksOf(n int, like client.Task) []client.Task {
	tasks := make([]client.Task, n)
	for i := range tasks {
		tasks[i] = like
		tasks[i].ID = fmt.Sprintf("t-%d", i)
	}
	return tasks
}

// inTime runs a test in virtual time, in which the scheduler's passes as well.
func inTime(t *testing.T, test func(t *testing.T, s *fake.Scheduler)) {
	synctest.Test(t, func(t *testing.T) {
		s := fake.New(t)
		stop := make(chan struct{})
		t.Cleanup(func() { close(stop) })
		go func() {
			const tick = 10 * time.Millisecond
			for {
				select {
				case <-time.After(tick):
					s.Advance(tick)
				case <-stop:
					return
				}
			}
		}()
		test(t, s)
	})
}

// begins begins the task of a lease on its worker: the proof that it lives.
func begins(t *testing.T, s *fake.Scheduler, l *client.Lease) {
	t.Helper()
	require.True(t, time.Now().Before(l.BeginBy()), "%v must have begun %v ago", l, time.Since(l.BeginBy()))
	h, err := l.Hand()
	require.NoError(t, err)
	require.NoError(t, s.Worker(l.Worker()).Begin(h))
	l.Began()
}

// lives are the ways in which the lease of a task lives until its begin: each is
// shorter than what the tests wait for.
var lives = map[string]client.Task{
	"ttl":          {Wait: time.Hour, TTL: 2 * time.Second},
	"start within": {Wait: time.Hour, StartWithin: 2 * time.Second},
}

func TestEachResultComesAsItIsSettled(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 2)
	c := s.Dial()
	var got []int
	var held []*client.Lease
	for i, r := range c.ScheduleEach(t.Context(), tasksOf(5, client.Task{Wait: time.Hour})) {
		require.NoError(t, r.Err)
		require.Equal(t, fmt.Sprintf("t-%d", i), r.Lease.Task().ID)
		got, held = append(got, i), append(held, r.Lease)
		if len(got) < 2 {
			continue
		}
		for _, later := range []string{"t-2", "t-3", "t-4"}[len(got)-2:] {
			waits(t, c, later, true)
		}
		require.NoError(t, c.Release(t.Context(), held[0]), "the next comes by this alone")
		held = held[1:]
	}
	require.Equal(t, []int{0, 1, 2, 3, 4}, got, "they wait in their order")
	require.NoError(t, s.Check())
}

func TestEachJudgesEveryTaskForItself(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1, "a")
	c := s.Dial()
	tasks := []client.Task{
		{ID: "placed"}, {ID: "busy"}, {ID: "odd", Tags: []string{"b"}, Wait: time.Hour}, {ID: ""}, {ID: "placed"},
	}
	got := map[int]client.Result{}
	for i, r := range c.ScheduleEach(t.Context(), tasks) {
		got[i] = r
	}
	require.Len(t, got, len(tasks))
	require.NoError(t, got[0].Err)
	require.Same(t, got[0].Lease, got[4].Lease, "a repeat")
	require.ErrorIs(t, got[1].Err, client.ErrUnavailable)
	require.ErrorIs(t, got[2].Err, client.ErrInfeasible)
	require.ErrorIs(t, got[3].Err, client.ErrBadRequest)
	for range c.ScheduleEach(t.Context(), nil) {
		t.Fail()
	}
}

// However long the last ones wait: what is answered as a success can begin.
func TestPlacesOfABatchLiveUntilTheCallerHasThem(t *testing.T) {
	for name, like := range lives {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *fake.Scheduler) {
				s.AddWorker("w1", 33)
				other := s.Dial()
				taken, err := other.ScheduleAll(t.Context(), []client.Task{{ID: "a"}, {ID: "b"}, {ID: "c"}})
				require.NoError(t, err)
				c := s.Dial()
				time.AfterFunc(50*time.Second, func() {
					for _, r := range taken {
						_ = other.Release(context.Background(), r.Lease)
					}
				})
				start := time.Now()
				results, err := c.ScheduleAll(t.Context(), tasksOf(33, like))
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Since(start), 50*time.Second, "the first ones were not waited out")
				st, err := c.Stats(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, 36, st.Counters["granted"], "a place was given up and asked for again")
				for _, r := range results {
					require.NoError(t, r.Err)
					begins(t, s, r.Lease)
				}
				require.NoError(t, s.Check())
			})
		})
	}
}

// A caller that takes its time over one lease finds the next ones alive.
func TestPlacesThatWereNotTakenYetLive(t *testing.T) {
	for name, like := range lives {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *fake.Scheduler) {
				s.AddWorker("w1", 4)
				n := 0
				for _, r := range s.Dial().ScheduleEach(t.Context(), tasksOf(4, like)) {
					require.NoError(t, r.Err)
					begins(t, s, r.Lease)
					time.Sleep(30 * time.Second)
					n++
				}
				require.Equal(t, 4, n)
			})
		})
	}
}

// Leases with a TTL that the caller has are renewed as long as it waits for the
// others, and no longer.
func TestATTLIsRenewedUntilTheLoopEnds(t *testing.T) {
	inTime(t, func(t *testing.T, s *fake.Scheduler) {
		s.AddWorker("w1", 1)
		c := s.Dial()
		var first *client.Lease
		for i, r := range c.ScheduleEach(t.Context(), tasksOf(2, client.Task{Wait: time.Minute, TTL: 2 * time.Second})) {
			if i == 0 {
				first = r.Lease
				continue
			}
			require.ErrorIs(t, r.Err, client.ErrUnavailable, "the room of the first came free")
		}
		require.NoError(t, first.Err())
		left := time.Until(first.BeginBy())
		require.Greater(t, left, time.Second)
		time.Sleep(left + time.Millisecond)
		require.ErrorIs(t, first.Err(), client.ErrLost)
		_, err := first.Hand()
		require.ErrorIs(t, err, client.ErrLost)
	})
}

// A scheduler that was started anew knows no lease that has not begun: those
// that the caller does not have yet are asked for again.
func TestPlacesThatAreForgottenAreAskedForAgain(t *testing.T) {
	for name, like := range lives {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *fake.Scheduler) {
				s.AddWorker("w1", 3)
				other := s.Dial()
				taken, err := other.Schedule(t.Context(), client.Task{ID: "a"})
				require.NoError(t, err)
				begins(t, s, taken)
				c := s.Dial()
				time.AfterFunc(5*time.Second, s.Restart)
				time.AfterFunc(20*time.Second, func() { _ = s.Worker("w1").End(taken.ID(), wire.ReasonOK) })
				results, err := c.ScheduleAll(t.Context(), tasksOf(3, like))
				require.NoError(t, err)
				for _, r := range results {
					require.NoError(t, r.Err)
					begins(t, s, r.Lease)
				}
			})
		})
	}
}

// The same in the moment in which the connection is back and the room of the
// forgotten leases goes to the last task: what settles the call must not have
// the others answered as they were.
func TestAForgottenPlaceIsNoSuccess(t *testing.T) {
	for name, like := range lives {
		like.Wait = 0
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *fake.Scheduler) {
				s.AddWorker("w1", 2)
				n := 0
				for i, r := range s.Dial().ScheduleEach(t.Context(), tasksOf(2, like)) {
					if i == 0 {
						require.NoError(t, r.Err)
						s.Restart()
						synctest.Wait() // until the client has noticed
					} else {
						require.ErrorIs(t, r.Err, client.ErrLost)
						require.Nil(t, r.Lease)
					}
					n++
				}
				require.Equal(t, 2, n)
			})
		})
	}
}

// Without a connection leases are over when their time has passed; what cannot
// be asked for again is a failure.
func TestPlacesAreOverWithoutAScheduler(t *testing.T) {
	for name, like := range lives {
		like.Wait = 0
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *fake.Scheduler) {
				s.AddWorker("w1", 3)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				n := 0
				for i, r := range s.Dial().ScheduleEach(ctx, tasksOf(3, like)) {
					if i == 0 {
						require.NoError(t, r.Err)
						s.Stop()
						time.Sleep(10 * time.Second)
					} else {
						require.ErrorIs(t, r.Err, client.ErrLost)
					}
					n++
				}
				require.Equal(t, 3, n)
			})
		})
	}
}

func TestALoopThatIsLeftEarlyGivesTheRestBack(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 3)
	c := s.Dial()
	var first *client.Lease
	for _, r := range c.ScheduleEach(t.Context(), tasksOf(6, client.Task{Wait: time.Hour})) {
		require.NoError(t, r.Err)
		first = r.Lease
		waits(t, c, "t-5", true)
		break
	}
	waits(t, c, "t-5", false)
	require.Eventually(t, func() bool {
		st, err := c.Stats(t.Context())
		require.NoError(t, err)
		return st.Granted == 1 && st.AskedBack == 0
	}, patience, time.Millisecond)
	require.NoError(t, first.Err())
	n, err := c.CountWaiting(t.Context(), client.QueueFilter{})
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, s.Check())
}

// A lease that a task held before is known to somebody else.
func TestALoopThatIsLeftEarlyKeepsWhatOthersHave(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 3)
	var c [2]*client.Client
	for i := range c {
		var err error
		c[i], err = s.DialWith(t.Context(), &client.Options{ClientID: "ann"})
		require.NoError(t, err)
		defer c[i].Close()
	}
	others, err := c[0].Schedule(t.Context(), client.Task{ID: "t-1", TTL: time.Hour})
	require.NoError(t, err)
	for i, r := range c[1].ScheduleEach(t.Context(), tasksOf(3, client.Task{TTL: time.Hour})) {
		require.NoError(t, r.Err)
		require.Zero(t, i)
		break
	}
	require.NoError(t, c[1].Close(), "with what it gave back")
	st, err := c[0].Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, st.Granted)
	begins(t, s, others)
}

func TestABatchIsInterrupted(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	placed, ended := 0, 0
	for _, r := range c.ScheduleEach(ctx, tasksOf(5, client.Task{Wait: time.Hour})) {
		if r.Err == nil {
			placed++
			waits(t, c, "t-4", true)
			cancel()
			continue
		}
		require.ErrorIs(t, r.Err, context.Canceled)
		ended++
	}
	require.Equal(t, []int{1, 4}, []int{placed, ended})
}

func TestMoreTasksWaitThanMayAtOnce(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	next := 0
	for i, r := range c.ScheduleEach(t.Context(), tasksOf(1500, client.Task{Wait: time.Hour})) {
		require.NoError(t, r.Err)
		require.Equal(t, next, i)
		if next++; next == 1 {
			waits(t, c, "t-1024", true)
		}
		require.NoError(t, c.Release(t.Context(), r.Lease))
	}
	require.Equal(t, 1500, next)
}

func TestReleaseAll(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 5)
	c := s.Dial()
	results, err := c.ScheduleAll(t.Context(), tasksOf(5, client.Task{}))
	require.NoError(t, err)
	var leases []*client.Lease
	for _, r := range results {
		leases = append(leases, r.Lease)
	}
	begins(t, s, leases[0])
	_, err = leases[1].Hand()
	require.NoError(t, err)
	require.NoError(t, c.Release(t.Context(), leases[2]))
	err = c.ReleaseAll(t.Context(), leases)
	require.ErrorIs(t, err, client.ErrBegun)
	require.NotErrorIs(t, err, client.ErrAskedBack, "the worker gives that back")
	require.Eventually(t, func() bool {
		st, err := c.Stats(t.Context())
		require.NoError(t, err)
		return st.Granted+st.AskedBack == 0 && st.Begun == 1
	}, patience, time.Millisecond)
	for _, l := range leases[1:] {
		require.ErrorIs(t, l.Err(), client.ErrReleased)
	}
	require.NoError(t, w.End(leases[0].ID(), wire.ReasonOK))
	require.NoError(t, c.ReleaseAll(t.Context(), leases), "nothing is left to release")
	require.Error(t, s.Dial().ReleaseAll(t.Context(), leases), "leases of another client")
}
