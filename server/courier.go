package server

import (
	"github.com/panjf2000/gnet/v2"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// courier carries messages to sessions whose event loop did not make them:
// pushes, and answers that must not overtake a push. Frames are encoded under
// the core's lock, in the order in which the core made them, and leave in that
// order: one goroutine hands them to gnet, whose queue keeps it. It also wakes
// connections that have frames left over, because a loop that wakes itself
// never gets back to its sockets.
type courier struct {
	core  *core
	limit int // bytes that may wait for one session

	// Guarded by core.mu.
	dirty  []*session // have bytes pending, or overflowed
	wakes  []*session // have complete frames left over
	flying int        // bytes handed to gnet and not sent yet

	signal chan struct{}
	loads  []load // of the goroutine alone
	again  []*session
}

// load is what one session gets in one round.
type load struct {
	s        *session
	frames   []byte
	overflow bool
}

func newCourier(c *core, limit int) *courier {
	return &courier{core: c, limit: limit, signal: make(chan struct{}, 1)}
}

// push encodes one message for s. The lock is held. A session for which too
// much waits gets nothing more and is closed.
func (q *courier) push(s *session, it *sched.Item) {
	if s.overflow {
		return
	}
	s.pending = wire.Append(s.pending, it.Request, it.Message())
	q.pushed(s)
}

// pushFrames is push for frames that are encoded already and belong to the
// courier from now on.
func (q *courier) pushFrames(s *session, frames []byte) {
	switch {
	case s.overflow:
		return
	case len(s.pending) == 0:
		s.pending = frames
	default:
		s.pending = append(s.pending, frames...)
	}
	q.pushed(s)
}

// pushed has the courier look at s, for which more waits.
func (q *courier) pushed(s *session) {
	if len(s.pending)+s.inflight > q.limit {
		s.overflow, s.pending = true, nil
	}
	if !s.listed {
		s.listed = true
		q.dirty = append(q.dirty, s)
	}
	q.kick()
}

// holds reports whether anything waits for s. The lock is held.
func (q *courier) holds(s *session) bool {
	return len(s.pending) > 0 || s.inflight > 0 || s.overflow
}

// forget drops what waits for a session that is gone. The lock is held.
func (q *courier) forget(s *session) {
	s.pending, s.overflow = nil, false
}

// rearm asks for another OnTraffic of s, on a later turn of its loop.
func (q *courier) rearm(s *session) {
	q.core.mu.Lock()
	q.wakes = append(q.wakes, s)
	q.core.mu.Unlock()
	q.kick()
}

func (q *courier) kick() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// run carries until stop closes.
func (q *courier) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-q.signal:
			q.carry()
		}
	}
}

// carry hands over everything that waits.
func (q *courier) carry() {
	q.collect()
	for i := range q.loads {
		l := &q.loads[i]
		if l.overflow {
			l.s.loop.srv.countClose(wire.CodeSlowConsumer)
			_ = l.s.conn.Close()
			continue
		}
		s, n := l.s, len(l.frames)
		_ = s.conn.AsyncWrite(l.frames, func(_ gnet.Conn, err error) error {
			q.left(s, n, err)
			return nil
		})
	}
	for _, s := range q.again {
		_ = s.conn.Wake(s.woken)
	}
	clear(q.loads)
	clear(q.again)
	q.loads, q.again = q.loads[:0], q.again[:0]
}

// collect takes what waits out from under the lock.
func (q *courier) collect() {
	q.core.mu.Lock()
	defer q.core.mu.Unlock()
	for _, s := range q.dirty {
		s.listed = false
		switch {
		case s.overflow:
			q.loads = append(q.loads, load{s: s, overflow: true})
		case len(s.pending) > 0:
			q.loads = append(q.loads, load{s: s, frames: s.pending})
			s.inflight += len(s.pending)
			q.flying += len(s.pending)
			s.pending = nil
		}
	}
	q.again = append(q.again, q.wakes...)
	clear(q.dirty)
	clear(q.wakes)
	q.dirty, q.wakes = q.dirty[:0], q.wakes[:0]
}

// left is called on the loop of s when n bytes went to the connection, or the
// connection is gone.
func (q *courier) left(s *session, n int, err error) {
	q.core.mu.Lock()
	s.inflight -= n
	q.flying -= n
	q.core.mu.Unlock()
	if err != nil || s.closed {
		return
	}
	s.wrote += uint64(n)
	if !s.loop.account(s) {
		_ = s.conn.Close()
	}
}

// idle reports whether nothing waits and nothing is on its way. The lock is
// held.
func (q *courier) idle() bool {
	return len(q.dirty) == 0 && len(q.wakes) == 0 && q.flying == 0
}
