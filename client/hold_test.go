package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// A lease whose TTL is over before the caller has it, because no renewal was
// answered, goes back, and the task gets another.
func TestAPlaceThatCouldNotBeRenewedIsAskedForAgain(t *testing.T) {
	f := newFake(t)
	f.setBend(func(p *peer, _ uint64, m wire.Message) bool { return m.Kind() == wire.KindRenew })
	c := f.dial(nil)
	const ttl = 300 * time.Millisecond // far longer than until the first is yielded
	var got []*Lease
	for _, r := range c.ScheduleEach(within(t), []Task{{ID: "t1", TTL: ttl, Wait: time.Hour}, {ID: "t2", TTL: ttl, Wait: time.Hour}}) {
		require.NoError(t, r.Err)
		if got = append(got, r.Lease); len(got) > 1 {
			break
		}
		eventually(t, "the TTL is over", func() bool { return time.Now().After(r.Lease.BeginBy().Add(ttl)) })
	}
	require.Len(t, got, 2)
	require.NoError(t, got[1].Err())
	f.mu.Lock()
	defer f.mu.Unlock()
	require.EqualValues(t, 3, f.counter, "leases")
	require.Equal(t, map[wire.LeaseID]int{{Epoch: 1, Instance: 7, Counter: 2}: 1}, f.released)
}

// A client that had no time to renew asks before it hands out what it believes
// to have.
func TestALeaseWhoseRenewalIsOverdueIsConfirmed(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	for i, r := range c.ScheduleEach(within(t), []Task{{ID: "t1"}, {ID: "t2"}}) {
		if i == 1 {
			require.ErrorIs(t, r.Err, ErrLost)
			continue
		}
		require.NoError(t, r.Err)
		f.mu.Lock()
		second := f.leases[c.ID()+" t2"]
		f.endLocked(second, wire.ReasonRevoked)
		f.mu.Unlock()
		c.book.mu.Lock()
		c.book.leases[second].due = time.Now().Add(-time.Hour) // the process was stopped
		c.book.mu.Unlock()
	}
}
