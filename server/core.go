package server

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// core is the scheduler's state with its one lock and its one clock. Nothing is
// written to a socket, and nothing is logged, while the lock is held.
type core struct {
	*clock
	log   *slog.Logger
	lines LogWriter // behind log, nil if log writes at once

	slowAfter time.Duration // what is slower goes to slow; 0: nothing does
	slow      func(op string, requests int, took time.Duration, id string)

	mu       sync.Mutex // guards everything below
	work     work
	busy     time.Duration // that the core was at work for others than the event loops
	beats    uint64        // datagrams
	state    *sched.State
	sessions map[sched.Session]*session // those that said hello
	pulseAt  sched.Time                 // when the pulse goroutine wakes
	pulseOut sched.Outbox
	draining bool // no new work is placed for native clients

	web     webWaits // guarded by mu
	courier *courier
	lane    lane          // to the core, for what takes long
	wake    chan struct{} // tells the pulse goroutine that pulseAt is earlier

	// applying is true while the core runs, so that a panic there is distinguished from
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
		lines:    cfg.LogWriter,
		state:    state,
		sessions: make(map[sched.Session]*session),
		web:      webWaits{by: make(map[uint64]webWait)},
		pulseAt:  sched.Never,
		wake:     make(chan struct{}, 1),
	}
	c.crash = c.die
	c.courier = newCourier(c, cfg.MaxOutput)
	return c, nil
}

const (
	crashPatience = time.Second // for the log, before the process ends
	exitPanic     = 2           // as the runtime exits after a panic
)

// die ends the process: after a panic inside the core its state cannot be
// trusted. The panic is raised in a goroutine of its own because net/http would
// swallow it in one of its own. The runtime would print it to a standard error
// without a reader, and wait there for ever: the process exits at once then.
func (c *core) die(cause any, stack []byte) {
	c.log.Error("a fault inside the scheduler's core; it stops", "cause", fmt.Sprint(cause), "stack", string(stack))
	if c.lines != nil && !c.lines.Flush(crashPatience) {
		os.Exit(exitPanic)
	}
	go panic(cause)
	select {}
}

// apply runs one message through the core. If that takes long, it returns a job to
// carry on in the lane. The lock is held.
func (c *core) apply(now sched.Time, from sched.Session, request uint64, m wire.Message, out *sched.Outbox) *sched.Job {
	c.applying = true
	if c.before != nil {
		c.before(m)
	}
	job := c.state.Begin(now, from, request, m, out)
	c.applying = false
	return job
}

// work is one use of the core that is measured where it ends. The event loops
// measure themselves, because their answers are encoded behind it.
type work struct {
	op    string // "": not measured
	id    string // of the HTTP request
	began time.Duration
}

// acquire takes the lock and returns the time and how long the lock took.
// Where it is free, as it nearly always is, the clock is read once.
func (c *core) acquire() (now, waited time.Duration) {
	if c.mu.TryLock() {
		return c.clock.Since(), 0
	}
	from := c.clock.Since()
	c.mu.Lock()
	now = c.clock.Since()
	return now, now - from
}

// look is one use of the state that sends nothing: it takes the lock, reads the
// clock once, runs f and gives the lock back. op names the use where it is
// measured, "" measures nothing; id is that of an HTTP request. A panic inside f
// ends the process.
func (c *core) look(op, id string, f func(now sched.Time)) {
	c.mu.Lock()
	defer c.unlock()
	c.work = work{op: op, id: id, began: c.clock.Since()}
	c.applying = true
	f(coreTime(c.work.began))
	c.applying = false
}

// use is look for an f that puts messages into out: they are handed on in the
// order in which the core made them. All that changes the state goes through use
// or through the batch of an event loop, which does the same for its frames.
func (c *core) use(op, id string, out *sched.Outbox, f func(now sched.Time)) {
	c.look(op, id, func(now sched.Time) {
		out.Reset()
		f(now)
		c.applying = false
		c.route(out, 0, true)
	})
}

// leave gives the lock back after a use of the core that is measured.
func (c *core) leave() {
	w, took := c.work, c.clock.Since()-c.work.began
	c.work = work{}
	c.busy += took
	c.mu.Unlock()
	if c.slowAfter > 0 && took > c.slowAfter {
		c.slow(w.op, 1, took, w.id)
	}
}

// unlock ends a use of the core: the pulse goroutine gets a signal if it must wake
// earlier. It is deferred, and ends the process after a panic inside the core.
func (c *core) unlock() {
	if c.applying {
		cause, stack := recover(), debug.Stack()
		c.applying, c.work = false, work{}
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
	if c.work.op != "" {
		c.leave()
		return
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
			c.send(s, it)
		}
	}
}

// send gives one message to the courier. What is settled of a batch that is still
// under way follows its answer. The lock is held.
func (c *core) send(s *session, it *sched.Item) {
	j := s.job
	if j == nil || it.Request != j.request {
		c.courier.push(s, it)
		return
	}
	if it.Kind == wire.KindSettled {
		j.settled = wire.Append(j.settled, it.Request, it.Message())
		return
	}
	c.courier.push(s, it)
	if len(j.settled) > 0 {
		c.courier.pushFrames(s, j.settled)
	}
	s.job = nil
}

// outboxes are those of the HTTP gateway's requests.
var outboxes = sync.Pool{New: func() any { return new(sched.Outbox) }}

// Ask sends m as session 0 and returns the answer.
func (c *core) Ask(id string, m wire.Message) wire.Message {
	if aside(m) {
		return c.long(0, m, id)
	}
	out := outboxes.Get().(*sched.Outbox)
	defer outboxes.Put(out)
	if job := c.ask(id, m, out); job != nil {
		c.carry(job, m, out, id)
	}
	for i := range out.Items {
		if it := &out.Items[i]; it.To == 0 && it.Request == 0 {
			return kept(it.Message())
		}
	}
	return &wire.Error{Code: wire.CodeInternal, Message: "the scheduler gave no answer"}
}

// ask sends m as a request of session 0.
func (c *core) ask(id string, m wire.Message, out *sched.Outbox) (job *sched.Job) {
	c.use(m.Kind().String(), id, out, func(now sched.Time) { job = c.apply(now, 0, 0, m, out) })
	return job
}

// Report passes on the heartbeat of an HTTP worker. Others have their turns while
// one that had its id is being removed. id is that of the request.
func (c *core) Report(id string, r *sched.Report) (err error) {
	out := outboxes.Get().(*sched.Outbox)
	defer outboxes.Put(out)
	for again := true; again; again = err == sched.ErrLeaving {
		c.use(wire.KindHeartbeat.String(), id, out, func(now sched.Time) { err = c.state.Report(now, r, out) })
	}
	return err
}

// Remove removes a worker and reports whether it was known.
func (c *core) Remove(id, worker string) (known bool) {
	var out sched.Outbox
	c.use(wire.KindDeregister.String(), id, &out, func(now sched.Time) { known = c.state.RemoveWorker(now, worker, &out) })
	return known
}

// datagram passes on the heartbeat of a worker that came as a datagram, and
// reports whether ack is to be sent.
func (c *core) datagram(m *wire.Beat, ack *wire.BeatAck) (answered bool) {
	c.look("", "", func(now sched.Time) {
		answered = c.state.Beat(now, m, ack)
		if c.beats++; c.beats%timedBeats == 0 {
			c.busy += timedBeats * (c.clock.Since() - c.work.began)
		}
	})
	return answered
}

// timedBeats is of how many datagrams one is timed, and stands for the others:
// reading the clock takes a fifth of the time that one takes.
const timedBeats = 64

// closed tells the core that the connection of s is gone.
func (c *core) closed(s *session, out *sched.Outbox) {
	c.use("close", "", out, func(now sched.Time) {
		delete(c.sessions, s.id)
		c.courier.forget(s)
		c.state.Close(now, s.id, out)
	})
}

// drain makes the core refuse new work from native clients from now on, and
// answers the HTTP requests that wait.
func (c *core) drain() {
	var out sched.Outbox
	c.use("", "", &out, func(now sched.Time) {
		c.draining = true
		for id := range c.web.by {
			ch := c.web.take(id)
			c.state.Withdraw(now, 0, id, &out)
			ch <- errStopping
		}
	})
}

// errStopping refuses work while the scheduler stops.
var errStopping = &wire.Error{Code: wire.CodeDraining, Message: "the scheduler is stopping"}
