package agent

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Other runs of these tests on this machine have sockets of their own.
func init() { socketPrefix += strconv.Itoa(os.Getpid()) + "-" }

func TestOneProcessOfAMachineSpeaksForAWorker(t *testing.T) {
	schedulers := []string{t.Name() + ":1"}
	first, second, other := newIdentity("w1", schedulers), newIdentity("w1", schedulers), newIdentity("w2", schedulers)
	elsewhere := newIdentity("w1", []string{t.Name() + ":2"})
	machine := first.number()
	require.NotZero(t, machine)
	require.Equal(t, machine, first.number())
	require.NotEqual(t, machine, second.number(), "another process has the id")
	require.Equal(t, second.number(), second.number())
	require.Equal(t, machine, other.number())
	require.Equal(t, machine, elsewhere.number(), "a worker of another scheduler")
	first.release()
	first.release()
	require.Equal(t, machine, second.number())
	for _, i := range []*identity{&second, &other, &elsewhere} {
		i.release()
	}
}

func TestARegistrationNamesTheMachine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		first := newIdentity("w1", []string{f.memory.addr.String()})
		machine := first.number()
		var log logged
		a := startAgent(t, f.url(), log.by)
		for _, age := range []string{"8 s", "40 s"} {
			p, m := f.greet()
			require.NotEqual(t, machine, m.Machine, "another process has the id")
			p.answer(&wire.Error{Code: wire.CodeWorkerInUse, Field: "worker", RetryAfterMS: 1, Message: "it registered " + age + " ago"})
			p.gone()
		}
		p, _ := f.greet()
		require.Equal(t, 1, log.count("the scheduler refuses this worker; it is tried again"), "only its age has changed")
		require.Contains(t, a.Status().LastError, "worker_in_use")
		first.release()
		p.answer(&wire.Error{Code: wire.CodeWorkerInUse, Field: "worker", RetryAfterMS: 1})
		p.gone()
		_, m := f.admit()
		require.Equal(t, machine, m.Machine, "the other process has left")
		connected(t, a)
	})
}
