package server

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// core is the scheduler's state with its one lock and its one clock. Nothing is
// written to a socket, and nothing is logged, while the lock is held.
type core struct {
	clock clock
	log   *slog.Logger

	mu       sync.Mutex // guards everything below
	state    *sched.State
	sessions map[sched.Session]*session // those that said hello
	pulseAt  sched.Time                 // when the pulse goroutine wakes
	pulseOut sched.Outbox
	draining bool // no new work is placed for native clients

	web     webWaits // guarded by mu
	courier *courier
	wake    chan struct{} // tells the pulse goroutine that pulseAt is earlier

	// applying is true while the core runs, so that a panic there is told from
	// one elsewhere; guarded by mu.
	applying bool
	crash    func(cause any, stack []byte)
	// before is called ahead of every Apply; only tests set it.
	before func(wire.Message)
}

func newCore(cfg *Config, log *slog.Logger) (*core, error) {
	state, err := sched.New(cfg.Sched)
	if err != nil {
		return nil, err
	}
	c := &core{
		clock:    newClock(),
		log:      log,
		state:    state,
		sessions: make(map[sched.Session]*session),
		web:      webWaits{by: make(map[uint64]chan wire.Message)},
		pulseAt:  sched.Never,
		wake:     make(chan struct{}, 1),
	}
	c.crash = c.die
	c.courier = newCourier(c, cfg.MaxOutput)
	return c, nil
}

// die ends the process: after a panic inside the core its state cannot be
// trusted. The panic is raised in a goroutine of its own because net/http would
// swallow it in one of its own.
func (c *core) die(cause any, stack []byte) {
	c.log.Error("a fault inside the scheduler's core; it stops", "cause", fmt.Sprint(cause), "stack", string(stack))
	go panic(cause)
	select {}
}

// apply runs one message through the core. The lock is held.
func (c *core) apply(now sched.Time, from sched.Session, request uint64, m wire.Message, out *sched.Outbox) {
	c.applying = true
	if c.before != nil {
		c.before(m)
	}
	c.state.Apply(now, from, request, m, out)
	c.applying = false
}

// unlock ends a use of the core: the pulse goroutine is told if it must wake
// earlier. It is deferred, and ends the process after a panic inside the core.
func (c *core) unlock() {
	if c.applying {
		cause, stack := recover(), debug.Stack()
		c.applying = false
		c.mu.Unlock()
		c.crash(cause, stack)
		return
	}
	if next := c.state.NextPulse(); next < c.pulseAt {
		c.pulseAt = next
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	c.mu.Unlock()
}

// route hands every message in out that is not for the session own to the
// courier. With direct false those for own go the same way, because earlier
// ones wait there. The lock is held.
func (c *core) route(out *sched.Outbox, own sched.Session, direct bool) {
	for i := range out.Items {
		it := &out.Items[i]
		if it.To == 0 && it.Request != 0 {
			c.web.deliver(it)
			continue
		}
		if it.To == own && direct {
			continue
		}
		if s := c.sessions[it.To]; s != nil {
			c.courier.push(s, it)
		}
	}
}

// exchange is one use of the core by the HTTP gateway.
type exchange struct {
	out sched.Outbox
}

// do sends m as session 0 and returns the answer, which is valid until the
// exchange is used again, or nil if the core gave none.
func (c *core) do(x *exchange, m wire.Message) wire.Message {
	c.mu.Lock()
	defer c.unlock()
	x.out.Reset()
	c.apply(c.clock.now(), 0, 0, m, &x.out)
	c.route(&x.out, 0, true)
	for i := range x.out.Items {
		if x.out.Items[i].To == 0 && x.out.Items[i].Request == 0 {
			return x.out.Items[i].Message()
		}
	}
	return nil
}

// report passes on the heartbeat of an HTTP worker.
func (c *core) report(x *exchange, r *sched.Report) error {
	c.mu.Lock()
	defer c.unlock()
	x.out.Reset()
	c.applying = true
	err := c.state.Report(c.clock.now(), r, &x.out)
	c.applying = false
	c.route(&x.out, 0, true)
	return err
}

// remove removes a worker and reports whether it was known.
func (c *core) remove(x *exchange, id string) bool {
	c.mu.Lock()
	defer c.unlock()
	x.out.Reset()
	c.applying = true
	known := c.state.RemoveWorker(c.clock.now(), id, &x.out)
	c.applying = false
	c.route(&x.out, 0, true)
	return known
}

// datagram passes on the heartbeat of a worker that came as a datagram, and
// reports whether ack is to be sent.
func (c *core) datagram(m *wire.Beat, ack *wire.BeatAck) bool {
	c.mu.Lock()
	defer c.unlock()
	c.applying = true
	answered := c.state.Beat(c.clock.now(), m, ack)
	c.applying = false
	return answered
}

// closed tells the core that the connection of s is gone.
func (c *core) closed(s *session, out *sched.Outbox) {
	c.mu.Lock()
	defer c.unlock()
	delete(c.sessions, s.id)
	c.courier.forget(s)
	out.Reset()
	c.applying = true
	c.state.Close(c.clock.now(), s.id, out)
	c.applying = false
	c.route(out, s.id, true)
}

// drain makes the core refuse new work from native clients from now on.
func (c *core) drain() {
	c.mu.Lock()
	defer c.unlock()
	c.draining = true
	c.turnAwayWaits()
}
