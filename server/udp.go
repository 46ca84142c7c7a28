package server

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/wire"
)

// datagramBuffer is how many bytes of datagrams the kernel is asked to hold, so
// that the heartbeats of a whole fleet may come at once.
const datagramBuffer = 8 << 20

// turnDatagrams is after how many datagrams the loop lets others run: where
// there are few processors, a flood would keep one of them for itself.
const turnDatagrams = 64

// udpPort takes the heartbeats that come as datagrams. Its engine and its loop
// are its own: a flood of datagrams takes no turn from the connections.
type udpPort struct {
	gnet.BuiltinEventEngine
	srv    *Server
	engine gnet.Engine
	booted chan error
	ended  chan struct{} // closed when the engine has ended
	inode  uint64        // of the socket: the kernel lists its losses under it

	// Of the loop alone:
	dec wire.Decoder
	ack wire.BeatAck
	buf []byte

	received atomic.Uint64 // datagrams that reached the loop
	bad      atomic.Uint64 // of them dropped without a look at the state
}

// startUDP binds addr for datagrams and starts their loop.
func (s *Server) startUDP(addr string) error {
	probe := probeUDP
	if s.hooks.probe != nil {
		probe = s.hooks.probe
	}
	if err := probe(addr); err != nil {
		return portError("native UDP", addr, err)
	}
	u := &udpPort{srv: s, booted: make(chan error, 1), ended: make(chan struct{})}
	ran := make(chan error, 1)
	go func() {
		defer close(u.ended)
		ran <- gnet.Run(u, network("udp", addr)+"://"+addr,
			gnet.WithNumEventLoop(1),
			gnet.WithReadBufferCap(peekBytes),
			gnet.WithLogger(gnetLogger{s.log, s.limiter, &s.ending}))
	}()
	select {
	case err := <-u.booted:
		if err != nil {
			<-u.ended
			return portError("native UDP", addr, err)
		}
	case err := <-ran:
		return portError("native UDP", addr, err)
	}
	s.udp = u
	return nil
}

// probeUDP reports whether no process has the port. gnet itself would share a
// port with a process that lets others share it.
func probeUDP(addr string) error {
	c, err := net.ListenPacket(network("udp", addr), addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// stop closes the port.
func (u *udpPort) stop() {
	if u == nil {
		return
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = u.engine.Stop(now)
	<-u.ended
}

// OnBoot runs when the port is bound.
func (u *udpPort) OnBoot(engine gnet.Engine) gnet.Action {
	u.engine = engine
	err := u.bound(engine)
	u.booted <- err
	if err != nil {
		return gnet.Shutdown
	}
	return gnet.None
}

// bound sets the options of the socket.
func (u *udpPort) bound(engine gnet.Engine) error {
	fd, err := engine.Dup()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	// gnet lets other processes share the port and get some of the datagrams,
	// and allows answers to whole networks.
	for _, option := range []int{unix.SO_REUSEPORT, unix.SO_BROADCAST} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 0); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	u.inode = st.Ino
	got, err := raiseBuffer(fd, datagramBuffer)
	if err == nil && got < datagramBuffer {
		u.srv.log.Warn("the kernel holds fewer datagrams than wanted; bursts of heartbeats may be lost",
			"wanted_bytes", datagramBuffer, "bytes", got,
			"remedy", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", datagramBuffer))
	}
	return err
}

// raiseBuffer asks for a receive buffer of want bytes and returns how large it
// is.
func raiseBuffer(fd, want int) (got int, err error) {
	// Only a privileged process may pass the kernel's own bound.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
			return 0, err
		}
	}
	got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return got / 2, err // the kernel doubles it for its own bookkeeping
}

// OnTraffic handles one datagram. What is no heartbeat is counted and gets no
// answer, and never comes near the lock.
func (u *udpPort) OnTraffic(c gnet.Conn) gnet.Action {
	defer func() { u.srv.recovered(recover()) }()
	if u.received.Add(1)%turnDatagrams == 0 {
		runtime.Gosched()
	}
	in, err := c.Peek(c.InboundBuffered())
	if err != nil {
		in = nil
	}
	if answer := u.handle(in); len(answer) > 0 {
		_, _ = c.Write(answer)
	}
	return gnet.None
}

// handle returns the answer to one datagram, nothing for none. It is valid
// until the next call.
func (u *udpPort) handle(in []byte) []byte {
	if len(in) == 0 || len(in) > wire.MaxDatagram {
		u.bad.Add(1)
		return nil
	}
	m, request, err := u.dec.Decode(in)
	beat, ok := m.(*wire.Beat)
	if err != nil || !ok {
		u.bad.Add(1)
		return nil
	}
	answered := u.srv.core.datagram(beat, &u.ack)
	if poison := u.srv.hooks.poison; poison != nil {
		poison(in)
	}
	if !answered {
		return nil
	}
	u.buf = wire.AppendDatagram(u.buf[:0], request, &u.ack)
	return u.buf
}
