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

const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, patience, time.Millisecond, what)
}

// place asks for a place and hands it over.
func place(t *testing.T, c *client.Client, id string, tags ...string) (*client.Lease, wire.Handover) {
	t.Helper()
	l, err := c.Schedule(within(t), client.Task{ID: id, Tags: tags})
	require.NoError(t, err)
	h, err := l.Hand()
	require.NoError(t, err)
	return l, h
}

func stats(t *testing.T, c *client.Client) *wire.Stats {
	t.Helper()
	s, err := c.Stats(within(t))
	require.NoError(t, err)
	return s
}

func TestAWholeLife(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1, "gpu")
	c := s.Dial()
	_, h := place(t, c, "t1", "gpu")
	require.Equal(t, "w1", h.Worker)
	require.Equal(t, "w1:7000", h.Address)
	require.NoError(t, w.Begin(h))
	require.Equal(t, []wire.Handover{h}, w.Running())
	require.Equal(t, uint32(1), stats(t, c).Begun)

	_, err := c.Schedule(within(t), client.Task{ID: "t2", Tags: []string{"gpu"}})
	require.ErrorIs(t, err, client.ErrUnavailable)
	_, err = c.Schedule(within(t), client.Task{ID: "t2", Tags: []string{"tpu"}})
	require.ErrorIs(t, err, client.ErrInfeasible)

	require.NoError(t, w.End(h.Lease, wire.ReasonOK))
	require.Zero(t, stats(t, c).Used)
	require.Error(t, w.Begin(h), "an ended lease must not begin again")
	require.NoError(t, s.Check())
}

func TestTimeStandsStillUntilItIsAdvanced(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	l, _ := place(t, c, "t1")
	lost := l.Lost()
	s.Advance(9 * time.Second)
	require.NoError(t, l.Err())
	s.Advance(11 * time.Second)
	select {
	case <-lost:
	case <-time.After(patience):
		t.Fatal("the lease is not lost")
	}
	require.ErrorIs(t, l.Err(), client.ErrLost)
	require.Zero(t, stats(t, c).Used)
	require.Equal(t, uint32(1), stats(t, c).Online, "workers report while time passes")
}

func TestASilentWorkerGetsNothingAndComesBack(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 2)
	c := s.Dial()
	_, h := place(t, c, "t1")
	require.NoError(t, w.Begin(h))
	w.Silence()
	require.Equal(t, uint32(1), stats(t, c).Suspicious)
	_, err := c.Schedule(within(t), client.Task{ID: "t2"})
	require.ErrorIs(t, err, client.ErrUnavailable)
	s.Advance(30 * time.Second)
	require.Equal(t, uint32(1), stats(t, c).Offline)
	require.Equal(t, uint32(1), stats(t, c).Begun, "silence ends nothing")

	require.NoError(t, w.End(h.Lease, wire.ReasonFailed))
	w.Speak()
	require.Zero(t, stats(t, c).Begun)
	place(t, c, "t2")
}

func TestARestartKeepsWhatRuns(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 2)
	c := s.Dial()
	_, runs := place(t, c, "runs")
	require.NoError(t, w.Begin(runs))
	waits, h := place(t, c, "waits")
	lost := waits.Lost()
	s.Restart()
	<-lost
	require.Error(t, w.Begin(h), "the old life's leases are void")
	eventually(t, "the running lease is known again", func() bool { return stats(t, c).Begun == 1 })
	require.NoError(t, w.End(runs.Lease, wire.ReasonOK))
	require.Zero(t, stats(t, c).Used)
}

func TestWhileItIsDownCallsWait(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Schedule(ctx, client.Task{ID: "t1"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.DialWith(t.Context(), nil)
	require.ErrorIs(t, err, fake.ErrDown)
	s.Restart()
	_, h := place(t, c, "t1")
	require.NoError(t, w.Begin(h))
}

func TestACrashLosesWhatRan(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	_, h := place(t, c, "t1")
	require.NoError(t, w.Begin(h))
	w.Crash()
	require.Empty(t, w.Running())
	require.Zero(t, stats(t, c).Used)
	for e, err := range c.Ended(within(t), client.EndedFilter{}) {
		require.NoError(t, err)
		require.Equal(t, wire.ReasonLost, e.Reason)
		require.Equal(t, h.Lease, e.Lease)
	}
}

func TestAHandedLeaseIsAskedBackFromItsWorker(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	l, h := place(t, c, "t1")
	require.ErrorIs(t, c.Release(within(t), l), client.ErrAskedBack)
	require.Error(t, w.Begin(h))
	require.Zero(t, stats(t, c).Used)
}

func TestRemovedWorkersAreGone(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	require.Same(t, w, s.Worker("w1"))
	w.Remove()
	require.Nil(t, s.Worker("w1"))
	_, err := c.Worker(within(t), w.ID())
	require.ErrorIs(t, err, client.ErrNotFound)
	s.AddWorker("w1", 1)
	place(t, c, "t1")
}

func TestExternalLoadTakesRoom(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorker("w1", 2)
	c := s.Dial()
	w.SetExternal(2)
	_, err := c.Schedule(within(t), client.Task{ID: "t1"})
	require.ErrorIs(t, err, client.ErrUnavailable)
}

func TestBrokenConnectionsAreReplaced(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	l, _ := place(t, c, "t1")
	s.Disconnect()
	again, err := c.Schedule(within(t), client.Task{ID: "t1"})
	require.NoError(t, err)
	require.Same(t, l, again)
}

func TestOwnTimes(t *testing.T) {
	s, err := fake.Start(fake.Config{StartTTL: time.Minute, Retention: time.Hour})
	require.NoError(t, err)
	defer s.Close()
	w := s.AddWorker("w1", 1)
	c := s.Dial()
	l, _ := place(t, c, "t1")
	s.Advance(59 * time.Second)
	require.NoError(t, l.Err())
	w.Silence()
	s.Advance(50 * time.Minute)
	require.Equal(t, uint32(1), stats(t, c).Offline)
	_, err = fake.Start(fake.Config{StartTTL: -time.Second})
	require.ErrorContains(t, err, "StartTTL")
}

// failing records what New would tell a test.
type failing struct{ testing.TB }

func (f failing) Fatalf(string, ...any) { panic("failed") }

func TestMistakesFailTheTest(t *testing.T) {
	s := fake.New(failing{t})
	s.AddWorker("w1", 1)
	require.Panics(t, func() { s.AddWorker("w1", 1) })
	require.Panics(t, func() { s.AddWorker("two words", 1) })
	s.Stop()
	require.Panics(t, func() { s.Dial() })
}
