package server

import (
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// A peer that said hello and then says nothing holds a connection that others
// may need. It is probed, and closed if it does not answer.

// quietChecks is how many sessions a loop looks at for silence in one sweep.
const quietChecks = 512

// quietList holds the sessions of a loop that said hello, the one that was
// looked at longest ago in front. What comes in moves no session: it only notes the
// time.
type quietList struct{ first, last *session }

// add puts a session behind all others.
func (q *quietList) add(s *session, now sched.Time) {
	s.checked, s.quiet = now, true
	s.before, s.after = q.last, nil
	if q.last != nil {
		q.last.after = s
	} else {
		q.first = s
	}
	q.last = s
}

// remove takes a session out, if it is in.
func (q *quietList) remove(s *session) {
	if !s.quiet {
		return
	}
	if s.before != nil {
		s.before.after = s.after
	} else {
		q.first = s.after
	}
	if s.after != nil {
		s.after.before = s.before
	} else {
		q.last = s.before
	}
	s.before, s.after, s.quiet = nil, nil, false
}

// quietSteps is in how many steps of PingAfter a session is looked at.
const quietSteps = 4

// probeQuiet probes the peers that have said nothing for long, and closes those
// that did not answer. It runs on the loop.
func (l *loop) probeQuiet(now sched.Time) {
	step := max(1, millis(l.srv.cfg.PingAfter)/quietSteps)
	for range quietChecks {
		s := l.quiet.first
		if s == nil || now-s.checked < step {
			return
		}
		l.quiet.remove(s)
		l.quiet.add(s, now)
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
