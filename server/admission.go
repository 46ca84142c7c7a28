package server

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/dtask/dtask-scheduler/wire"
)

// sourceBits is the prefix of an IPv6 address that counts as one source: a
// machine is usually given that many addresses.
const sourceBits = 64

// sources counts connections by the address that they come from.
type sources struct {
	mu   sync.Mutex // guards open
	open map[netip.Addr]int
}

// sourceOf returns what a connection is counted under, the zero Addr for one
// that is not counted: loopback, and what has no address.
func sourceOf(remote net.Addr) netip.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	if a.IsLoopback() {
		return netip.Addr{}
	}
	if a.Is6() {
		if p, err := a.Prefix(sourceBits); err == nil {
			a = p.Addr()
		}
	}
	return a
}

// join counts a connection and reports whether its source has no more than
// most.
func (s *sources) join(a netip.Addr, most int) bool {
	if most == 0 || !a.IsValid() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[a] >= most {
		return false
	}
	s.open[a]++
	return true
}

// leave forgets a connection that join has counted.
func (s *sources) leave(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.open[a]; n > 1 {
		s.open[a] = n - 1
		return
	}
	delete(s.open, a)
}

// admit counts a new connection of either port, or says why there is no place
// for it. What it admits must be dismissed.
func (s *Server) admit(source netip.Addr) *wire.Error {
	if s.refusing.Load() {
		return errStopping
	}
	if n := s.connections.Add(1); n > int64(s.cfg.MaxConnections) {
		s.connections.Add(-1)
		return s.crowded(&wire.Error{Message: "too many connections", Limit: uint64(s.cfg.MaxConnections)})
	}
	if most := s.cfg.MaxConnectionsPerSource; !s.sources.join(source, most) {
		s.connections.Add(-1)
		return s.crowded(&wire.Error{Limit: uint64(most), Message: fmt.Sprintf(
			"too many connections from %v: %d at most (--max-connections-per-source); use one for many requests", source, most)})
	}
	return nil
}

// busyRetryMS is when one that found no place may try again.
const busyRetryMS = 1000

// crowded counts a refusal for want of a place.
func (s *Server) crowded(e *wire.Error) *wire.Error {
	s.countClose(wire.CodeBusy)
	e.Code, e.RetryAfterMS = wire.CodeBusy, busyRetryMS
	return e
}

// dismiss forgets a connection that was admitted.
func (s *Server) dismiss(source netip.Addr) {
	s.connections.Add(-1)
	if source.IsValid() {
		s.sources.leave(source)
	}
}
