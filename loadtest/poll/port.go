package poll

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	portBuffer = 8 << 20 // bytes of datagrams that the kernel is asked to hold
	maxRound   = 256     // datagrams taken from a port in one round
)

// Receiver gets what comes to a Port.
type Receiver interface {
	// Datagram: buf holds one datagram. It is not kept.
	Datagram(now int64, buf []byte)
}

// Port is one UDP socket of a loop that talks to one peer. It lives as long as
// the loop.
type Port struct {
	loop     *Loop
	receiver Receiver
	fd       int
	out      []byte // what this round sends
	ends     []int  // where each of its datagrams ends in out
}

// Open makes a port that talks to a UDP address. Call it on the loop, or before
// Run.
func (l *Loop) Open(to netip.AddrPort, r Receiver) (*Port, error) {
	family, sa := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("poll: socket: %w", err)
	}
	if err := unix.Connect(fd, sa); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("poll: connect to %s: %w", to, err)
	}
	// Only a privileged process may pass the kernel's own bound; a smaller
	// buffer loses more of a burst, which is no error.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, portBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, portBuffer)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("poll: epoll_ctl: %w", err)
	}
	p := &Port{loop: l, receiver: r, fd: fd}
	l.ports = append(l.ports, p)
	return p, nil
}

// Send sends one datagram at the end of the round, behind what the connections
// send: it does not overtake them before it has left. b is copied. What the
// kernel does not take is lost, as datagrams are.
func (p *Port) Send(b []byte) {
	p.out = append(p.out, b...)
	p.ends = append(p.ends, len(p.out))
}

func (p *Port) flush() {
	start := 0
	for _, end := range p.ends {
		if _, err := unix.Write(p.fd, p.out[start:end]); err == unix.ECONNREFUSED {
			// That is about an earlier datagram, and this one was not sent.
			_, _ = unix.Write(p.fd, p.out[start:end])
		}
		start = end
	}
	p.out, p.ends = p.out[:0], p.ends[:0]
}

// read takes what has come, a bounded number in each round.
func (p *Port) read() {
	for range maxRound {
		n, err := unix.Read(p.fd, p.loop.input)
		switch {
		case err == unix.ECONNREFUSED: // no socket listened to an earlier datagram
			continue
		case err != nil:
			return
		}
		p.receiver.Datagram(p.loop.Now(), p.loop.input[:n])
	}
}

// port returns the port with a descriptor, nil for none.
func (l *Loop) port(fd int) *Port {
	for _, p := range l.ports {
		if p.fd == fd {
			return p
		}
	}
	return nil
}

// sockaddr is an address as the kernel takes it.
func sockaddr(to netip.AddrPort) (family int, sa unix.Sockaddr) {
	if to.Addr().Is4() || to.Addr().Is4In6() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}
