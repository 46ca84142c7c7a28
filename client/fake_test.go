package client

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// patience bounds every wait of a test.
const patience = 30 * time.Second

// graceOfFake is the grace of a fake, in milliseconds.
const graceOfFake = 5_000

// fake is a scheduler with one worker of endless room, whose answers a test may
// bend. It believes every renewal until a test says otherwise.
type fake struct {
	t        *testing.T
	listener net.Listener
	startTTL time.Duration
	old      bool // knows no selectors, devices, gangs and preemption

	mu       sync.Mutex // Guards what follows.
	conns    map[net.Conn]*peer
	counter  uint64
	leases   map[string]wire.LeaseID // by client and task
	states   map[wire.LeaseID]wire.LeaseStatus
	released map[wire.LeaseID]int  // how often
	handed   map[wire.LeaseID]bool // as the release said
	renewals map[wire.LeaseID]int
	hellos   []string
	// bend may answer a message itself, or drop it, by returning true.
	bend func(p *peer, request uint64, m wire.Message) bool
}

// peer is one connection of a fake.
type peer struct {
	fake   *fake
	nc     net.Conn
	client string
	mu     sync.Mutex // Guards writes.
}

func (p *peer) send(request uint64, m wire.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.nc.Write(wire.Append(nil, request, m)) // a test may have closed it
}

func newFake(t *testing.T) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fake{
		t: t, listener: l, startTTL: 10 * time.Second, conns: map[net.Conn]*peer{},
		leases: map[string]wire.LeaseID{}, states: map[wire.LeaseID]wire.LeaseStatus{},
		released: map[wire.LeaseID]int{}, handed: map[wire.LeaseID]bool{}, renewals: map[wire.LeaseID]int{},
	}
	t.Cleanup(func() {
		l.Close()
		f.drop()
	})
	go f.accept()
	return f
}

func (f *fake) addr() string { return f.listener.Addr().String() }

// dial returns a client of f that is closed with the test.
func (f *fake) dial(o *Options) *Client {
	c, err := Dial(f.t.Context(), []string{f.addr()}, o)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { c.Close() })
	return c
}

func (f *fake) accept() {
	for {
		nc, err := f.listener.Accept()
		if err != nil {
			return
		}
		p := &peer{fake: f, nc: nc}
		f.mu.Lock()
		f.conns[nc] = p
		f.mu.Unlock()
		go f.serve(p)
	}
}

// drop closes every connection.
func (f *fake) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for nc := range f.conns {
		nc.Close()
		delete(f.conns, nc)
	}
}

// push sends a message to everybody who is connected.
func (f *fake) push(m wire.Message) {
	f.mu.Lock()
	peers := slices.Collect(maps.Values(f.conns))
	f.mu.Unlock()
	for _, p := range peers {
		p.send(0, m)
	}
}

func (f *fake) serve(p *peer) {
	defer p.nc.Close()
	in := newInput(p.nc)
	for {
		m, request, err := in.message()
		if err != nil {
			return
		}
		f.mu.Lock()
		bend := f.bend
		f.mu.Unlock()
		if bend == nil || !bend(p, request, m) {
			p.send(request, f.answer(p, m))
		}
	}
}

// answer is what an unbent fake says.
func (f *fake) answer(p *peer, m wire.Message) wire.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m := m.(type) {
	case *wire.Hello:
		p.client = m.Client
		f.hellos = append(f.hellos, m.Client)
		hello := &wire.HelloOK{Version: wire.Version, Server: "fake", Grantor: wire.Grantor{Epoch: 1, Instance: 7}, StartTTLMS: uint32(f.startTTL.Milliseconds())}
		if !f.old {
			hello.Limits = map[string]uint64{"selector": wire.MaxSelector, "not_workers": wire.MaxNotWorkers, "devices": wire.MaxDevices, "grace_ms": graceOfFake, "wait_ms": wire.MaxWait}
		}
		return hello
	case *wire.Ping:
		return &wire.Pong{}
	case *wire.Schedule:
		placed := f.place(p, m)
		return &placed
	case *wire.Batch:
		all := &wire.PlacedAll{}
		for i := range m.Tasks {
			all.Results = append(all.Results, wire.BatchResult{Placed: f.place(p, &m.Tasks[i])})
		}
		return all
	case *wire.Renew:
		answer := &wire.Renewed{}
		for _, id := range m.Leases {
			f.renewals[id]++
			answer.Leases = append(answer.Leases, f.states[id])
		}
		return answer
	case *wire.Release:
		return f.release(m)
	}
	return &wire.Error{Code: wire.CodeUnknownKind, Message: "the fake does not know " + m.Kind().String()}
}

func (f *fake) place(p *peer, m *wire.Schedule) wire.Placed {
	key := p.client + " " + string(m.Task)
	id, again := f.leases[key]
	placed := wire.Placed{Lease: id, Target: wire.AppendTarget(nil, "w1", "h:1"), Incarnation: 9, TTLMS: m.TTLMS}
	if placed.TTLMS == 0 {
		placed.TTLMS = uint32(f.startTTL.Milliseconds())
	}
	if again {
		placed.Flags = wire.PlacedRepeat
		return placed
	}
	f.counter++
	placed.Lease = wire.LeaseID{Epoch: 1, Instance: 7, Counter: f.counter}
	f.leases[key] = placed.Lease
	f.states[placed.Lease] = wire.LeaseStatus{State: wire.StateGranted}
	return placed
}

// release ends a lease that was not handed over, and asks back one that was.
func (f *fake) release(m *wire.Release) wire.Message {
	f.released[m.Lease]++
	f.handed[m.Lease] = m.Handed
	switch s := f.states[m.Lease]; s.State {
	case wire.StateNone:
		return &wire.Released{Code: wire.CodeNotFound}
	case wire.StateEnded:
		return &wire.Released{Code: wire.CodeAlreadyEnded, Reason: s.Reason}
	case wire.StateBegun:
		return &wire.Released{Code: wire.CodeBegun}
	case wire.StateAskedBack:
		return &wire.Released{Code: wire.CodeAskedBack}
	}
	if m.Handed {
		f.states[m.Lease] = wire.LeaseStatus{State: wire.StateAskedBack}
		return &wire.Released{Code: wire.CodeAskedBack}
	}
	f.endLocked(m.Lease, wire.ReasonReleased)
	return &wire.Released{}
}

func (f *fake) endLocked(id wire.LeaseID, r wire.Reason) {
	f.states[id] = wire.LeaseStatus{State: wire.StateEnded, Reason: r}
	for key, held := range f.leases {
		if held == id {
			delete(f.leases, key)
		}
	}
}

// set changes what f answers about a lease.
func (f *fake) set(id wire.LeaseID, s wire.State, r wire.Reason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[id] = wire.LeaseStatus{State: s, Reason: r}
}

func (f *fake) setBend(bend func(p *peer, request uint64, m wire.Message) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bend = bend
}

func (f *fake) state(id wire.LeaseID) wire.LeaseStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states[id]
}

// live counts the leases that take room.
func (f *fake) live() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.states {
		if s.State != wire.StateEnded {
			n++
		}
	}
	return n
}

func (f *fake) count(of map[wire.LeaseID]int, id wire.LeaseID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return of[id]
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, patience, time.Millisecond, what)
}

// within returns a context that ends with the patience of the test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustSchedule(t *testing.T, c *Client, task Task) *Lease {
	t.Helper()
	l, err := c.Schedule(within(t), task)
	require.NoError(t, err)
	return l
}
