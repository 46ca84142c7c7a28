// Package server puts the scheduler on the network: the native protocol on
// event loops, the HTTP API on net/http, one lock and one clock around one
// sched.State.
package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// Server is one scheduler on its two ports.
type Server struct {
	cfg     Config
	log     *slog.Logger
	limiter *limiter
	core    *core
	hooks   hooks

	http     *http.Server
	httpLn   *gateway.Listener
	httpAddr string
	udp      *udpPort // nil without Config.UDP
	addr     string

	connections atomic.Int64  // of both ports
	lastSession atomic.Uint64 // ids are never used again
	output      atomic.Int64  // bytes that wait in gnet for peers
	input       atomic.Int64  // bytes of unfinished frames
	refusing    atomic.Bool   // no new connections: the server is stopping
	closes      [maxCode]atomic.Uint64
	panics      atomic.Uint64 // in handlers
	slowSeen    atomic.Uint64 // uses of the core that were slow

	webConnections atomic.Int64 // of connections those of the HTTP port
	web            sharedMeter
	copies         meterCopies
	scans          fleetScans
	vital          vital
	scrape         http.Handler // of GET /metrics; nil without Config.Metrics

	loopsMu sync.Mutex // guards loops
	loops   map[gnet.EventLoop]*loop

	sources  sources
	restarts atomic.Uint64 // of the event loops

	engineMu   sync.Mutex // guards engine, listenFD and engineDone, and their replacement
	engine     gnet.Engine
	listenFD   int // a second descriptor of the native port, -1 for none
	engineDone chan struct{}

	started  atomic.Bool
	stopping atomic.Bool
	ending   atomic.Bool    // the engines are being stopped
	helpers  sync.WaitGroup // courier, pulse, sweeper, prober
	stop     chan struct{}  // ends the helpers

	endOnce sync.Once
	ended   chan struct{}
	endErr  error
	done    chan error
}

// maxCode is above every wire.Code that is counted.
const maxCode = 64

// hooks are set by tests alone, before Start.
type hooks struct {
	poison func(consumed []byte)   // may scribble over what was read
	probe  func(addr string) error // says whether a UDP port is free
}

// ErrStopped is returned by Start on a server that was started before.
var ErrStopped = errors.New("server: a Server starts once")

// New returns a server that is not started yet. Errors are those of
// Config.Verify, an address that does not resolve, or *InsecureError.
func New(cfg Config) (*Server, error) {
	if err := cfg.Verify(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	for _, a := range []*string{&cfg.Addr, &cfg.HTTPAddr} {
		if err := resolve(a, cfg.Insecure); err != nil {
			return nil, err
		}
	}
	if err := draw(&cfg); err != nil {
		return nil, err
	}
	c, err := newCore(&cfg, cfg.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:      cfg,
		log:      cfg.Logger,
		core:     c,
		limiter:  newLimiter(c.clock.now),
		loops:    make(map[gnet.EventLoop]*loop),
		sources:  sources{open: make(map[netip.Addr]int)},
		listenFD: -1,
		stop:     make(chan struct{}),
		ended:    make(chan struct{}),
		done:     make(chan error, 1),
		copies:   meterCopies{by: make(map[*loop]*meter)},
		vital:    newVital(&cfg),
	}
	c.slowAfter, c.slow = cfg.SlowDecision, s.slowDecision
	if cfg.Metrics {
		s.scrape = metricsHandler(s)
	}
	return s, nil
}

// InsecureError refuses an address that other machines can reach.
type InsecureError struct {
	Addr string
}

// Error implements error.
func (e *InsecureError) Error() string {
	return fmt.Sprintf("server: %s can be reached by other machines, and there is no authentication; "+
		"set Config.Insecure to listen there all the same", e.Addr)
}

// resolve replaces a host name by its address and refuses one that is not this
// machine's alone, unless that is allowed.
func resolve(addr *string, insecure bool) error {
	if *addr == "" {
		return nil
	}
	a, err := net.ResolveTCPAddr("tcp", *addr)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if !insecure && !a.IP.IsLoopback() {
		return &InsecureError{Addr: *addr}
	}
	*addr = a.String()
	return nil
}

// draw gives this life of the scheduler its name and its hash seed.
func draw(cfg *Config) error {
	var b [12]byte
	if _, err := rand.Read(b[:]); err != nil {
		return fmt.Errorf("server: no random numbers: %w", err)
	}
	if cfg.Sched.Instance == 0 {
		cfg.Sched.Instance = binary.LittleEndian.Uint32(b[:]) | 1
	}
	if cfg.Sched.Seed == 0 {
		cfg.Sched.Seed = binary.LittleEndian.Uint64(b[4:])
	}
	return nil
}

// Start binds both ports and serves. It returns when connections are accepted,
// or with the reason why a port cannot be had; nothing listens then.
func (s *Server) Start() error {
	if s.started.Swap(true) {
		return ErrStopped
	}
	if err := s.fitFiles(); err != nil {
		return s.abandon(err)
	}
	if err := s.listenHTTP(); err != nil {
		return s.abandon(err)
	}
	if err := s.listenNative(); err != nil {
		return s.abandon(err)
	}
	for _, help := range []func(<-chan struct{}){s.core.clock.run, s.core.courier.run, s.core.pulse, s.sweeper, s.prober} {
		s.helpers.Go(func() { help(s.stop) })
	}
	go s.supervise()
	if s.udp != nil {
		go s.watch(s.udp.ended, "the loop of datagrams")
	}
	if s.httpLn != nil {
		go s.serveHTTP()
	}
	return nil
}

// fitFiles lowers the limit of connections to what the limit of descriptors
// allows.
func (s *Server) fitFiles() error {
	got, err := raiseFiles(s.cfg.MaxConnections, s.cfg.Loops)
	if err != nil {
		return err
	}
	if got.connections < s.cfg.MaxConnections {
		s.log.Warn("the limit of descriptors lowers the limit of connections",
			"wanted", s.cfg.MaxConnections, "connections", got.connections, "remedy", "raise ulimit -n")
	}
	s.cfg.MaxConnections, s.cfg.backlog = got.connections, got.backlog
	return nil
}

// abandon undoes a start that failed.
func (s *Server) abandon(err error) error {
	s.stopping.Store(true)
	if s.httpLn != nil {
		_ = s.httpLn.Close()
	}
	s.end(err)
	return err
}

// Addr returns the address of the native protocol, TCP and UDP alike, after
// Start.
func (s *Server) Addr() string { return s.addr }

// HTTPAddr returns the address of the HTTP API, after Start; "" without one.
func (s *Server) HTTPAddr() string { return s.httpAddr }

// Done gives the error that ended the server, nil after Shutdown or Kill, and
// is closed then. The error is given once; Wait gives it any number of times.
func (s *Server) Done() <-chan error { return s.done }

// Wait returns when the server has ended, with the error that ended it.
func (s *Server) Wait() error {
	<-s.ended
	return s.endErr
}

// end publishes how the server ended, once.
func (s *Server) end(err error) {
	s.endOnce.Do(func() {
		s.endErr = err
		s.done <- err
		close(s.done)
		close(s.ended)
	})
}

// watch ends the server when a part of it ended without a request:
// something would not be served any more, so the process should go and be
// restarted.
func (s *Server) watch(ended <-chan struct{}, what string) {
	<-ended
	s.collapse(errors.New("server: " + what + " ended unasked"))
}

// collapse ends the server with an error, unless it is stopping already.
func (s *Server) collapse(err error) {
	if s.stopping.Swap(true) {
		return
	}
	s.refusing.Store(true)
	s.log.Error("the server ends", "cause", err.Error())
	if s.http != nil {
		_ = s.http.Close()
	}
	s.stopHelpers()
	s.stopEngine()
	s.end(err)
}

func (s *Server) stopHelpers() {
	close(s.stop)
	s.helpers.Wait()
}

// Kill ends the server at once: nothing is flushed and no peer gets a message, as if
// the process had been killed. A new Server may take the same ports when it
// returns.
func (s *Server) Kill() {
	if !s.started.Load() {
		return
	}
	if s.stopping.Swap(true) {
		<-s.ended
		return
	}
	s.refusing.Store(true)
	if s.http != nil {
		_ = s.http.Close()
	}
	s.stopHelpers()
	s.stopEngine()
	s.end(nil)
}

// Shutdown answers what is in flight, refuses what comes later, waits until
// everything has left (at most Config.StopTimeout, or until ctx ends), and
// stops. The error is that of ctx, if it cut the wait short.
func (s *Server) Shutdown(ctx context.Context) error {
	if !s.started.Load() || s.stopping.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StopTimeout)
	defer cancel()
	s.refusing.Store(true)
	httpDone := make(chan error, 1)
	go func() { httpDone <- s.shutdownHTTP(ctx) }()
	s.settle(ctx)
	s.core.drain()
	err := <-httpDone
	if e := s.flush(ctx); err == nil {
		err = e
	}
	s.stopHelpers()
	s.stopEngine()
	s.end(nil)
	return err
}

// settleTurns is how many turns each loop gets before new work is refused: one
// reads what the kernel holds, the next what came with it.
const settleTurns = 2

// settle lets the loops handle what clients sent before the stop. A client that
// never pauses may take a quarter of the time there is.
func (s *Server) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StopTimeout/4)
	defer cancel()
	for range settleTurns {
		s.eachLoop(ctx, func(*loop) {})
	}
	_ = s.flush(ctx)
}

// flushPoll is how often flush looks whether everything has left.
const flushPoll = 2 * time.Millisecond

// flush waits until no input is left over and no output waits.
func (s *Server) flush(ctx context.Context) error {
	for {
		var busy atomic.Bool
		s.eachLoop(ctx, func(l *loop) {
			if l.busy() {
				busy.Store(true)
			}
		})
		s.core.mu.Lock()
		idle := s.core.courier.idle()
		s.core.mu.Unlock()
		if idle && !busy.Load() && ctx.Err() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(flushPoll):
		}
	}
}

// eachLoop runs f on every loop and waits for all of them, or for ctx.
func (s *Server) eachLoop(ctx context.Context, f func(*loop)) {
	loops, ended := s.allLoops(), s.engineEnd()
	ran := make(chan struct{}, len(loops))
	for _, l := range loops {
		l.post(func() {
			f(l)
			ran <- struct{}{}
		})
	}
	for range loops {
		select {
		case <-ran:
		case <-ctx.Done():
			return
		case <-ended:
			return
		}
	}
}

// engineEnd is closed when the event loops of now have ended.
func (s *Server) engineEnd() <-chan struct{} {
	s.engineMu.Lock()
	defer s.engineMu.Unlock()
	return s.engineDone
}

// recovered logs a panic that did not touch the core. It reports whether there
// was one.
func (s *Server) recovered(cause any) bool {
	if cause == nil {
		return false
	}
	s.faulted("a fault in a connection's handler; it closes", cause, debug.Stack())
	s.closes[wire.CodeInternal].Add(1)
	return true
}

// faulted counts and logs a panic in a handler.
func (s *Server) faulted(line string, cause any, stack []byte, more ...any) {
	s.panics.Add(1)
	if ok, dropped := s.limiter.allow("panic"); ok {
		s.log.Error(line, append(more, "cause", fmt.Sprint(cause), "stack", string(stack), "dropped", dropped)...)
	}
}

// slowDecision counts and logs a use of the core that took longer than
// Config.SlowDecision. id is that of an HTTP request, "" without one.
func (s *Server) slowDecision(op string, requests int, took time.Duration, id string) {
	s.slowSeen.Add(1)
	if ok, dropped := s.limiter.allow("slow"); ok {
		line := []any{"op", op, "requests", requests, "took", took, "dropped", dropped}
		if id != "" {
			line = append(line, "request_id", id)
		}
		s.log.Warn("a slow decision", line...)
	}
}

// countClose counts a connection that closes for a reason, and logs it.
func (s *Server) countClose(code wire.Code) {
	if int(code) < len(s.closes) {
		s.closes[code].Add(1)
	}
	reason := code.String()
	if ok, dropped := s.limiter.allow(reason); ok {
		s.log.Info("connection closed", "reason", reason, "dropped", dropped)
	}
}

// foreignSeen logs a peer that speaks another protocol.
func (s *Server) foreignSeen(f foreign) {
	name := "HTTP"
	if f == foreignTLS {
		name = "TLS"
	}
	s.closes[wire.CodeProtocol].Add(1)
	if ok, dropped := s.limiter.allow("foreign " + name); ok {
		s.log.Warn("a peer speaks "+name+" on the native port", "port", s.addr, "dropped", dropped)
	}
}
