package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// What an agent does after something has gone wrong.

// A disk that failed once may have lost what it was given, so nothing that is
// written later counts as stored.
func TestASyncThatFailsIsFinal(t *testing.T) {
	s, _, err := openStore(t.TempDir(), "w1")
	require.NoError(t, err)
	good := s.file
	in, out, err := os.Pipe() // takes writes, and cannot be synced
	require.NoError(t, err)
	defer in.Close()
	s.file = out
	begin := func(n uint64) error {
		h := wire.Handover{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: n}, Worker: "w1", Incarnation: 1, Task: "t"}
		return s.sync(s.begun(&h, &watch{Token: "p"}))
	}
	failed := begin(1)
	require.Error(t, failed)
	s.file = good
	require.Equal(t, failed, begin(2))
	require.Error(t, s.close())
	require.NoError(t, out.Close())
}

// A state directory that cannot be used is not kept from others.
func TestAStoreThatIsRefusedGivesItsLockBack(t *testing.T) {
	dir := t.TempDir()
	s, _, err := openStore(dir, "w1")
	require.NoError(t, err)
	require.NoError(t, s.close())
	_, _, err = openStore(dir, "w2")
	require.ErrorContains(t, err, `it belongs to the worker "w1"`)
	s, _, err = openStore(dir, "w1")
	require.NoError(t, err)
	require.NoError(t, s.close())
}

// An end that a registration has acknowledged leaves the state directory, too.
func TestARegistrationClearsTheStateDirectory(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url(), keeps(t.TempDir()))
		p, _ := f.admit()
		connected(t, a)
		for n := range uint64(2) {
			_, err := a.Begin(handover(a, n+1), Caller{})
			require.NoError(t, err)
			await[*wire.Begun](p)
		}
		require.NoError(t, a.End(handover(a, 1).Lease, wire.ReasonOK))
		await[*wire.End](p)
		p.conn.Close()
		_, again := f.admit()
		require.Equal(t, map[uint64]wire.Reason{1: wire.ReasonOK, 2: wire.ReasonNone}, listed(again))
		store := a.side.(*native).store
		require.Eventually(t, func() bool {
			store.mu.Lock()
			defer store.mu.Unlock()
			return len(store.leases) == 1 && store.leases[handover(a, 2).Lease] != nil
		}, patience, time.Millisecond)
	})
}

// An end that the scheduler refuses is no end that it knows of.
func TestARefusedEndIsRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		task, err := a.Begin(handover(a, 1), Caller{})
		require.NoError(t, err)
		require.NoError(t, task.End(wire.ReasonOK))
		await[*wire.Begun](p)
		first := await[*wire.End](p).Lease
		p.answer(&wire.Error{Code: wire.CodeBusy, Message: "not now"})
		require.Equal(t, first, await[*wire.End](p).Lease)
		require.Equal(t, 1, a.Status().Unacknowledged)
		p.answer(&wire.Ended{})
		require.Eventually(t, func() bool { return a.Status().Unacknowledged == 0 }, patience, time.Millisecond)
	})
}

// A scheduler that another has replaced is left.
func TestAnOlderSchedulerIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		f.grantor.Epoch = 2
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		p.conn.Close()
		p, m := f.greet()
		require.EqualValues(t, 2, m.Promised.Epoch)
		p.answer(&wire.Registered{Handle: 5, Grantor: wire.Grantor{Epoch: 1, Instance: 9}, HeartbeatMS: beatMS})
		p.gone()
		require.Eventually(t, func() bool { return strings.Contains(a.Status().LastError, errOlder.Error()) }, patience, time.Millisecond)
		require.Equal(t, f.grantor, a.Status().Grantor)
	})
}

// A notice for an earlier registration preempts nothing.
func TestANoticeOfAnotherHandleIsIgnored(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		p, _ := f.admit()
		connected(t, a)
		var tasks []*Task
		for n := range uint64(2) {
			task, err := a.Begin(handover(a, n+1), Caller{})
			require.NoError(t, err)
			await[*wire.Begun](p)
			tasks = append(tasks, task)
		}
		p.push(&wire.Preempt{Handle: 6, Lease: tasks[0].Handover().Lease, GraceMS: 60_000})
		p.push(&wire.Preempt{Handle: 5, Lease: tasks[1].Handover().Lease, GraceMS: 60_000})
		select {
		case <-tasks[1].Preempted():
		case <-time.After(patience):
			require.Fail(t, "the task is not told")
		}
		require.False(t, closed(tasks[0].Preempted()))
	})
}

// What is left of a preempted task that ends early keeps the grace it was given.
func TestTheGraceOutlastsTheEnd(t *testing.T) {
	a := &Agent{poked: make(chan struct{}, 1)}
	now := time.Now()
	for _, c := range []struct {
		name   string
		killAt time.Time
		reapAt time.Time
	}{
		{"it was not preempted", time.Time{}, now.Add(reapGrace)},
		{"its grace is longer", now.Add(time.Minute), now.Add(time.Minute)},
		{"its grace is nearly over", now.Add(time.Millisecond), now.Add(reapGrace)},
	} {
		task := &Task{agent: a, killAt: c.killAt}
		task.finish(wire.ReasonOK, now)
		require.Equal(t, c.reapAt, task.reapAt, c.name)
		task.finish(wire.ReasonLost, now.Add(time.Hour))
		require.Equal(t, wire.ReasonOK, task.ending, "the first outcome stays")
		require.Equal(t, c.reapAt, task.reapAt, c.name)
	}
}

// Two agents with one worker id take turns slowly, and a scheduler that names a
// time is not asked before it.
func TestPausesAfterARefusal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := startAgent(t, newFake(t).url(), func(c *Config) { c.backoff = backoff }).side.(*native)
		const draws = 64
		longest := time.Duration(0)
		for range draws {
			longest = max(longest, n.pause(1, errConflict))
		}
		require.Greater(t, longest, maxBackoff/4)
		for range draws {
			named := n.pause(1, &wire.Error{Code: wire.CodeBusy, RetryAfterMS: 9_000})
			require.GreaterOrEqual(t, named, 9*time.Second)
			require.LessOrEqual(t, n.pause(1, &wire.Error{Code: wire.CodeBusy, RetryAfterMS: 1 << 31}), 2*maxBackoff)
		}
	})
}
