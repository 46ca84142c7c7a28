package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// Tests of the lists and of the calls of operators, against the fake.

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// collect walks a list to its end.
func collect[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	list(func(row T, err error) bool {
		require.NoError(t, err)
		all = append(all, row)
		return true
	})
	return all
}

func place(t *testing.T, c *client.Client, task client.Task) *client.Lease {
	t.Helper()
	l, err := c.Schedule(within(t), task)
	require.NoError(t, err)
	return l
}

func TestLeasesAreListedPageByPage(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 20)
	c, other := s.Dial(), s.Dial()
	for i := range 7 {
		place(t, c, client.Task{ID: fmt.Sprintf("t%d", i), Owner: "ann", Group: "g"})
	}
	begun := place(t, other, client.Task{ID: "mine", Owner: "bob"})
	h, err := begun.Hand()
	require.NoError(t, err)
	require.NoError(t, s.Worker("w1").Begin(h))

	all := c.Leases(within(t), client.LeaseFilter{Page: 3})
	require.Len(t, collect(t, all), 8)
	require.Len(t, collect(t, all), 8, "a list may be walked again")
	for _, f := range []client.LeaseFilter{{Owner: "bob"}, {Client: other.ID()}, {State: wire.StateBegun}} {
		rows := collect(t, c.Leases(within(t), f))
		require.Len(t, rows, 1, "%+v", f)
		require.Equal(t, begun.ID(), rows[0].Lease)
		require.Equal(t, "w1", rows[0].Worker)
	}
	require.Len(t, collect(t, c.Leases(within(t), client.LeaseFilter{Group: "g", Worker: "w1"})), 7)
	require.Empty(t, collect(t, c.Leases(within(t), client.LeaseFilter{Worker: "w2"})))
	for range all {
		break // a loop may end early
	}
}

func TestTagsAreListedInOrder(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1, "gpu", "cuda-12.0")
	s.AddWorker("w2", 1, "gpu")
	require.Equal(t, []wire.TagInfo{{Tag: "cuda-12.0", Workers: 1}, {Tag: "gpu", Workers: 2}}, collect(t, s.Dial().Tags(within(t))))
}

func TestEndedLeasesComeNewestFirst(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	for i := range 5 {
		l := place(t, c, client.Task{ID: fmt.Sprintf("t%d", i)})
		require.NoError(t, c.Release(within(t), l))
	}
	var tasks []string
	for _, e := range collect(t, c.Ended(within(t), client.EndedFilter{Page: 2})) {
		require.Equal(t, wire.ReasonReleased, e.Reason)
		tasks = append(tasks, e.Task)
	}
	require.Equal(t, []string{"t4", "t3", "t2", "t1", "t0"}, tasks)
	require.Len(t, collect(t, c.Ended(within(t), client.EndedFilter{Task: "t3", Worker: "w1"})), 1)
}

func TestCordonsAndEvents(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c, err := s.DialWith(t.Context(), &client.Options{ClientID: "ann@desk"})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })

	for _, want := range []bool{true, false} {
		changed, err := c.Cordon(within(t), "w1", "driver upgrade")
		require.NoError(t, err)
		require.Equal(t, want, changed)
	}
	w, err := c.Worker(within(t), "w1")
	require.NoError(t, err)
	require.Equal(t, []string{"driver upgrade", "ann@desk"}, []string{w.Info.CordonReason, w.Info.CordonBy})
	_, err = c.Schedule(within(t), client.Task{ID: "t1"})
	require.ErrorIs(t, err, client.ErrUnavailable)
	changed, err := c.Uncordon(within(t), "w1", "done")
	require.NoError(t, err)
	require.True(t, changed)
	changed, err = c.Drain(within(t), "w1", "reboot")
	require.NoError(t, err)
	require.True(t, changed)
	w, err = c.Worker(within(t), "w1")
	require.NoError(t, err)
	require.Zero(t, w.Info.DeadlineMS, "no deadline")
	changed, err = c.DrainWithin(within(t), "w1", "reboot", time.Hour)
	require.NoError(t, err)
	require.True(t, changed)
	w, err = c.Worker(within(t), "w1")
	require.NoError(t, err)
	require.Equal(t, []string{"cordoned", "drained"}, w.Info.Flags, "nothing runs there")
	require.InDelta(t, time.Hour.Milliseconds(), w.Info.DeadlineMS, 60_000)
	for _, d := range []time.Duration{-1, 31 * 24 * time.Hour} {
		_, err = c.DrainWithin(within(t), "w1", "", d)
		require.ErrorIs(t, err, client.ErrBadRequest)
	}
	_, err = c.Uncordon(within(t), "w1", "")
	require.NoError(t, err)
	_, err = c.Cordon(within(t), "nobody", "")
	require.ErrorIs(t, err, client.ErrNotFound)
	_, err = c.Cordon(within(t), "w1", strings.Repeat("x", wire.MaxReason+1))
	require.ErrorIs(t, err, client.ErrBadRequest)

	events := collect(t, c.Events(within(t), 0))
	require.Equal(t, []string{"joined", "cordoned", "uncordoned", "draining", "drained", "draining", "drained", "uncordoned"}, whats(events))
	require.Equal(t, "ann@desk", events[1].By)
	require.Equal(t, []string{"uncordoned"}, whats(collect(t, c.Events(within(t), events[6].Number))))
	require.Equal(t, whats(events), whats(collect(t, c.Events(within(t), 1000))), "a number of another life")
}

func whats(events []wire.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.What)
	}
	return list
}

func TestFollowGoesOnOverARestart(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	seen := make(chan wire.Event, 64)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		for e, err := range c.Follow(ctx, 0, time.Millisecond) {
			if err != nil {
				ended <- err
				return
			}
			seen <- e
		}
	}()
	next := func() string { return (<-seen).What }
	require.Equal(t, "joined", next())
	w.Silence()
	require.Equal(t, "suspicious", next())
	w.Speak()
	require.Equal(t, "back", next())
	s.Restart()
	require.Equal(t, "joined", next())
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestReleaseByID(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 4)
	c, other := s.Dial(), s.Dial()
	free := place(t, c, client.Task{ID: "free", TTL: time.Minute})
	require.NoError(t, other.ReleaseID(within(t), free.ID(), false))
	require.ErrorIs(t, other.ReleaseID(within(t), free.ID(), false), client.ErrAlreadyEnded)
	unknown := free.ID()
	unknown.Counter += 1 << 32
	require.ErrorIs(t, other.ReleaseID(within(t), unknown, false), client.ErrNotFound)

	runs := place(t, c, client.Task{ID: "runs"})
	h, err := runs.Hand()
	require.NoError(t, err)
	require.NoError(t, w.Begin(h))
	require.ErrorIs(t, other.ReleaseID(within(t), runs.ID(), true), client.ErrBegun)

	handed := place(t, c, client.Task{ID: "handed", TTL: time.Minute})
	require.ErrorIs(t, other.ReleaseID(within(t), handed.ID(), true), client.ErrAskedBack)

	held := place(t, c, client.Task{ID: "held"})
	require.NoError(t, c.ReleaseID(within(t), held.ID(), false))
	_, err = held.Hand()
	require.ErrorIs(t, err, client.ErrReleased, "a lease that is held here is never handed over afterwards")
}

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex // Guards buf.
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

func TestTheLoggerIsTold(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	log := &lines{}
	c, err := s.DialWith(t.Context(), &client.Options{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	place(t, c, client.Task{ID: "t1"})
	s.Stop()
	asked := make(chan error, 1)
	go func() { asked <- c.Ping(within(t)) }()
	for _, text := range []string{
		`level=INFO msg="dtask: connected" address=fake server=fake`,
		`level=WARN msg="dtask: the connection is lost" address=fake`,
		`level=WARN msg="dtask: no scheduler answers"`,
	} {
		require.Eventually(t, func() bool { return log.has(text) }, patience, time.Millisecond, text)
	}
	s.Restart()
	require.NoError(t, <-asked)
	lost := `level=WARN msg="dtask: a lease is lost"`
	require.Eventually(t, func() bool { return log.has(lost) }, patience, time.Millisecond, lost)
	require.True(t, log.has("task=t1 worker=w1"))
}

func TestARepeatedRequestIsLogged(t *testing.T) {
	s := fake.New(t)
	log := &lines{}
	c, err := s.DialWith(t.Context(), &client.Options{
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for !log.has("a request is sent again") {
				if err := c.Ping(within(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	require.Eventually(t, func() bool {
		s.Disconnect()
		return log.has("a request is sent again")
	}, patience, time.Millisecond)
	all.Wait()
}

func TestListsEndWithTheirContext(t *testing.T) {
	s := fake.New(t)
	c := s.Dial()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, list := range []func(yield func(error) bool){
		each(c.Leases(ctx, client.LeaseFilter{})), each(c.Tags(ctx)), each(c.Events(ctx, 0)),
		each(c.Ended(ctx, client.EndedFilter{})), each(c.Workers(ctx, client.Filter{})), each(c.Follow(ctx, 0, time.Second)),
	} {
		errs := slices.Collect(list)
		require.Len(t, errs, 1)
		require.True(t, errors.Is(errs[0], context.Canceled))
	}
}

// each reduces a list to its errors.
func each[T any](list func(func(T, error) bool)) func(func(error) bool) {
	return func(yield func(error) bool) {
		list(func(_ T, err error) bool { return yield(err) })
	}
}
