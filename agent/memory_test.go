package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test under a clock of its own, which moves when everybody
// waits: nothing in it depends on how busy the machine is.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// memory is a scheduler's address on a network in the memory of the test.
// Nothing is lost or late there unless a test makes it so.
type memory struct {
	addr   netip.AddrPort
	conns  chan net.Conn // that an agent has dialled
	ended  chan struct{} // closed when nobody accepts any more
	end    func()
	server *socket

	mu    sync.Mutex           // guards what follows
	deaf  bool                 // nobody listens for datagrams
	carry func(deliver func()) // lets a datagram travel; nil: at once
}

// memories are all addresses of the tests that run.
var memories struct {
	mu  sync.Mutex // guards what follows
	by  map[string]*memory
	all int
}

func newMemory(t *testing.T) *memory {
	m := &memory{conns: make(chan net.Conn, 16), ended: make(chan struct{}), deaf: true}
	m.server = newSocket(m, nil)
	m.end = sync.OnceFunc(func() { close(m.ended); m.server.Close() })
	t.Cleanup(m.end)
	memories.mu.Lock()
	defer memories.mu.Unlock()
	if memories.by == nil {
		memories.by = make(map[string]*memory)
	}
	memories.all++
	m.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(memories.all >> 8), byte(memories.all)}), 8081)
	memories.by[m.addr.String()] = m
	return m
}

// dialMemory is how agents connect.
func dialMemory(ctx context.Context, network, address string) (net.Conn, error) {
	memories.mu.Lock()
	m := memories.by[address]
	memories.mu.Unlock()
	if m == nil {
		return nil, errors.New("there is no " + address)
	}
	if network == "udp" {
		return newSocket(m, m.server), nil
	}
	near, far := newStreams(m.addr)
	select {
	case <-m.ended:
	case <-ctx.Done():
	case m.conns <- far:
		return near, nil
	}
	return nil, errors.New("nobody accepts at " + address)
}

// accept returns the next connection. It reports false if none comes.
func (m *memory) accept(within time.Duration) (net.Conn, bool) {
	select {
	case c := <-m.conns:
		return c, true
	case <-m.ended:
	case <-time.After(within):
	}
	return nil, false
}

// listens has the scheduler hear datagrams, or not any more.
func (m *memory) listens(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf = !yes
}

// sent lets a datagram travel.
func (m *memory) sent(to *socket, d datagram) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to == m.server && m.deaf {
		return
	}
	if m.carry == nil {
		to.put(d)
		return
	}
	m.carry(func() { to.put(d) })
}

// datagram is one on its way.
type datagram struct {
	bytes []byte
	from  *socket
}

// socket sends and takes datagrams: an agent's, to the scheduler, or the
// scheduler's, to whom it names.
type socket struct {
	memory *memory
	peer   *socket // of an agent's
	in     *half
	queue  []datagram // guarded by the lock of in
}

func newSocket(m *memory, peer *socket) *socket { return &socket{memory: m, peer: peer, in: newHalf()} }

// maxQueued is how many datagrams a socket holds; others are lost.
const maxQueued = 1024

func (s *socket) put(d datagram) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if len(s.queue) < maxQueued {
		s.queue = append(s.queue, d)
		s.in.cond.Broadcast()
	}
}

// take waits for a datagram.
func (s *socket) take() (datagram, error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if err := s.in.wait(func() bool { return len(s.queue) > 0 }); err != nil {
		return datagram{}, err
	}
	d := s.queue[0]
	s.queue = s.queue[1:]
	return d, nil
}

func (s *socket) Read(b []byte) (int, error) {
	d, err := s.take()
	return copy(b, d.bytes), err
}

func (s *socket) Write(b []byte) (int, error) { return s.writeTo(b, s.peer) }

func (s *socket) writeTo(b []byte, to *socket) (int, error) {
	s.memory.sent(to, datagram{append([]byte(nil), b...), s})
	return len(b), nil
}

func (s *socket) Close() error                       { s.in.close(); return nil }
func (s *socket) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(s.memory.addr) }
func (s *socket) RemoteAddr() net.Addr               { return s.LocalAddr() }
func (s *socket) SetDeadline(t time.Time) error      { return s.SetReadDeadline(t) }
func (s *socket) SetReadDeadline(t time.Time) error  { s.in.limit(t); return nil }
func (s *socket) SetWriteDeadline(t time.Time) error { return nil }

// half is one direction of a stream, and what a reader waits by.
type half struct {
	mu     sync.Mutex // guards what follows
	cond   *sync.Cond
	bytes  []byte
	closed bool
	until  time.Time // the reader's deadline
	timer  *time.Timer
}

func newHalf() *half {
	h := &half{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.cond.Broadcast()
}

// limit sets the deadline of the reader.
func (h *half) limit(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until = t; h.timer != nil {
		h.timer.Stop()
	}
	if !t.IsZero() && !h.closed {
		h.timer = time.AfterFunc(time.Until(t), func() { h.mu.Lock(); defer h.mu.Unlock(); h.cond.Broadcast() })
	}
	h.cond.Broadcast()
}

// wait waits until there is something to read. The lock is held.
func (h *half) wait(ready func() bool) error {
	for !ready() {
		switch {
		case h.closed:
			return io.EOF
		case !h.until.IsZero() && !time.Now().Before(h.until):
			return os.ErrDeadlineExceeded
		}
		h.cond.Wait()
	}
	return nil
}

// stream is one end of a connection. Writes never wait.
type stream struct {
	in, out *half
	addr    netip.AddrPort
}

func newStreams(addr netip.AddrPort) (near, far *stream) {
	up, down := newHalf(), newHalf()
	return &stream{down, up, addr}, &stream{up, down, addr}
}

func (s *stream) Read(b []byte) (int, error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if err := s.in.wait(func() bool { return len(s.in.bytes) > 0 }); err != nil {
		return 0, err
	}
	n := copy(b, s.in.bytes)
	s.in.bytes = s.in.bytes[n:]
	return n, nil
}

func (s *stream) Write(b []byte) (int, error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.closed {
		return 0, net.ErrClosed
	}
	s.out.bytes = append(s.out.bytes, b...)
	s.out.cond.Broadcast()
	return len(b), nil
}

func (s *stream) Close() error {
	s.in.close()
	s.out.close()
	return nil
}

func (s *stream) LocalAddr() net.Addr                { return net.TCPAddrFromAddrPort(s.addr) }
func (s *stream) RemoteAddr() net.Addr               { return s.LocalAddr() }
func (s *stream) SetDeadline(t time.Time) error      { return s.SetReadDeadline(t) }
func (s *stream) SetReadDeadline(t time.Time) error  { s.in.limit(t); return nil }
func (s *stream) SetWriteDeadline(t time.Time) error { return nil }
