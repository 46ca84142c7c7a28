package server

import (
	"context"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Only connections that owe something are watched: those without hello, with
// half a frame, or with output that waits. The many others cost nothing.

// watched puts s on the watch list.
func (l *loop) watched(s *session) {
	if !s.watched {
		s.watched = true
		l.watch[s] = struct{}{}
	}
}

// account compares what waits in gnet for s with the limits. It reports false
// if the connection must close.
func (l *loop) account(s *session) bool {
	n := s.conn.OutboundBuffered()
	if n == 0 && s.buffered == 0 {
		return true
	}
	total := l.srv.output.Add(int64(n - s.buffered))
	drained := s.wrote - uint64(n)
	if drained > s.drained || s.buffered == 0 {
		s.moved = l.srv.core.clock.now()
	}
	s.drained, s.buffered = drained, n
	l.watched(s)
	if n <= l.srv.cfg.MaxOutput && total <= int64(l.srv.cfg.MaxTotalOutput) {
		return true
	}
	l.slow(s)
	return false
}

// slow notes that s does not read. No error can be sent to it.
func (l *loop) slow(s *session) {
	s.closing = true
	l.srv.countClose(wire.CodeSlowConsumer)
}

// fail sends an error to s, if nothing waits before it, and asks for the close.
func (l *loop) fail(s *session, e *wire.Error) gnet.Action {
	s.closing = true
	l.srv.countClose(e.Code)
	if s.conn.OutboundBuffered() == 0 {
		_, _ = s.conn.Write(wire.Append(nil, 0, e))
	}
	return gnet.Close
}

// sweep closes the connections whose time is over. It runs on the loop.
func (l *loop) sweep() {
	now := l.srv.core.clock.now()
	for s := range l.watch {
		if s.closing || !l.overdue(s, now) {
			continue
		}
		if !s.closed {
			_ = s.conn.Close()
		}
	}
	l.probeQuiet(now)
}

// overdue ends s if it is over one of its times, and reports whether it is.
func (l *loop) overdue(s *session, now sched.Time) bool {
	cfg := &l.srv.cfg
	if s.buffered > 0 && !l.account(s) {
		return true
	}
	switch {
	case !s.helloed && now-s.opened > millis(cfg.HelloTimeout):
		l.fail(s, &wire.Error{Code: wire.CodeTimeout, Message: "no hello in " + cfg.HelloTimeout.String()})
		return true
	case s.halfway && now-s.partial > millis(cfg.FrameTimeout):
		l.fail(s, &wire.Error{Code: wire.CodeTimeout, Message: "a frame took longer than " + cfg.FrameTimeout.String()})
		return true
	case s.buffered > 0 && now-s.moved > millis(cfg.StallTimeout):
		l.slow(s)
		return true
	case s.helloed && !s.halfway && !s.more && s.buffered == 0:
		s.watched = false
		delete(l.watch, s)
	}
	return false
}

// busy reports whether input is left over or output waits. It runs on the loop.
func (l *loop) busy() bool {
	for s := range l.watch {
		if s.buffered > 0 {
			l.account(s)
		}
		if s.more || s.buffered > 0 {
			return true
		}
	}
	return false
}

// Bounds of the time between two sweeps.
const (
	minSweep = 5 * time.Millisecond
	maxSweep = time.Second
)

// sweepEvery returns how often connections are looked at: often enough that no
// limit is passed by more than a quarter.
func (c *Config) sweepEvery() time.Duration {
	least := min(c.HelloTimeout, c.FrameTimeout, c.StallTimeout, c.PingAfter, c.PingTimeout)
	return min(max(least/4, minSweep), maxSweep)
}

// sweeper has every loop look at its connections until stop closes.
func (s *Server) sweeper(stop <-chan struct{}) {
	tick := time.NewTicker(s.cfg.sweepEvery())
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			for _, l := range s.allLoops() {
				l.post(l.sweep)
			}
		}
	}
}

// post runs f on the loop, later.
func (l *loop) post(f func()) {
	_ = l.el.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		defer func() { l.srv.recovered(recover()) }()
		f()
		return nil
	}))
}
