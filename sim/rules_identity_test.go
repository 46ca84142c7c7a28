package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about two agents with one worker id.

// on makes an agent of a worker on a machine, not connected yet.
func (s *script) on(machine uint64, worker string) *agent {
	s.t.Helper()
	a := s.newAgent(worker, 4)
	a.machine = machine
	a.newBook()
	return a
}

// isTaken requires that an agent which connects is refused the id.
func (s *script) isTaken(a *agent) {
	s.t.Helper()
	s.conflicts(a, "identity_conflicts")
}

func TestAnIDBelongsToTheAgentThatIsAlive(t *testing.T) {
	s := newScript(t)
	a, b, c := s.on(1, "w1"), s.on(2, "w1"), s.client("c1")
	s.returns(a)
	task := s.place(c)
	s.runs(task)
	s.isTaken(b)
	require.Equal(t, a.address, s.worker(a).Info.Address)
	s.breaks(a)
	s.passes(15_000)
	s.isTaken(b)
	s.returns(a)
	require.Equal(t, wire.StateBegun, s.renewal(task).State)
	s.breaks(a)
	s.passes(20_000)
	s.returns(b) // the first is offline
	require.Equal(t, wire.ReasonLost, s.renewal(task).Reason)
}

func TestAnAgentIsStartedAgainOnItsMachine(t *testing.T) {
	s := newScript(t)
	a, c := s.on(1, "w1"), s.client("c1")
	s.returns(a)
	task := s.place(c)
	s.runs(task)
	l := s.slips(a) // the scheduler does not know
	a.stop(true)
	a.start()
	s.settled()
	require.True(t, a.book.Connected())
	require.Equal(t, wire.StateBegun, s.renewal(task).State)
	s.closeHost(l)
	s.look()
}

func TestAgentsThatNameNoMachineTakeOver(t *testing.T) {
	s := newScript(t)
	a, b := s.on(0, "w1"), s.on(2, "w1")
	s.returns(a)
	s.returns(b)
	require.Equal(t, b.address, s.worker(a).Info.Address)
	old := s.on(0, "w1")
	s.returns(old)
	require.Equal(t, old.address, s.worker(a).Info.Address)
}

func TestAnAgentWithTasksGetsItsIDBack(t *testing.T) {
	s := newScript(t)
	a, b, c := s.on(1, "w1"), s.on(2, "w1"), s.client("c1")
	s.returns(a)
	task := s.place(c)
	s.runs(task)
	s.restarts()
	s.returns(b) // the new scheduler meets it first
	s.returns(a)
	require.Equal(t, a.address, s.worker(a).Info.Address)
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
	b.renew()
	s.isTaken(b)
}
