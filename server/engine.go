package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Detection of peers that vanished without a word.
const (
	keepIdle     = 15 // seconds of silence before the first probe
	keepInterval = 5  // seconds between probes
	keepCount    = 3  // probes without an answer
	userTimeout  = 30 * time.Second
)

// events is what gnet calls.
type events struct {
	gnet.BuiltinEventEngine
	srv    *Server
	booted chan error
}

// pairTries bounds the search for a port that is free for TCP and UDP.
const pairTries = 16

// listenNative binds the native port and starts its event loops: those of the
// connections, and that of the datagrams under the same number.
func (s *Server) listenNative() error {
	_, port, err := net.SplitHostPort(s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("server: the native port %s: %w", s.cfg.Addr, err)
	}
	for try := 1; ; try++ {
		s.engineMu.Lock()
		err := s.startEngine(s.cfg.Addr)
		s.engineMu.Unlock()
		if err != nil || !s.cfg.UDP {
			return err
		}
		err = s.startUDP(s.addr)
		if err == nil {
			return nil
		}
		s.stopEngine()
		if port != "0" || try == pairTries || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// network names the network of an address: an IPv4 address listens on IPv4
// alone. Plain "tcp" would take every address of both for 0.0.0.0.
func network(name, addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if a, bad := netip.ParseAddr(host); err == nil && bad == nil && a.Is4() {
		return name + "4"
	}
	return name
}

// startEngine binds the native port for TCP and starts its event loops. engineMu
// is held.
func (s *Server) startEngine(addr string) error {
	ev := &events{srv: s, booted: make(chan error, 1)}
	ran := make(chan error, 1)
	done := make(chan struct{})
	s.engineDone = done
	go func() {
		defer close(done)
		ran <- gnet.Run(ev, network("tcp", addr)+"://"+addr,
			gnet.WithNumEventLoop(s.cfg.Loops),
			gnet.WithReuseAddr(true),
			gnet.WithTCPNoDelay(gnet.TCPNoDelay),
			gnet.WithReadBufferCap(peekBytes),
			gnet.WithLogger(gnetLogger{s.log, s.limiter, &s.ending}))
	}()
	select {
	case err := <-ev.booted:
		return err
	case err := <-ran:
		if err == nil {
			err = errLoops
		}
		return portError("native", addr, err)
	}
}

// portError says which port cannot be had.
func portError(name, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("server: the %s port %s is in use: %w", name, addr, err)
	}
	return fmt.Errorf("server: the %s port %s: %w", name, addr, err)
}

// enginePatience is how long gnet may take to end when its port was shut down.
const enginePatience = 2 * time.Second

// stopEngine closes the native port and every connection. The port goes first:
// gnet's loops would forget a connection that is accepted while they end, and
// leave it open for ever. A port that is shut down ends gnet by itself, once
// its loops have seen what came before. gnet looks only twice a second whether
// it has stopped; the end of its Run is seen at once.
func (s *Server) stopEngine() {
	s.ending.Store(true)
	defer s.ending.Store(false)
	s.engineMu.Lock()
	defer s.engineMu.Unlock()
	if s.listenFD >= 0 && unix.Shutdown(s.listenFD, unix.SHUT_RDWR) == nil {
		select {
		case <-s.engineDone:
		case <-time.After(enginePatience):
		}
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.engine.Stop(now)
	<-s.engineDone
	s.closeListener()
	s.udp.stop()
	s.loopsMu.Lock()
	clear(s.loops)
	s.loopsMu.Unlock()
}

// OnBoot runs when the port is bound. The options of connections are set on the
// listener, which they inherit; gnet's own option for it hides a failed bind.
func (e *events) OnBoot(engine gnet.Engine) gnet.Action {
	e.srv.engine = engine
	err := e.bound(engine)
	e.booted <- err
	if err != nil {
		return gnet.Shutdown
	}
	return gnet.None
}

func (e *events) bound(engine gnet.Engine) (err error) {
	fd, err := engine.Dup()
	if err != nil {
		return fmt.Errorf("server: the native port: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if s := e.srv; s.cfg.backlog > 0 {
		if err := unix.Listen(fd, s.cfg.backlog); err != nil {
			return fmt.Errorf("server: the queue of the native port: %w", err)
		}
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepCount},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("server: an option of the native port: %w", err)
		}
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("server: the address of the native port: %w", err)
	}
	// A port that opens again keeps its address, which others read meanwhile.
	if addr := addrOf(sa); addr != e.srv.addr {
		e.srv.addr = addr
	}
	e.srv.listenFD = fd // kept for stopEngine
	return nil
}

// addrOf returns host:port of a socket's address.
func addrOf(sa unix.Sockaddr) string {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	case *unix.SockaddrInet6:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	}
	return ""
}

// OnOpen admits a connection, or tells it why not.
func (e *events) OnOpen(c gnet.Conn) (out []byte, action gnet.Action) {
	defer func() {
		if e.srv.recovered(recover()) {
			action = gnet.Close
		}
	}()
	source := sourceOf(c.RemoteAddr())
	if err := e.srv.admit(source); err != nil {
		return wire.Append(nil, 0, err), gnet.Close
	}
	l := e.srv.loopOf(c.EventLoop())
	s := &session{
		id:     sched.Session(e.srv.lastSession.Add(1)),
		conn:   c,
		loop:   l,
		source: source,
		opened: e.srv.core.clock.now(),
		need:   lengthBytes,
	}
	c.SetContext(s)
	l.watched(s)
	return nil, gnet.None
}

// OnTraffic handles what came in. It may close the connection before it
// returns.
func (e *events) OnTraffic(c gnet.Conn) (action gnet.Action) {
	s, ok := c.Context().(*session)
	if !ok {
		return gnet.Close
	}
	defer func() {
		if e.srv.recovered(recover()) {
			action = gnet.Close
		}
	}()
	if s.closing {
		_, _ = c.Discard(-1)
		return gnet.None
	}
	return s.loop.traffic(s)
}

// OnClose forgets a connection. It may run inside a write that failed.
func (e *events) OnClose(c gnet.Conn, _ error) gnet.Action {
	s, ok := c.Context().(*session)
	if !ok {
		return gnet.None
	}
	defer func() { e.srv.recovered(recover()) }()
	s.closed, s.closing = true, true
	delete(s.loop.watch, s)
	s.loop.quiet.remove(s)
	e.srv.dismiss(s.source)
	e.srv.output.Add(-int64(s.buffered))
	e.srv.input.Add(-int64(s.held))
	s.buffered, s.held = 0, 0
	if s.helloed {
		e.srv.core.closed(s, &s.loop.gone)
	}
	return gnet.None
}

// loopOf returns what belongs to an event loop of gnet.
func (s *Server) loopOf(el gnet.EventLoop) *loop {
	s.loopsMu.Lock()
	defer s.loopsMu.Unlock()
	l := s.loops[el]
	if l == nil {
		l = newLoop(s, el)
		s.loops[el] = l
	}
	return l
}

// allLoops returns the loops that have had a connection.
func (s *Server) allLoops() []*loop {
	s.loopsMu.Lock()
	defer s.loopsMu.Unlock()
	all := make([]*loop, 0, len(s.loops))
	for _, l := range s.loops {
		all = append(all, l)
	}
	return all
}
