package client

import (
	"context"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of one connection.
const (
	// MaxInFlight is how many requests of one Conn may wait for an answer.
	MaxInFlight = 1 << slotBits
	// maxOut is how many bytes may wait for the writer before callers wait. It
	// holds more than one frame of the largest size.
	maxOut = 2 * wire.MaxFrame
	// keepOut is the capacity that a write buffer keeps between bursts.
	keepOut = 256 << 10
	// slotBits is the part of a request id that names its slot; the rest is the
	// slot's generation, so that a stray answer is noticed.
	slotBits       = 12
	slotMask       = MaxInFlight - 1
	generationMask = 1<<(32-slotBits) - 1
	// handshakeTimeout bounds connecting and the exchange of hello.
	handshakeTimeout = 5 * time.Second
	// lingerTimeout bounds how long Close waits for the last bytes to leave.
	lingerTimeout = time.Second
)

// Done receives the answer of one request, or why there is none: a *wire.Error
// from the scheduler, or an error that wraps ErrDisconnected or ErrClosed. It is
// called once, on the connection's reading goroutine, so it must not block; it
// may call Go and Send. The message and what it points to are valid until Done
// returns.
type Done func(m wire.Message, err error)

// Conn is one pipelined connection to a scheduler: many requests in flight,
// answers matched by request id, writes of many goroutines joined into one. It
// knows nothing of leases and never reconnects; Client does. It is safe for
// concurrent use.
type Conn struct {
	nc      net.Conn
	welcome wire.HelloOK
	push    func(wire.Message)
	wake    chan struct{} // tells the writer that there is something to do
	gone    chan struct{} // closed when every request has its error
	written chan struct{} // closed when the writer has returned
	reads   atomic.Uint64 // how often bytes came in

	mu       sync.Mutex // Guards what follows; never held around I/O or a Done.
	out      []byte     // frames that the writer has not taken yet
	slots    []slot     // requests by the low bits of their id
	free     []uint32   // slots that hold no request
	waiting  []chan struct{}
	sleeping bool  // the writer waits for wake
	reading  bool  // the reader hands out answers and wakes the writer afterwards
	err      error // why the connection ended; nil while it lives
}

// slot is one request in flight.
type slot struct {
	done       Done // nil: free
	generation uint32
}

// DialConn connects to addr, read by ParseAddrs, over TCP and says hello. push receives the messages
// that answer no request, and *wire.Error that names none; it obeys the rules of
// Done and may be nil. Those of a kind that this package does not know are left
// out.
func DialConn(ctx context.Context, addr string, hello *wire.Hello, push func(wire.Message)) (*Conn, error) {
	addr, err := parseAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("dtask: %w", err)
	}
	d := net.Dialer{Timeout: handshakeTimeout, KeepAliveConfig: keepAlive}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewConn(ctx, nc, hello, push)
}

// keepAlive finds a dead peer on an idle connection within half a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// NewConn says hello on a connection that exists and takes it over; it closes nc
// if that fails. A version range of 0 in hello is replaced by this package's.
func NewConn(ctx context.Context, nc net.Conn, hello *wire.Hello, push func(wire.Message)) (*Conn, error) {
	c := &Conn{
		nc: nc, push: push,
		wake: make(chan struct{}, 1), gone: make(chan struct{}), written: make(chan struct{}),
	}
	in := newInput(nc)
	if err := c.handshake(ctx, in, hello); err != nil {
		nc.Close()
		return nil, err
	}
	go c.write()
	go c.read(in)
	return c, nil
}

// handshake exchanges hello within the context and handshakeTimeout.
func (c *Conn) handshake(ctx context.Context, in *input, hello *wire.Hello) error {
	if err := c.nc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
	err := c.greet(in, hello)
	if !stop() {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return c.nc.SetDeadline(time.Time{})
}

// greet sends hello and reads the answer.
func (c *Conn) greet(in *input, hello *wire.Hello) error {
	h := *hello
	if h.MaxVersion == 0 {
		h.MinVersion, h.MaxVersion = wire.MinVersion, wire.Version
	}
	if _, err := c.nc.Write(wire.Append(nil, 1, &h)); err != nil {
		return err
	}
	m, _, err := in.message()
	if err != nil {
		return in.notProtocol(err)
	}
	switch m := m.(type) {
	case *wire.HelloOK:
		c.welcome = *m
		c.welcome.Limits = maps.Clone(m.Limits)
		return nil
	case *wire.Error:
		e := *m
		return refused("hello", &e)
	}
	return fmt.Errorf("dtask: hello was answered with %v", m.Kind())
}

// Welcome returns the scheduler's answer to hello.
func (c *Conn) Welcome() wire.HelloOK { return c.welcome }

// Gone is closed when the connection has ended and every request has its error.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Err returns why the connection ended, nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Go sends a request and returns at once; done receives the answer. m is encoded
// before Go returns. An error means that done will not be called: ErrFull, a
// frame over the limit, or the end of the connection.
func (c *Conn) Go(m wire.Message, done Done) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.goLocked(m, done)
}

// Start is Go that waits for room instead of failing with ErrFull, until the
// context ends.
func (c *Conn) Start(ctx context.Context, m wire.Message, done Done) error {
	for {
		c.mu.Lock()
		err := c.goLocked(m, done)
		if err != ErrFull {
			c.mu.Unlock()
			return err
		}
		turn := make(chan struct{}, 1)
		c.waiting = append(c.waiting, turn)
		c.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			c.leave(turn)
			return ctx.Err()
		}
	}
}

// Send sends a message that has no answer, under the rules of Go.
func (c *Conn) Send(m wire.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.roomLocked(); err != nil {
		return err
	}
	return c.putLocked(0, m)
}

// Close ends the connection after the frames that already wait have left, or a
// second has passed. Requests in flight get ErrClosed.
func (c *Conn) Close() error {
	c.nc.SetWriteDeadline(time.Now().Add(lingerTimeout))
	c.fail(ErrClosed)
	<-c.gone
	return nil
}

// Abort ends the connection at once with a cause, which the requests in flight
// get as their error. It does not wait, so it may be called from a Done.
func (c *Conn) Abort(cause error) {
	c.fail(fmt.Errorf("%w: %w", ErrDisconnected, cause))
	c.nc.Close()
}

// goLocked takes a slot and encodes the request under its id.
func (c *Conn) goLocked(m wire.Message, done Done) error {
	if err := c.roomLocked(); err != nil {
		return err
	}
	if len(c.free) == 0 {
		if len(c.slots) == MaxInFlight {
			return ErrFull
		}
		c.free = append(c.free, uint32(len(c.slots)))
		c.slots = append(c.slots, slot{})
	}
	n := c.free[len(c.free)-1]
	s := &c.slots[n]
	generation := max(1, (s.generation+1)&generationMask) // an id is never 0
	if err := c.putLocked(uint64(generation<<slotBits|n), m); err != nil {
		return err
	}
	c.free = c.free[:len(c.free)-1]
	s.generation, s.done = generation, done
	return nil
}

// roomLocked reports why nothing more can be sent now.
func (c *Conn) roomLocked() error {
	if c.err != nil {
		return c.err
	}
	if len(c.out) >= maxOut {
		return ErrFull
	}
	return nil
}

// putLocked encodes one frame for the writer.
func (c *Conn) putLocked(request uint64, m wire.Message) error {
	before := len(c.out)
	c.out = wire.Append(c.out, request, m)
	if n := len(c.out) - before - 4; n > wire.MaxFrame {
		c.out = c.out[:before]
		return &wire.Error{
			Code: wire.CodeFrameTooLarge, Limit: wire.MaxFrame,
			Message: fmt.Sprintf("the %v of %d bytes does not fit into a frame of %d", m.Kind(), n, wire.MaxFrame),
		}
	}
	if c.sleeping && !c.reading {
		c.wakeLocked()
	}
	return nil
}

// wakeLocked starts the writer if it sleeps.
func (c *Conn) wakeLocked() {
	c.sleeping = false
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// fail records why the connection ends; the first cause stays.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = cause
	c.wakeLocked()
	c.callNextLocked(len(c.waiting))
}

// callNextLocked lets the n oldest waiting callers try again.
func (c *Conn) callNextLocked(n int) {
	n = min(n, len(c.waiting))
	for i, turn := range c.waiting[:n] {
		turn <- struct{}{}
		c.waiting[i] = nil
	}
	c.waiting = c.waiting[n:]
}

// leave takes a caller that gave up out of the line. One whose turn had come
// passes it on.
func (c *Conn) leave(turn chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.waiting {
		if w == turn {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return
		}
	}
	c.callNextLocked(1)
}

// progress returns how often bytes came in, and whether an answer is owed.
func (c *Conn) progress() (reads uint64, owed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads.Load(), len(c.free) < len(c.slots) || len(c.out) > 0
}
