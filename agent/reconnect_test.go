package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

var errDown = errors.New("connection refused")

// pipes is a scheduler that takes in whoever comes while it is up. Its
// connections are in memory, so a test with the clock of synctest sees all of it.
type pipes struct {
	t     *testing.T
	mu    sync.Mutex // guards all below
	up    bool
	conns []net.Conn
	dials []time.Time
}

// dial is that of the agents.
func (s *pipes) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, time.Now())
	if !s.up {
		return nil, errDown
	}
	near, far := net.Pipe()
	s.conns = append(s.conns, far)
	go (&peer{t: s.t, conn: far, beatMS: 3000}).admitAll()
	return near, nil
}

// admitAll answers what an agent asks until its connection ends.
func (p *peer) admitAll() {
	g := wire.Grantor{Epoch: 1, Instance: 7}
	for {
		m, err := p.next()
		if err != nil {
			return
		}
		var answer wire.Message
		switch m.(type) {
		case *wire.Hello:
			answer = &wire.HelloOK{Version: 1, Server: "pipes", Grantor: g, HeartbeatMS: p.beatMS, StartTTLMS: 10_000}
		case *wire.Register:
			answer = &wire.Registered{Handle: 5, Grantor: g, HeartbeatMS: p.beatMS}
		default:
			continue
		}
		if _, err := p.conn.Write(wire.Append(nil, p.request, answer)); err != nil {
			return
		}
	}
}

// turn takes the scheduler up or down, and down loses all its connections.
func (s *pipes) turn(up bool) {
	s.mu.Lock()
	s.up, s.dials = up, nil
	lost := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range lost {
		c.Close()
	}
}

// dialled returns after how long since then each attempt was made.
func (s *pipes) dialled(since time.Time) (after []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.dials {
		after = append(after, at.Sub(since))
	}
	return after
}

// A fleet whose scheduler goes away does not come back in step, is back within
// two seconds of its return, and leaves it alone after a long time.
func TestLostConnectionsComeBackSpreadOut(t *testing.T) {
	const fleet = 200
	synctest.Test(t, func(t *testing.T) {
		s := &pipes{t: t, up: true}
		var agents []*Agent
		for i := range fleet {
			a, err := Start(t.Context(), Config{Scheduler: "dtask://scheduler:1", Worker: fmt.Sprintf("w%d", i), Address: "h:1", TasksDieWithAgent: true, dial: s.dial})
			require.NoError(t, err)
			agents = append(agents, a)
		}
		backWithin := func(d time.Duration) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			for i, a := range agents {
				require.True(t, a.Status().Connected, "agent %d", i)
			}
		}
		backWithin(10 * time.Second) // each has sent a heartbeat since

		lost := time.Now()
		s.turn(true) // it restarts at once
		time.Sleep(firstBackoff + time.Millisecond)
		synctest.Wait()
		var quarters [4]int
		for _, after := range s.dialled(lost) {
			quarters[min(3, 4*after/firstBackoff)]++
		}
		for i, n := range quarters {
			require.Greater(t, n, fleet/10, "of %d agents came in quarter %d of the first %v: %v", fleet, i, firstBackoff, quarters)
		}

		time.Sleep(10 * time.Second)
		s.turn(false)
		time.Sleep(5 * time.Second)
		s.turn(true)
		backWithin(firstBackoff + time.Millisecond)

		s.turn(false)
		time.Sleep(10 * time.Minute)
		s.turn(false)
		time.Sleep(time.Minute)
		require.Less(t, len(s.dialled(lost)), fleet*8, "attempts in a minute, after ten in vain")
		s.turn(true)
		backWithin(maxBackoff + time.Millisecond)
		for _, a := range agents {
			a.cancel()
		}
		for _, a := range agents {
			a.wg.Wait()
		}
	})
}
