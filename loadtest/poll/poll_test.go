package poll

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// script is a handler that notes what it is told.
type script struct {
	opened, closed chan error
	data           func(buf []byte) int
}

func newScript(data func(buf []byte) int) *script {
	return &script{make(chan error, 1), make(chan error, 1), data}
}

func (s *script) Opened(int64)               { s.opened <- nil }
func (s *script) Closed(_ int64, err error)  { s.closed <- err }
func (s *script) Data(_ int64, b []byte) int { return s.data(b) }

// start runs a loop until the test ends.
func start(t *testing.T) *Loop {
	t.Helper()
	l, err := New(time.Now())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(l.Stop)
		require.NoError(t, <-done)
	})
	return l
}

func listen(t *testing.T) (net.Listener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	return ln, netip.MustParseAddrPort(ln.Addr().String())
}

func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		require.Fail(t, "nothing came")
		panic("unreachable")
	}
}

func dial(t *testing.T, l *Loop, to netip.AddrPort, h Handler) (c *Conn) {
	t.Helper()
	l.Do(func() {
		var err error
		c, err = l.Dial(to, h)
		require.NoError(t, err)
	})
	return c
}

func TestEchoInPieces(t *testing.T) {
	ln, at := listen(t)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	l := start(t)
	const size = 3 << 20 // more than the kernel takes at once
	sent := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	var got []byte
	all := make(chan struct{})
	h := newScript(nil)
	h.data = func(buf []byte) int {
		used := len(buf) / 7 * 7 // leaves a rest each time
		if len(got)+len(buf) == size {
			used = len(buf)
		}
		got = append(got, buf[:used]...)
		if len(got) == size {
			close(all)
		}
		return used
	}
	c := dial(t, l, at, h)
	within(t, h.opened)
	l.Post(func() { c.Put(append(c.Grab(), sent...)) })
	within(t, all)
	require.True(t, bytes.Equal(sent, got))
	l.Do(func() {
		require.Zero(t, c.Unsent())
		require.Nil(t, c.in, "no buffer is held without need")
		require.Nil(t, c.out)
		c.Close()
		c.Close()
	})
}

func TestDoAfterTheEnd(t *testing.T) {
	l, err := New(time.Now())
	require.NoError(t, err)
	l.Post(l.Stop)
	require.NoError(t, l.Run())
	l.Do(func() { t.Error("nothing runs after the end") })
}

func TestPeerCloses(t *testing.T) {
	ln, at := listen(t)
	l := start(t)
	h := newScript(func(b []byte) int { return len(b) })
	dial(t, l, at, h)
	c, err := ln.Accept()
	require.NoError(t, err)
	within(t, h.opened)
	require.NoError(t, c.Close())
	require.ErrorIs(t, within(t, h.closed), io.EOF)
}

func TestNobodyListens(t *testing.T) {
	ln, at := listen(t)
	require.NoError(t, ln.Close())
	l := start(t)
	h := newScript(nil)
	dial(t, l, at, h)
	require.ErrorContains(t, within(t, h.closed), "refused")
}

// alarm notes when it rings.
type alarm struct{ rings chan [2]int64 }

func (a *alarm) Ring(now int64, what uint64) { a.rings <- [2]int64{int64(what), now} }

func TestTimersRingInOrderAndNotEarly(t *testing.T) {
	l := start(t)
	a := &alarm{make(chan [2]int64, 8)}
	var base int64
	l.Do(func() {
		base = l.Now()
		for _, ms := range []int64{30, 5, 120, 0} {
			l.At(base+ms*tick, a, uint64(ms))
		}
	})
	for _, want := range []int64{0, 5, 30, 120} {
		got := within(t, a.rings)
		require.Equal(t, want, got[0])
		require.GreaterOrEqual(t, got[1], base+want*tick)
	}
}

func TestTimerBeyondTheHorizon(t *testing.T) {
	var w wheel
	a := &alarm{make(chan [2]int64, 1)}
	const at = 3*wheelSize*tick + 17
	w.add(timer{at, a, 1})
	for now := int64(0); now < at; now += 50 * tick {
		w.advance(now)
		require.Empty(t, a.rings)
	}
	w.advance(at + tick)
	require.Len(t, a.rings, 1)
	require.Zero(t, w.count)
}

// pacer is due each step nanoseconds.
type pacer struct {
	due, step int64
	late      []int64
	done      chan struct{}
}

func (p *pacer) Due() int64 { return p.due }
func (p *pacer) Pace(now int64) {
	for ; p.due <= now; p.due += p.step {
		p.late = append(p.late, now-p.due)
	}
	if len(p.late) >= 100 && p.done != nil {
		close(p.done)
		p.done = nil
	}
}

func TestPacerIsNeverEarlyAndMissesNothing(t *testing.T) {
	l := start(t)
	done := make(chan struct{})
	p := &pacer{step: int64(200 * time.Microsecond), done: done}
	l.Do(func() { p.due = l.Now(); l.Pace(p) })
	within(t, done)
	l.Do(func() {
		l.Pace(nil)
		for _, late := range p.late {
			require.GreaterOrEqual(t, late, int64(0))
		}
	})
}
