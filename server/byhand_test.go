package server

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// handClock is the time of a server that moves when the test says so, and not
// while the machine is busy with something else.
type handClock struct {
	f  *fixture
	at atomic.Int64
}

// startByHand is start with a clock that the test moves. What net/http limits
// goes by the machine's clock all the same.
func startByHand(t *testing.T, tune ...func(*Config)) (*fixture, *handClock) {
	t.Helper()
	f := prepare(t, tune...)
	h := &handClock{f: f}
	f.core.clock.read = func() time.Duration { return time.Duration(h.at.Load()) }
	require.NoError(t, f.Start())
	return f, h
}

// pass lets time pass in steps that are no pause, and what is due then happen.
func (h *handClock) pass(d time.Duration) {
	for ; d > 0; d -= clockTick {
		h.at.Add(int64(min(d, clockTick)))
		h.f.core.clock.tick()
		for h.f.core.beat() == 0 {
		}
		h.sweep()
	}
}

// sweep has the loops look at their connections, beside the times at which they
// do so by the machine's clock.
func (h *handClock) sweep() {
	for _, l := range h.f.allLoops() {
		swept := make(chan struct{})
		l.post(func() { l.sweep(); close(swept) })
		<-swept
	}
}

// during lets time pass until do returns.
func (h *handClock) during(do func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				h.pass(clockTick / 4)
			}
		}
	}()
	do()
	close(stop)
	<-stopped
}
