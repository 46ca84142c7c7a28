package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func TestScheduleOverTCP(t *testing.T) {
	f := start(t)
	f.agent("w1", 2, "gpu")
	c := f.dial("c1")
	p := placed(t, c.ask(5, task("t1", "gpu")))
	worker, address := wire.ReadTarget(p.Target)
	require.Equal(t, "w1", worker)
	require.Equal(t, "w1:1", address)
	require.EqualValues(t, 7, p.Incarnation)
	require.IsType(t, &wire.Released{}, c.ask(6, &wire.Release{Lease: p.Lease}))

	c.send(7, task("t2", "tpu"))
	c.refusal(wire.CodeInfeasible)
	c.alive()
}
