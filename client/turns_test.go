package client_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// The queue in the order that SortWaiting gives is the order in which its tasks
// get the one slot there is.
func TestTheQueueIsSortedAsItGoes(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1)
	c := s.Dial()
	held, err := c.Schedule(within(t), client.Task{ID: "first"})
	require.NoError(t, err)
	placed := make(chan *client.Lease, 16)
	waiting := func() (rows []wire.WaiterInfo) {
		for w, err := range c.Queue(within(t), client.QueueFilter{}) {
			require.NoError(t, err)
			rows = append(rows, w)
		}
		return rows
	}
	for i, owner := range []string{"ann", "ann", "ann", "bob", "cid", "bob", "ann", "dee"} {
		task := client.Task{ID: fmt.Sprintf("t%d", i), Owner: owner, Wait: time.Hour}
		if i > 5 {
			task.Priority = 7 - int32(i)*2
		}
		go func() {
			if l, err := c.Schedule(t.Context(), task); err == nil {
				placed <- l
			}
		}()
		require.Eventually(t, func() bool { return len(waiting()) == i+1 }, patience, time.Millisecond)
	}
	rows := waiting()
	slices.Reverse(rows)
	client.SortWaiting(rows)
	var want, got []string
	for _, w := range rows {
		want = append(want, w.Task)
		require.NoError(t, c.Release(within(t), held))
		held = <-placed
		got = append(got, held.Task().ID)
	}
	require.Equal(t, got, want)
	require.Equal(t, []string{"t0", "t3", "t4", "t1", "t5", "t2", "t6", "t7"}, want)
}
