package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// drainLook is how often Drain looks whether anything is left.
const drainLook = 100 * time.Millisecond

// Drain takes the worker out of service before a Stop: the scheduler places
// nothing new on it, and what it was given goes on to its end. Leases that were
// granted before may still begin. It returns nil once no task runs and the
// scheduler has nothing left for the worker, and an error that is
// ErrTasksRemain when the context ends first. The worker stays out of service
// until Stop; the next agent with its id is not.
//
// With an http:// scheduler, which knows of no leases, the worker reports that
// it is full, and what it was given and has not begun is not known.
func (a *Agent) Drain(ctx context.Context) error {
	a.mu.Lock()
	if a.stopped {
		a.mu.Unlock()
		return ErrStopped
	}
	if !a.draining {
		a.draining = true
		a.side.drain()
	}
	a.mu.Unlock()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		running, done := a.left()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			if running == 0 {
				return fmt.Errorf("%w: none runs on worker %s, but leases that have not begun are left, or the scheduler does not answer", ErrTasksRemain, a.cfg.Worker)
			}
			return fmt.Errorf("%w: %d of worker %s", ErrTasksRemain, running, a.cfg.Worker)
		case <-tick.C:
		}
	}
}

// left returns how many tasks run, and whether that and all that the scheduler
// has for the worker is nothing.
func (a *Agent) left() (running int, done bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	running = len(a.tasks)
	return running, running == 0 && a.side.drained()
}

// drain asks for nothing new, now and after each registration.
func (n *native) drain() {
	if n.session != nil && n.ledger.Connected() {
		n.session.drain()
	}
}

// drained returns what the scheduler said last, and asks it again.
func (n *native) drained() bool {
	s := n.session
	if s == nil || !n.ledger.Connected() {
		return false
	}
	if !s.asking {
		s.asking = s.ask(&wire.GetWorker{ID: n.agent.cfg.Worker}, s.looked)
	}
	return s.empty
}

// drain sends a cordon of the worker's own, which ends with the incarnation.
// The lock is held.
func (s *session) drain() {
	s.empty = false
	s.ask(&wire.Cordon{Worker: s.native.agent.cfg.Worker, On: true, Reason: "the agent is stopping", Drain: true, Own: true},
		func(wire.Message) {})
}

// ask sends a request whose answer may be lost with the connection. It reports
// false if it could not be sent. The lock is held, also when the answer is read.
func (s *session) ask(m wire.Message, read func(answer wire.Message)) (sent bool) {
	n := s.native
	err := s.conn.Go(m, func(answer wire.Message, err error) {
		n.agent.mu.Lock()
		defer n.agent.mu.Unlock()
		if n.session != s {
			return
		}
		var refused *wire.Error
		if errors.As(err, &refused) {
			answer = refused
		}
		if refused, ok := answer.(*wire.Error); ok {
			s.read(refused)
		}
		read(answer)
	})
	if !errors.Is(err, client.ErrFull) {
		s.failed(err)
	}
	return err == nil
}

// looked reads what the scheduler has of the worker. An operator may have put
// it back into service meanwhile.
func (s *session) looked(answer wire.Message) {
	s.asking = false
	w, ok := answer.(*wire.Worker)
	if !ok {
		return
	}
	cordoned := slices.Contains(w.Info.Flags, "cordoned")
	if !cordoned {
		s.drain()
	}
	s.empty = cordoned && w.Info.Taken == 0
}

// drain has a full worker reported at once.
func (g *gateway) drain() { g.wake() }

// drained reports whether the agent has reported that the worker is full.
func (g *gateway) drained() bool { return g.told }
