package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// TestAWorkerThatRefusesIsAvoided: each refusal leads to another worker, and
// the fourth to an error.
func TestAWorkerThatRefusesIsAvoided(t *testing.T) {
	s := fake.New(t)
	for i := range 5 {
		s.AddWorker(fmt.Sprintf("w%d", i), 1)
	}
	c := s.Dial()
	l := place(t, c, client.Task{ID: "t1"})
	seen := []string{l.Worker()}
	for range client.MaxRefusals {
		_, err := l.Hand()
		require.NoError(t, err)
		next, err := c.ScheduleElsewhere(within(t), l)
		require.NoError(t, err)
		require.NotContains(t, seen, next.Worker())
		require.Equal(t, "t1", next.Task().ID)
		require.Error(t, l.Err())
		l, seen = next, append(seen, next.Worker())
	}
	require.Equal(t, seen[:3], l.Task().NotWorkers)
	_, err := c.ScheduleElsewhere(within(t), l)
	require.ErrorIs(t, err, client.ErrRefused)
	require.NoError(t, l.Err(), "the last lease is the caller's")
	require.EqualValues(t, 1, takenSlots(t, c), "one lease is left")
}

// takenSlots counts the slots that leases take.
func takenSlots(t *testing.T, c *client.Client) uint64 {
	st, err := c.Stats(within(t))
	require.NoError(t, err)
	return st.Used
}

// TestAFullAgentHasEndedTheLease: its refusal ends the lease as refused, before
// the client says a word.
func TestAFullAgentHasEndedTheLease(t *testing.T) {
	s := fake.New(t)
	w1 := s.AddWorker("w1", 2)
	c := s.Dial()
	first, second := place(t, c, client.Task{ID: "a"}), place(t, c, client.Task{ID: "b"})
	s.AddWorker("w2", 1)
	w1.SetExternal(0)
	h, err := first.Hand()
	require.NoError(t, err)
	require.NoError(t, w1.Begin(h))
	// A handover that asks for more than is left is refused as full.
	h, err = second.Hand()
	require.NoError(t, err)
	h.Exclusive = true
	require.ErrorIs(t, w1.Begin(h), ledger.ErrFull)
	next, err := c.ScheduleElsewhere(within(t), second)
	require.NoError(t, err)
	require.Equal(t, "w2", next.Worker())
	ended := collect(t, c.Ended(within(t), client.EndedFilter{Task: "b"}))
	require.Equal(t, wire.ReasonRefused, ended[0].Reason)
}

// TestATaskThatRunsIsNotScheduledElsewhere: the begin was on its way.
func TestATaskThatRunsIsNotScheduledElsewhere(t *testing.T) {
	s := fake.New(t)
	w1 := s.AddWorker("w1", 1)
	s.AddWorker("w2", 1)
	c := s.Dial()
	l := place(t, c, client.Task{ID: "t1", NotWorkers: []string{"w2"}})
	h, err := l.Hand()
	require.NoError(t, err)
	require.NoError(t, w1.Begin(h))
	_, err = c.ScheduleElsewhere(within(t), l)
	require.ErrorIs(t, err, client.ErrBegun)
	require.Len(t, w1.Running(), 1)
}

// TestAWorkerThatIsSilentIsWaitedFor: nobody knows whether it has begun.
func TestAWorkerThatIsSilentIsWaitedFor(t *testing.T) {
	s := fake.New(t)
	w1 := s.AddWorker("w1", 1)
	c := s.Dial()
	l := place(t, c, client.Task{ID: "t1"})
	_, err := l.Hand()
	require.NoError(t, err)
	s.AddWorker("w2", 1)
	w1.Silence()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.ScheduleElsewhere(ctx, l)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w1.Speak()
	next, err := c.ScheduleElsewhere(within(t), l)
	require.NoError(t, err)
	require.Equal(t, "w2", next.Worker())
}

// TestTheOldestOfManyAvoidedWorkersIsForgotten: a task names 16 at most.
func TestTheOldestOfManyAvoidedWorkersIsForgotten(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	s.AddWorker("w2", 1)
	c := s.Dial()
	avoid := make([]string, wire.MaxNotWorkers)
	for i := range avoid {
		avoid[i] = fmt.Sprintf("x%d", i)
	}
	l := place(t, c, client.Task{ID: "t1", NotWorkers: avoid})
	next, err := c.ScheduleElsewhere(within(t), l)
	require.NoError(t, err)
	require.Equal(t, append(slices.Clone(avoid[1:]), l.Worker()), next.Task().NotWorkers)
}

func ExampleClient_ScheduleElsewhere() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()
	s.AddWorker("w2", 1, "gpu")
	task := client.Task{ID: "train-1", Tags: []string{"gpu"}}
	// The program on w1 does not want it.
	begins := func(l *client.Lease) bool { return l.Worker() != "w1" }

	lease, err := c.Schedule(ctx, task)
	for err == nil && !begins(lease) {
		lease, err = c.ScheduleElsewhere(ctx, lease)
	}
	if errors.Is(err, client.ErrRefused) {
		fmt.Println("four workers in a row refused it")
	}
	fmt.Println(lease.Worker(), err)
	// Output: w2 <nil>
}
