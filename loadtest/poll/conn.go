package poll

import (
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Handler gets the events of one connection.
type Handler interface {
	// Opened: the connection stands.
	Opened(now int64)
	// Data: buf holds all bytes that came and were not consumed yet. Data
	// returns how many it consumed, and keeps none of them.
	Data(now int64, buf []byte) int
	// Closed: the connection failed or its peer closed it. It is not called
	// after Close.
	Closed(now int64, err error)
}

// Conn is one TCP connection of a loop.
type Conn struct {
	loop       *Loop
	handler    Handler
	fd         int // -1 once closed
	generation int32
	open       bool   // the handshake of TCP is over
	queued     bool   // stands in Loop.unsent
	blocked    bool   // waits for room in the kernel's buffer
	in, out    []byte // a part of a message; what is not sent yet
}

// Dial begins to connect to a TCP address. The handler hears of the outcome
// later, never during the call. The error is set if not even a socket was to
// be had.
func (l *Loop) Dial(to netip.AddrPort, h Handler) (*Conn, error) {
	family, sa := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("poll: socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("poll: connect to %s: %w", to, err)
	}
	l.generation++
	c := &Conn{loop: l, handler: h, fd: fd, generation: l.generation}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(fd), Pad: c.generation}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("poll: epoll_ctl: %w", err)
	}
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c
	return c, nil
}

// Grab returns the connection's output buffer to append to. Put takes it back;
// it leaves at the end of the round.
func (c *Conn) Grab() []byte {
	if c.out == nil {
		c.out = c.loop.buffer()
	}
	return c.out
}

// Put takes the buffer that Grab lent.
func (c *Conn) Put(b []byte) {
	if c.fd < 0 {
		return
	}
	c.out = b
	if !c.queued {
		c.queued = true
		c.loop.unsent = append(c.loop.unsent, c)
	}
}

// Unsent returns the bytes that wait to be written.
func (c *Conn) Unsent() int { return len(c.out) }

// Close closes the connection at once; what is not sent is lost. Further calls
// do nothing.
func (c *Conn) Close() {
	if c.fd < 0 {
		return
	}
	c.loop.conns[c.fd] = nil
	_ = unix.Close(c.fd)
	c.fd = -1
	c.loop.recycle(c.in)
	c.loop.recycle(c.out)
	c.in, c.out = nil, nil
}

func (c *Conn) fail(err error) {
	c.Close()
	c.handler.Closed(c.loop.Now(), err)
}

func (c *Conn) finishDial() {
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		c.fail(fmt.Errorf("poll: connect: %w", err))
		return
	}
	c.open = true
	c.watch(unix.EPOLLIN)
	c.handler.Opened(c.loop.Now())
}

func (c *Conn) watch(events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(c.fd), Pad: c.generation}
	_ = unix.EpollCtl(c.loop.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev) // fails only for a descriptor that is not ours
}

// read takes what has come. A read that does not fill the buffer emptied the
// socket, so that no second call has to say so.
func (c *Conn) read() {
	for c.fd >= 0 {
		n, err := unix.Read(c.fd, c.loop.input)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return
		case err != nil:
			c.fail(fmt.Errorf("poll: read: %w", err))
			return
		case n == 0:
			c.fail(io.EOF)
			return
		}
		c.deliver(c.loop.input[:n])
		if n < len(c.loop.input) {
			return
		}
	}
}

// deliver hands buf to the handler, behind what it left over before.
func (c *Conn) deliver(buf []byte) {
	if len(c.in) > 0 {
		c.in = append(c.in, buf...)
		buf = c.in
	}
	used := c.handler.Data(c.loop.Now(), buf)
	if c.fd < 0 {
		return
	}
	rest := buf[used:]
	switch {
	case len(rest) == 0:
		c.loop.recycle(c.in)
		c.in = nil
	case c.in == nil:
		c.in = append(c.loop.buffer(), rest...)
	default:
		c.in = c.in[:copy(c.in, rest)]
	}
}

func (c *Conn) flush() {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if err == unix.EAGAIN {
			c.block(true)
			return
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			c.fail(fmt.Errorf("poll: write: %w", err))
			return
		}
		c.out = c.out[:copy(c.out, c.out[n:])]
	}
	c.loop.recycle(c.out)
	c.out = nil
	c.block(false)
}

// block notes whether the kernel's buffer is full, and asks for an event when it is not.
func (c *Conn) block(blocked bool) {
	if c.blocked == blocked {
		return
	}
	c.blocked = blocked
	if blocked {
		c.watch(unix.EPOLLIN | unix.EPOLLOUT)
	} else {
		c.watch(unix.EPOLLIN)
	}
}
