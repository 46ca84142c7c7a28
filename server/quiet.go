package server

import (
	"container/list"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// A peer that said hello and then says nothing holds a connection that others
// may need. It is probed, and closed if it does not answer.

// quietChecks is how many sessions a loop looks at for silence in one sweep.
const quietChecks = 512

// quietList holds the sessions of a loop that said hello, the one that was
// looked at longest ago in front. What comes in moves nobody: it only notes the
// time.
type quietList struct{ list.List }

// add puts a session behind all others.
func (q *quietList) add(s *session, now sched.Time) {
	s.heard, s.checked = now, now
	s.place = q.PushBack(s)
}

// remove takes a session out that is gone.
func (q *quietList) remove(s *session) {
	if s.place != nil {
		q.Remove(s.place)
		s.place = nil
	}
}

// quietSteps is in how many steps of PingAfter a session is looked at.
const quietSteps = 4

// probeQuiet probes the peers that have said nothing for long, and closes those
// that did not answer. It runs on the loop.
func (l *loop) probeQuiet(now sched.Time) {
	step := max(1, millis(l.srv.cfg.PingAfter)/quietSteps)
	for range quietChecks {
		front := l.quiet.Front()
		if front == nil {
			return
		}
		s := front.Value.(*session)
		if now-s.checked < step {
			return
		}
		s.checked = now
		l.quiet.MoveToBack(front)
		if !s.closing && l.silent(s, now) {
			_ = s.conn.Close()
		}
	}
}

// silent probes s if it is time to, and reports whether it must close.
func (l *loop) silent(s *session, now sched.Time) bool {
	cfg := &l.srv.cfg
	quiet := now - s.heard
	switch {
	case quiet < millis(cfg.PingAfter):
		s.probed = false
	case s.probed && quiet > millis(cfg.PingAfter+cfg.PingTimeout):
		l.fail(s, &wire.Error{Code: wire.CodeTimeout, Message: "nothing was heard for " +
			(time.Duration(quiet) * time.Millisecond).Round(time.Second).String() + ", and the probe was not answered"})
		return true
	case !s.probed && s.buffered == 0:
		s.probed = true
		return !l.write(s, wire.Append(nil, 0, &wire.Pong{}))
	}
	return false
}
