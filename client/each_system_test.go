package client_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
)

// shortTTL is far shorter than the waits of the test below, and long enough to
// be renewed on a machine that is busy with other tests.
const shortTTL = 2 * time.Second

// TestMoreTasksThanSlots: 33 tasks on 30 slots. The first 30 are there at once
// and outlive their TTL, as long as the others wait; these get room only because
// somebody gives some back.
func TestMoreTasksThanSlots(t *testing.T) {
	t.Parallel()
	s := startServer(t, "127.0.0.1:0", startTTL)
	w := startWorker(t, s.Addr(), 30)
	c := dial(t, s.Addr())
	tasks := make([]client.Task, 33)
	for i := range tasks {
		tasks[i] = client.Task{ID: fmt.Sprintf("t-%d", i), Wait: time.Hour, TTL: shortTTL}
	}
	var leases []*client.Lease
	for i, r := range c.ScheduleEach(t.Context(), tasks) {
		require.NoError(t, r.Err, "task %d", i)
		require.Equal(t, len(leases), i)
		leases = append(leases, r.Lease)
		if len(leases) < 30 {
			continue
		}
		if len(leases) == 30 {
			require.Eventually(t, func() bool { return stats(t, c).Counters["waiting"] == 3 }, patience, time.Millisecond)
			first := leases[0].BeginBy()
			require.Eventually(t, func() bool { return time.Now().After(first) }, patience, 10*time.Millisecond)
		}
		st := stats(t, c)
		require.EqualValues(t, 30, st.Granted, "a lease is over")
		require.EqualValues(t, 33-len(leases), st.Counters["waiting"])
		if given := len(leases) - 30; given < 3 {
			require.NoError(t, c.Release(t.Context(), leases[given]))
		}
	}
	require.Len(t, leases, 33)
	require.Zero(t, stats(t, c).Counters["revokes"])
	for _, l := range leases[3:] {
		require.NoError(t, l.Err())
		h, err := l.Hand()
		require.NoError(t, err)
		_, err = w.Begin(h, agent.Caller{})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return stats(t, c).Begun == 30 }, patience, time.Millisecond)
	require.ErrorIs(t, c.ReleaseAll(t.Context(), leases), client.ErrBegun)
}
