package server

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// lane is the way to the core for everything that needs it for long. One
// goroutine at a time takes a turn of the lane: it holds the core for at most
// about a millisecond, gives it back, and rests for as long as it held it. So a
// request outside the lane waits for at most one such turn, however many lists
// and large batches are under way. Lists and plans alternate.
type lane struct {
	lists sync.Mutex // held by the one list that is being gathered
	plans sync.Mutex // held by the one request that plans, for a turn
	turn  sync.Mutex // held for a turn and the rest after it; one of the above is held as well

	hook func(by int64) // called around every turn; only tests set it
}

// Bounds of the rest after a turn.
const (
	minRest = 50 * time.Microsecond
	maxRest = 2 * time.Millisecond
)

// take runs one turn, which uses the core, and rests.
func (n *lane) take(turn func()) {
	n.turn.Lock()
	defer n.turn.Unlock()
	if n.hook != nil {
		n.hook(1)
		defer n.hook(-1)
	}
	began := time.Now()
	turn()
	time.Sleep(min(max(time.Since(began), minRest), maxRest))
}

// aside reports whether a message is answered in the lane from the start: what
// it costs is out of proportion to its bytes.
func aside(m wire.Message) bool {
	switch m := m.(type) {
	case *wire.GetWorker:
		return true
	case *wire.Cancel:
		return m.Task == "" || m.Client != ""
	}
	return isList(m)
}

// park leaves a frame to the lane, with the job that was begun for it, if any. The
// session takes no further frame until it is answered, so its answers keep their
// order. The core's lock is held.
func (l *loop) park(s *session, frame []byte, k wire.Kind, job *sched.Job) {
	s.parked = &parked{bytes: len(frame)}
	own := bytes.Clone(frame)
	go l.carryOut(s, s.parked, own, k, job, l.began)
}

// unpark counts the frame that was parked, if the lane has answered it.
func (l *loop) unpark(s *session) (parked bool) {
	p := s.parked
	if p == nil || !p.done.Load() {
		return p != nil
	}
	s.parked = nil
	if l.metered {
		l.meter.count(p.as, 1, p.took, bucketOf(p.took))
	}
	return false
}

// carryOut answers a frame that was parked.
func (l *loop) carryOut(s *session, p *parked, frame []byte, k wire.Kind, job *sched.Job, began time.Duration) {
	defer func() {
		if l.srv.recovered(recover()) {
			_ = s.conn.Close()
		}
	}()
	var dec wire.Decoder
	m, request, err := dec.Decode(frame)
	if err != nil {
		panic(err) // it was decoded before
	}
	c := l.srv.core
	var code wire.Code
	var frames []byte
	if job != nil {
		code = l.carryJob(s, job, m, request)
	} else {
		answer := c.long(s.id, m, "")
		if e, ok := answer.(*wire.Error); ok {
			code = e.Code
		}
		frames = wire.Append(nil, request, answer)
	}
	p.as, p.took = requestOf(k, code), c.clock.Since()-began
	c.resume(s, p, frames)
}

// carryJob goes on with the job of a frame until it is over, and returns the code of
// its answer.
func (l *loop) carryJob(s *session, job *sched.Job, m wire.Message, request uint64) (code wire.Code) {
	var out sched.Outbox
	for done := false; !done; {
		done = l.srv.core.carryTurn(job, m, &out, "")
		if r, ok := m.(*wire.Register); ok && isRegistered(&out) {
			line := registeredBy(r)
			l.srv.logRegistered(&line)
		}
	}
	return codeOf(m.Kind(), s.id, request, out.Items)
}

// isRegistered reports whether the answer to a registration is among what is sent.
func isRegistered(out *sched.Outbox) bool {
	return slices.ContainsFunc(out.Items, func(it sched.Item) bool { return it.Kind == wire.KindRegistered })
}

// carry goes on with a job, of which m is the message, until it is over: turn
// after turn, others between them. What the last turn sends is left in out.
func (c *core) carry(job *sched.Job, m wire.Message, out *sched.Outbox, id string) {
	for !c.carryTurn(job, m, out, id) {
	}
}

// carryTurn goes on with a job for one turn, and reports whether it is over.
func (c *core) carryTurn(job *sched.Job, m wire.Message, out *sched.Outbox, id string) (done bool) {
	c.lane.plans.Lock()
	defer c.lane.plans.Unlock()
	c.lane.take(func() {
		c.use(m.Kind().String(), id, out, func(now sched.Time) { done = c.state.Continue(now, job, m, out) })
	})
	return done
}

// resume sends the answer to a parked frame and lets the session go on.
func (c *core) resume(s *session, p *parked, frames []byte) {
	c.mu.Lock()
	defer c.unlock()
	if c.sessions[s.id] == s && len(frames) > 0 {
		c.courier.pushFrames(s, frames)
	}
	s.job = nil
	p.done.Store(true)
	c.courier.wakes = append(c.courier.wakes, s)
	c.courier.kick()
}

// long answers a message in turns of the lane. No lock is held. id is that of
// an HTTP request.
func (c *core) long(from sched.Session, m wire.Message, id string) wire.Message {
	if !isList(m) {
		c.lane.plans.Lock()
		defer c.lane.plans.Unlock()
		return c.turn(from, m, id)
	}
	c.lane.lists.Lock()
	defer c.lane.lists.Unlock()
	g := newGather(m)
	for {
		if answer, done := g.join(c.turn(from, g.part, id)); done {
			return answer
		}
	}
}

// turn applies one message in a turn of the lane and returns the answer.
func (c *core) turn(from sched.Session, m wire.Message, id string) (answer wire.Message) {
	c.lane.take(func() {
		var out sched.Outbox
		c.use(m.Kind().String(), id, &out, func(now sched.Time) {
			c.apply(now, from, longRequest, m, &out)
			for i := range out.Items {
				if it := &out.Items[i]; it.To == from && it.Request == longRequest {
					answer = it.Message()
					it.To, it.Request = 0, 0 // it leaves with the rest of the answer
				}
			}
		})
	})
	return answer
}

// longRequest is the number by which a turn knows its own answer.
const longRequest = 1<<64 - 1
