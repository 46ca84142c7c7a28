package server

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Times between two attempts to open the native port again.
const (
	firstReopen = 10 * time.Millisecond
	lastReopen  = time.Second
)

// supervise opens the native port again when its event loops end unasked, as
// gnet's do when a connection cannot be accepted for want of descriptors. All
// connections are closed then; the core, with every worker and lease, stays.
func (s *Server) supervise() {
	wait := firstReopen
	for {
		began := s.core.clock.Since()
		<-s.engineEnd()
		if s.stopping.Load() {
			return
		}
		if s.core.clock.Since()-began > lastReopen {
			wait = firstReopen
		}
		if ok, dropped := s.limiter.allow("event loops"); ok {
			s.log.Error("the event loops ended unasked; the native port opens again", "dropped", dropped,
				"remedy", "if descriptors ran out: raise ulimit -n, or lower --max-connections")
		}
		for !s.reopen() {
			select {
			case <-s.stop:
				return
			case <-time.After(wait):
			}
			wait = min(2*wait, lastReopen)
		}
	}
}

// reopen starts the event loops of the native port anew. It reports whether they
// run, or the server is stopping.
func (s *Server) reopen() bool {
	s.engineMu.Lock()
	defer s.engineMu.Unlock()
	if s.stopping.Load() {
		return true
	}
	s.closeListener()
	s.forgetLoops()
	s.restarts.Add(1)
	if err := s.startEngine(s.addr); err != nil {
		if ok, dropped := s.limiter.allow("native port"); ok {
			s.log.Error("the native port cannot be opened", "cause", err.Error(), "dropped", dropped)
		}
		return false
	}
	return true
}

// closeListener closes the second descriptor of the native port, which keeps it
// open. engineMu is held.
func (s *Server) closeListener() {
	if s.listenFD >= 0 {
		_ = unix.Close(s.listenFD)
		s.listenFD = -1
	}
}

// forgetLoops drops what belongs to event loops that have ended. What they have
// counted is kept.
func (s *Server) forgetLoops() {
	s.loopsMu.Lock()
	defer s.loopsMu.Unlock()
	for _, l := range s.loops {
		l.meter.close()
		s.copies.put(l)
		s.vital.forget(l)
	}
	clear(s.loops)
}

// errLoops is why a start fails whose event loops end at once.
var errLoops = errors.New("its event loops ended")
