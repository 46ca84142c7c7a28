package fake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	// Address is what Dial passes to the client library; it means nothing.
	Address = "fake"
	// renewWithin is the TTL of the greeting, so that their renewals, in
	// real time, soon tell them what became of their leases.
	renewWithin = 60 * time.Millisecond
	// step is the longest time that Advance lets pass between two reports of
	// the workers.
	step = time.Second
)

// TB is what New needs of *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Config changes times and limits of the scheduler; zero fields mean the usual
// values.
type Config struct {
	StartTTL       time.Duration // how long a lease that has not begun lives without renewals; 10 s
	Retention      time.Duration // how long a worker that is offline is kept; 10 minutes
	Grace          time.Duration // how long a preempted task may go on; 30 s
	LeasesPerOwner int           // live leases of one owner; no limit
}

// Scheduler is a scheduler in memory. It is safe for concurrent use. Its methods
// fail the test where they say so; without a test, after Start, they panic.
type Scheduler struct {
	tb  TB // nil unless made by New
	cfg sched.Config

	mu       sync.Mutex // Guards what follows.
	state    *sched.State
	now      sched.Time
	sessions sched.Session // the last one given out
	peers    map[*peer]bool
	workers  map[string]*Worker
	bySess   map[sched.Session]*Worker
	order    []*Worker // as they were added
	out      sched.Outbox
	decoder  wire.Decoder // of what workers send
	frame    []byte       // the last of it
	closed   bool
	down     bool
	clients  []*client.Client
}

// New returns a scheduler that is closed when the test ends.
func New(tb TB) *Scheduler {
	tb.Helper()
	s, err := Start(Config{})
	if err != nil {
		tb.Fatalf("%v", err)
	}
	s.tb = tb
	tb.Cleanup(s.Close)
	return s
}

// Start returns a scheduler without workers; Close ends it. The error names what
// is out of range.
func Start(c Config) (*Scheduler, error) {
	cfg := sched.DefaultConfig()
	cfg.Quarantine = false // a test lets tasks fail on purpose
	cfg.Version = "fake"
	if c.StartTTL != 0 {
		cfg.StartTTL = sched.Time(c.StartTTL.Milliseconds())
	}
	if c.Retention != 0 {
		cfg.Retention = sched.Time(c.Retention.Milliseconds())
	}
	cfg.MaxOwnerLeases = c.LeasesPerOwner
	if c.Grace != 0 {
		cfg.PreemptGrace = sched.Time(c.Grace.Milliseconds())
	}
	s := &Scheduler{cfg: cfg, peers: map[*peer]bool{}, workers: map[string]*Worker{}}
	if err := s.begin(); err != nil {
		return nil, err
	}
	return s, nil
}

// begin starts a life of the scheduler, which knows nothing.
func (s *Scheduler) begin() error {
	s.cfg.Instance = rand.Uint32() | 1
	s.cfg.Seed = rand.Uint64()
	state, err := sched.New(s.cfg)
	if err != nil {
		return err
	}
	s.state, s.bySess = state, map[sched.Session]*Worker{}
	return nil
}

// Dial returns a client of the scheduler. One made by New fails the test if that
// is not possible, and closes the client with it.
func (s *Scheduler) Dial() *client.Client {
	c, err := s.DialWith(context.Background(), nil)
	if err != nil {
		s.fatalf("dialing the fake scheduler: %v", err)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, c)
	return c
}

// DialWith is client.Dial to this scheduler; Options.Dial is replaced.
func (s *Scheduler) DialWith(ctx context.Context, o *client.Options) (*client.Client, error) {
	var own client.Options
	if o != nil {
		own = *o
	}
	own.Dial = s.DialContext
	return client.Dial(ctx, []string{Address}, &own)
}

// ErrDown answers connections while the scheduler is down, and after Close.
var ErrDown = errors.New("fake: the scheduler is down")

// DialContext returns the client's end of a new connection, whatever the
// address: it fits client.Options.Dial.
func (s *Scheduler) DialContext(context.Context, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.down {
		return nil, ErrDown
	}
	near, far := net.Pipe()
	s.sessions++
	p := &peer{scheduler: s, session: s.sessions, nc: far, gone: make(chan struct{}), wake: make(chan struct{}, 1)}
	s.peers[p] = true
	go p.serve()
	go p.deliver()
	return near, nil
}

// Close ends the scheduler, its connections and the clients of Dial.
func (s *Scheduler) Close() {
	s.mu.Lock()
	s.closed = true
	clients := s.clients
	s.clients = nil
	s.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	s.hangUp()
}

// hangUp ends every connection and waits until the last one is forgotten.
func (s *Scheduler) hangUp() {
	s.mu.Lock()
	var peers []*peer
	for p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.Unlock()
	for _, p := range peers {
		p.nc.Close()
		<-p.gone
	}
}

// Disconnect breaks every client's connection; they connect again at once.
func (s *Scheduler) Disconnect() { s.hangUp() }

// Stop takes the scheduler down: connections break and new ones fail, until
// Restart. Workers go on.
func (s *Scheduler) Stop() {
	s.mu.Lock()
	for _, w := range s.order {
		w.hangUp()
	}
	s.down = true
	s.mu.Unlock()
	s.hangUp()
}

// Restart begins a new life of the scheduler, which remembers nothing. The
// workers register again, with what they run; leases that have not begun are
// lost. Clients connect again by themselves.
func (s *Scheduler) Restart() {
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(); err != nil {
		s.fatalf("restarting the fake scheduler: %v", err)
		return
	}
	s.down = false
	for _, w := range s.order {
		if !w.silent {
			w.connect()
		}
	}
}

// Advance lets time pass at once, for the scheduler and its workers. It returns
// when everything that became due has happened.
func (s *Scheduler) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.now + sched.Time(d.Milliseconds())
	for s.now < end {
		stop := min(end, s.now+sched.Time(step.Milliseconds()))
		for due := s.state.NextPulse(); due < stop; due = s.state.NextPulse() {
			s.now = max(s.now, due)
			s.pulse()
		}
		s.now = stop
		for _, w := range s.order {
			w.report()
		}
		s.pulse()
	}
}

// pulse does what is due.
func (s *Scheduler) pulse() {
	for s.state.NextPulse() <= s.now {
		s.out.Reset()
		s.state.Pulse(s.now, &s.out)
		s.route()
	}
}

// apply hands one message to the core. What it wants sent is delivered, and so
// are the answers of workers.
func (s *Scheduler) apply(from sched.Session, request uint64, m wire.Message) {
	s.out.Reset()
	s.state.Apply(s.now, from, request, m, &s.out)
	s.route()
}

// route delivers what the core wants sent: to workers at once, to clients by
// their connections.
func (s *Scheduler) route() {
	type push struct {
		to *Worker
		m  wire.Message
	}
	var pushes []push
	for i := range s.out.Items {
		it := &s.out.Items[i]
		m := it.Message()
		if w := s.bySess[it.To]; w != nil {
			if r, ok := m.(*wire.Revoke); ok {
				copied := *r // the outbox is used again
				m = &copied
			}
			pushes = append(pushes, push{w, m})
			continue
		}
		if ok, is := m.(*wire.HelloOK); is {
			ok.StartTTLMS = min(ok.StartTTLMS, uint32(renewWithin.Milliseconds()))
		}
		for p := range s.peers {
			if p.session == it.To {
				p.put(it.Request, m)
			}
		}
	}
	for _, p := range pushes {
		p.to.receive(p.m)
	}
}

// Check reports the first broken invariant of the scheduler's core.
func (s *Scheduler) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Check()
}

func (s *Scheduler) fatalf(format string, args ...any) {
	if s.tb == nil {
		panic(fmt.Sprintf(format, args...))
	}
	s.tb.Helper()
	s.tb.Fatalf(format, args...)
}
