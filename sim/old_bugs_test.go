package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is a fault of an earlier version that a seed has found.

// lists makes a worker that speaks nonsense register with leases of others.
func (s *script) lists(a *agent, ids ...wire.LeaseID) {
	s.t.Helper()
	a.lying = true
	m := a.book.Register()
	for _, id := range ids {
		m.Leases = append(m.Leases, wire.Record{Lease: id, Task: []byte("lie")})
	}
	a.send(m)
	s.settled()
}

// A worker that claimed the lease of another made the scheduler overlook it in
// the other's registration, and a second task landed in its slot.
func TestALiarCannotOverbookAnotherWorker(t *testing.T) {
	s := newScript(t)
	a, c1, c2 := s.join("w1", 1), s.client("c1"), s.client("c2")
	first := s.place(c1)
	s.runs(first)
	s.breaks(a)
	s.passes(90_000) // removed, and its lease is lost
	liar := s.join("w2", 1)
	s.lists(liar, first.lease.id)
	require.Equal(t, uint32(1), s.worker(liar).Info.Taken)
	a.connect()
	s.settled() // superseded
	s.returns(a)
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
	s.refuse(c2)
	s.ends(first)
	s.settled()
	require.Equal(t, "w1", s.place(c2).lease.worker)
}

// A worker that claimed an id which was not granted yet made the scheduler
// grant it a second time.
func TestALiarCannotTakeTheNextID(t *testing.T) {
	s := newScript(t)
	s.join("w1", 2)
	c1 := s.client("c1")
	first := s.place(c1)
	liar := s.join("w2", 1)
	next, later := first.lease.id, first.lease.id
	next.Counter++
	later.Counter += 2
	s.lists(liar, next, later)
	second := s.place(c1)
	require.Equal(t, "w1", second.lease.worker)
	s.runs(second)
	s.lists(liar)
	require.Equal(t, wire.StateBegun, s.renewal(second).State)
	s.ends(second)
	s.settled()
	require.Equal(t, wire.LeaseStatus{State: wire.StateEnded, Reason: wire.ReasonOK}, s.renewal(second))
}
