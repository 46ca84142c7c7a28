package agent

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

const (
	// patience bounds every wait of the tests; in a bubble it costs nothing.
	patience = 30 * time.Second
	// beatMS is the heartbeat interval that the fake scheduler asks for.
	beatMS = 100
)

// fake is a scheduler whose every word is in the test's script.
type fake struct {
	t       *testing.T
	memory  *memory
	grantor wire.Grantor
	beatMS  uint32  // beatMS, unless a test changes it
	from    *socket // who sent the last datagram
}

func newFake(t *testing.T) *fake {
	return &fake{t: t, memory: newMemory(t), beatMS: beatMS, grantor: wire.Grantor{Epoch: 1, Instance: 7}}
}

func (f *fake) url() string { return "dtask://" + f.memory.addr.String() }

// peer is one connection of an agent, as the fake sees it.
type peer struct {
	t       *testing.T
	conn    net.Conn
	buf     []byte
	decoder wire.Decoder
	request uint64 // of the message read last
	frame   int    // its length with the length bytes
	mute    atomic.Bool
	beatMS  uint32
}

// accept takes the next connection and reads its hello.
func (f *fake) accept() *peer {
	f.t.Helper()
	c, ok := f.memory.accept(patience)
	require.True(f.t, ok, "no agent connected")
	p := &peer{t: f.t, conn: c, beatMS: f.beatMS}
	f.t.Cleanup(func() { c.Close() })
	hello := await[*wire.Hello](p)
	require.Equal(f.t, wire.RoleAgent, hello.Role)
	require.Equal(f.t, "w1", hello.Client)
	return p
}

// greet accepts a connection up to its registration.
func (f *fake) greet() (*peer, *wire.Register) {
	f.t.Helper()
	p := f.accept()
	p.answer(&wire.HelloOK{Version: 1, Server: "fake", Grantor: f.grantor, HeartbeatMS: f.beatMS, StartTTLMS: 10_000})
	return p, await[*wire.Register](p)
}

// admit accepts a connection and its registration, under handle 5.
func (f *fake) admit() (*peer, *wire.Register) {
	f.t.Helper()
	p, m := f.greet()
	copied := *m
	p.admitted(f.grantor)
	return p, &copied
}

// admitted answers a registration and reads the promise.
func (p *peer) admitted(g wire.Grantor) {
	p.t.Helper()
	p.answer(&wire.Registered{Handle: 5, Grantor: g, HeartbeatMS: p.beatMS})
	require.Equal(p.t, &wire.Promised{Handle: 5, Grantor: g}, await[*wire.Promised](p))
}

// next reads one message; it answers pings by itself unless it is mute.
func (p *peer) next() (wire.Message, error) {
	for {
		frame, n, err := wire.Split(p.buf, wire.MaxFrame)
		if err != nil {
			return nil, err
		}
		if frame == nil {
			chunk := make([]byte, 4096)
			n, err := p.conn.Read(chunk)
			if err != nil {
				return nil, err
			}
			p.buf = append(p.buf, chunk[:n]...)
			continue
		}
		p.buf, p.frame = p.buf[n:], n
		m, request, err := p.decoder.Decode(frame)
		if err != nil {
			return nil, err
		}
		p.request = request
		if _, ok := m.(*wire.Ping); !ok {
			return m, nil
		}
		if !p.mute.Load() {
			p.answer(&wire.Pong{})
		}
	}
}

// keep answers registrations until the connection ends, and counts them. It
// runs beside the test.
func (f *fake) keep(p *peer) *atomic.Int64 {
	_ = p.conn.SetReadDeadline(time.Time{})
	registrations := new(atomic.Int64)
	go func() {
		for {
			m, err := p.next()
			if err != nil {
				return
			}
			if _, ok := m.(*wire.Register); ok {
				p.conn.Write(wire.Append(nil, p.request, &wire.Registered{Handle: 5, Grantor: f.grantor, HeartbeatMS: f.beatMS}))
				registrations.Add(1)
			}
		}
	}()
	return registrations
}

// await reads the next message that is not a heartbeat, unless one is asked
// for, and requires its type.
func await[M wire.Message](p *peer) M {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		m, err := p.next()
		require.NoError(p.t, err, "waiting for %T", *new(M))
		if want, ok := m.(M); ok {
			return want
		}
		require.Equal(p.t, wire.KindHeartbeat, m.Kind(), "%+v came instead of %T", m, *new(M))
	}
}

// gone requires that the agent closes the connection.
func (p *peer) gone() {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		if _, err := p.next(); err != nil {
			require.False(p.t, errors.Is(err, os.ErrDeadlineExceeded), "the connection is still open")
			return
		}
	}
}

// answer sends the answer to the message read last.
func (p *peer) answer(m wire.Message) { p.send(p.request, m) }

// push sends what was not asked for.
func (p *peer) push(m wire.Message) { p.send(0, m) }

func (p *peer) send(request uint64, m wire.Message) {
	p.t.Helper()
	_, err := p.conn.Write(wire.Append(nil, request, m))
	require.NoError(p.t, err)
}

// startAgent starts an agent of worker w1 that a test may tune, and stops it in
// the end.
func startAgent(t *testing.T, scheduler string, tune ...func(*Config)) *Agent {
	t.Helper()
	cfg := Config{Scheduler: scheduler, Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 2, TasksDieWithAgent: true, dial: dialMemory}
	cfg.backoff = func(int) time.Duration { return time.Millisecond } // one agent needs no jitter
	for _, f := range tune {
		f(&cfg)
	}
	a, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { a.cancel(); a.wg.Wait(); a.side.close() })
	return a
}

// connected waits until the agent knows that it is registered.
func connected(t *testing.T, a *Agent) {
	t.Helper()
	require.Eventually(t, func() bool { return a.Status().Connected }, patience, time.Millisecond)
}

// handover is a lease of the fake, rightly addressed to the agent.
func handover(a *Agent, counter uint64) wire.Handover {
	return wire.Handover{
		Lease:  wire.LeaseID{Epoch: 1, Instance: 7, Counter: counter},
		Worker: "w1", Address: "h:1", Incarnation: a.Status().Incarnation, Task: "t", Client: "c",
	}
}

// listed returns the counters of the leases of a registration with outcomes.
func listed(m *wire.Register) map[uint64]wire.Reason {
	leases := make(map[uint64]wire.Reason)
	for i := range m.Leases {
		leases[m.Leases[i].Lease.Counter] = m.Leases[i].Outcome
	}
	return leases
}
