package client

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// script plays a scheduler over a pipe: lines of "<" are hex that the client
// must send, lines of ">" hex that it is sent.
func script(t *testing.T, nc net.Conn, lines string) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer nc.Close()
		for line := range strings.Lines(lines) {
			direction, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			text, _, _ = strings.Cut(text, "#")
			want, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
			if err != nil {
				done <- err
				return
			}
			if direction == ">" {
				if _, err := nc.Write(want); err != nil {
					done <- err
					return
				}
				continue
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(nc, got); err != nil {
				done <- err
				return
			}
			if string(got) != string(want) {
				done <- errors.New("the client sent " + hex.EncodeToString(got) + ", not " + text)
				return
			}
		}
		done <- nil
	}()
	return done
}

// A conversation byte by byte, so that a change of the wire format shows here.
func TestConnSpeaksTheProtocol(t *testing.T) {
	near, far := net.Pipe()
	played := script(t, far, `
		< 0000000b 98 01 01 01 01 01 a2 6331 a0 90  # hello of c1
		> 0000000d 99 40 01 01 a1 73 01 07 00 cd2710 80 # hello_ok, start ttl 10 s
		< 00000005 92 02 cd 1000                     # ping, request 4096
		> 00000005 92 42 cd 1000                     # pong
		< 00000005 92 02 cd 2000                     # the same slot, its next generation
		> 00000005 92 42 cd 1000                     # an answer that came before
	`[1:])
	c, err := NewConn(within(t), near, &wire.Hello{Role: wire.RoleClient, Client: "c1"}, nil)
	require.NoError(t, err)
	require.Equal(t, uint32(10_000), c.Welcome().StartTTLMS)
	require.Equal(t, wire.Grantor{Epoch: 1, Instance: 7}, c.Welcome().Grantor)
	require.NoError(t, askOnce(within(t), c, &wire.Ping{}, func(m wire.Message) error {
		require.IsType(t, &wire.Pong{}, m)
		return nil
	}))
	err = askOnce(within(t), c, &wire.Ping{}, func(wire.Message) error { return nil })
	require.ErrorIs(t, err, ErrDisconnected)
	require.ErrorContains(t, err, "not in flight")
	require.NoError(t, <-played)
}

func TestConnRefusedHello(t *testing.T) {
	f := newFake(t)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		p.send(request, &wire.Error{Code: wire.CodeUnsupportedVersion, Message: "versions 7 to 9"})
		return true
	})
	_, err := DialConn(within(t), f.addr(), &wire.Hello{Role: wire.RoleAgent}, nil)
	require.ErrorIs(t, err, ErrUnsupportedVersion)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		p.send(request, &wire.Pong{})
		return true
	})
	_, err = DialConn(within(t), f.addr(), &wire.Hello{Role: wire.RoleAgent}, nil)
	require.ErrorContains(t, err, "pong")
}

func dialConn(t *testing.T, f *fake, push func(wire.Message)) *Conn {
	c, err := DialConn(within(t), f.addr(), &wire.Hello{Role: wire.RoleClient, Client: "c1"}, push)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConnBoundsRequestsInFlight(t *testing.T) {
	f := newFake(t)
	hold := make(chan struct{})
	var once sync.Once
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool {
		if m.Kind() == wire.KindPing {
			once.Do(func() { <-hold })
		}
		return false
	})
	c := dialConn(t, f, nil)
	answered := make(chan error, MaxInFlight+1)
	done := func(_ wire.Message, err error) { answered <- err }
	for range MaxInFlight {
		require.NoError(t, c.Go(&wire.Ping{}, done))
	}
	require.Equal(t, ErrFull, c.Go(&wire.Ping{}, done))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Start(ctx, &wire.Ping{}, done), context.Canceled)
	started := make(chan error, 1)
	go func() { started <- c.Start(within(t), &wire.Ping{}, done) }()
	eventually(t, "waits in line", func() bool { return c.inLine() == 1 })
	close(hold)
	require.NoError(t, <-started)
	for range MaxInFlight + 1 {
		require.NoError(t, <-answered)
	}
}

// Callers that wait in line are told when the connection ends, and one that gives
// up when its turn has come passes it on.
func TestConnLeavesNobodyInLine(t *testing.T) {
	f := newFake(t)
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool { return m.Kind() == wire.KindPing })
	c := dialConn(t, f, nil)
	for range MaxInFlight {
		require.NoError(t, c.Go(&wire.Ping{}, func(wire.Message, error) {}))
	}
	const callers = 3
	told := make(chan error, callers)
	for range callers {
		go func() { told <- c.Start(within(t), &wire.Ping{}, func(wire.Message, error) {}) }()
	}
	eventually(t, "all wait in line", func() bool { return c.inLine() == callers })
	cause := errors.New("the test is over")
	c.Abort(cause)
	for range callers {
		require.ErrorIs(t, <-told, cause)
	}

	gone, next := make(chan struct{}, 1), make(chan struct{}, 1)
	line := &Conn{waiting: []chan struct{}{gone, next}}
	line.callNextLocked(1)
	line.leave(gone)
	require.Len(t, next, 1, "the turn is passed on")
	require.Empty(t, line.waiting)
	line.leave(gone)
}

func TestConnRefusesAFrameOverTheLimit(t *testing.T) {
	f := newFake(t)
	c := dialConn(t, f, nil)
	err := c.Go(&wire.Schedule{Task: make([]byte, wire.MaxFrame)}, func(wire.Message, error) { t.Error("called") })
	var w *wire.Error
	require.ErrorAs(t, err, &w)
	require.Equal(t, wire.CodeFrameTooLarge, w.Code)
	require.NoError(t, askOnce(within(t), c, &wire.Ping{}, func(wire.Message) error { return nil }), "the connection lives on")
}

func TestConnTellsWhyTheSchedulerClosedIt(t *testing.T) {
	f := newFake(t)
	f.setBend(func(p *peer, _ uint64, m wire.Message) bool {
		if m.Kind() == wire.KindPing {
			p.send(0, &wire.Error{Code: wire.CodeSlowConsumer, Message: "read faster"})
			p.nc.Close()
			return true
		}
		return false
	})
	c := dialConn(t, f, nil)
	err := askOnce(within(t), c, &wire.Ping{}, func(wire.Message) error { return nil })
	require.ErrorIs(t, err, ErrDisconnected)
	require.ErrorIs(t, err, ErrSlowConsumer)
	<-c.Gone()
	require.ErrorIs(t, c.Send(&wire.Ping{}), ErrDisconnected)
}

func TestConnPushesAndSends(t *testing.T) {
	f := newFake(t)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if h, ok := m.(*wire.Heartbeat); ok {
			p.send(0, &wire.Revoke{Handle: h.Handle, Lease: wire.LeaseID{Epoch: 1, Instance: 2, Counter: 3}})
			return true
		}
		return false
	})
	pushed := make(chan wire.Revoke, 1)
	c := dialConn(t, f, func(m wire.Message) { pushed <- *m.(*wire.Revoke) })
	require.NoError(t, c.Send(&wire.Heartbeat{Handle: 5}))
	require.Equal(t, uint32(5), (<-pushed).Handle)
}

func TestConnClosesOnWhatNoSchedulerSends(t *testing.T) {
	f := newFake(t)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if m.Kind() == wire.KindPing {
			p.send(request, &wire.Ping{})
			return true
		}
		return false
	})
	c := dialConn(t, f, nil)
	err := askOnce(within(t), c, &wire.Ping{}, func(wire.Message) error { return nil })
	require.ErrorContains(t, err, "sent a ping")
}

func TestCloseSendsWhatWaits(t *testing.T) {
	f := newFake(t)
	c := dialConn(t, f, nil)
	beats := make(chan uint32, 100)
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool {
		if h, ok := m.(*wire.Heartbeat); ok {
			beats <- h.Seq
		}
		return true
	})
	for i := range 100 {
		require.NoError(t, c.Send(&wire.Heartbeat{Seq: uint32(i)}))
	}
	require.NoError(t, c.Close())
	for i := range 100 {
		require.Equal(t, uint32(i), <-beats)
	}
	require.ErrorIs(t, c.Err(), ErrClosed)
}

// size is how many leases the book keeps.
func (b *book) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.leases)
}

func (c *Conn) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.slots) - len(c.free)
}

func (c *Conn) inLine() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// TestWhatIsNoSchedulerIsNamed: the first bytes of another server say what it is.
func TestWhatIsNoSchedulerIsNamed(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": "what answers speaks HTTP, and not the native protocol of dtask-scheduler; name that port",
		"SSH-2.0-OpenSSH_9.6\r\n":          `what answers does not speak the native protocol of dtask-scheduler; it begins with "SSH-2.0-OpenSSH_9.6\r\n"`,
		"\x00\x00\x00\x02\xff\xff":         "does not speak the native protocol",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = nc.Read(make([]byte, wire.MaxFrameBeforeHello))
			_, _ = nc.Write([]byte(answer))
			_, _ = nc.Read(make([]byte, 1)) // until the client goes
			nc.Close()
		}()
		_, err = Dial(within(t), []string{l.Addr().String()}, nil)
		require.ErrorIs(t, err, ErrProtocol)
		require.ErrorContains(t, err, want)
		require.NoError(t, l.Close())
	}
}
