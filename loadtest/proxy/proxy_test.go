package proxy

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func beat(seq uint32) []byte {
	return wire.Append(nil, 0, &wire.Heartbeat{Handle: 1, Seq: seq})
}

// list is a frame of a cold kind with a body of some size.
func list(n int) []byte {
	return wire.Append(nil, 7, &wire.ListWorkers{After: fmt.Sprintf("%0*d", n, 0), Limit: 1})
}

// names decodes a stream, as a script of what a scheduler would see.
func names(t *testing.T, stream []byte) (out []string) {
	t.Helper()
	var d wire.Decoder
	for len(stream) > 0 {
		frame, n, err := wire.Split(stream, wire.MaxFrame)
		require.NoError(t, err)
		require.NotZero(t, n, "the stream ends within a frame")
		m, _, err := d.Decode(frame)
		require.NoError(t, err)
		if b, is := m.(*wire.Heartbeat); is {
			out = append(out, fmt.Sprint("beat ", b.Seq))
		} else {
			out = append(out, m.Kind().String())
		}
		stream = stream[n:]
	}
	return out
}

func TestHeartbeatsComeTwice(t *testing.T) {
	stream := bytes.Join([][]byte{beat(1), list(100), beat(2), list(1), beat(3), beat(4)}, nil)
	want := []string{"beat 1", "list_workers", "beat 2", "beat 1", "beat 2", "list_workers", "beat 3", "beat 4", "beat 3", "beat 4"}
	for step := 1; step <= len(stream); step++ {
		var f framer
		var got []byte
		for rest := stream; len(rest) > 0; {
			n := min(step, len(rest))
			got = append(got, f.twice(rest[:n], func() bool { return true })...)
			rest = rest[n:]
		}
		require.Equal(t, want, names(t, got), "in pieces of %d bytes", step)
	}
}

func TestNothingElseIsTouched(t *testing.T) {
	var f framer
	stream := bytes.Join([][]byte{list(10), beat(1), list(70_000), beat(2)}, nil)
	require.Equal(t, stream, append([]byte(nil), f.pass(stream)...))
	junk := append([]byte{0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0xc1, 9, 9, 9)
	f = framer{}
	require.Equal(t, junk, append([]byte(nil), f.pass(junk)...), "what is no frame passes, too")
	wide := []byte{0, 0, 0, 6, 0xdc, 0, 2, byte(wire.KindHeartbeat), 0, 0}
	f = framer{}
	require.Equal(t, append(append([]byte(nil), wide...), wide...), twoOf(&f, wide), "a wider head of the array is read")
}

// twoOf passes a heartbeat that is to come twice at once.
func twoOf(f *framer, b []byte) []byte {
	f.old = append(f.old, 0)
	out := append([]byte(nil), f.twice(b, func() bool { return true })...)
	return append(out[:len(b)], out[len(b)+1:]...)
}

// echo is a server that answers each connection with what it sends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

func TestCarriesBothWays(t *testing.T) {
	c := Usual(1)
	c.Break, c.Duplicate = 0, 0
	p, err := Listen(echo(t), c)
	require.NoError(t, err)
	defer p.Close()
	conn := dial(t, p)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var sent []byte
	for len(sent) < 300_000 {
		sent = append(sent, list(1+rng.IntN(20_000))...)
	}
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got))
	require.Equal(t, uint64(1), p.Counts().Connections)
}

func TestAnOpaqueStreamIsLeftAlone(t *testing.T) {
	p, err := Listen(echo(t), Config{Duplicate: 1, Opaque: true})
	require.NoError(t, err)
	defer p.Close()
	conn := dial(t, p)
	sent := bytes.Join([][]byte{beat(1), beat(2), []byte("GET / HTTP/1.1\r\n\r\n")}, nil)
	_, err = conn.Write(sent)
	require.NoError(t, err)
	got := make([]byte, len(sent))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, sent, got)
	require.Zero(t, p.Counts().Duplicates)
}

func TestBreaksWithinAFrame(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	p, err := Listen(ln.Addr().String(), Config{Break: 1, Seed: 1})
	require.NoError(t, err)
	defer p.Close()
	frame := list(1000)
	cut := false
	for i := 0; i < 100 && !cut; i++ {
		down := dial(t, p)
		up, err := ln.Accept()
		require.NoError(t, err)
		_, err = down.Write(frame)
		require.NoError(t, err)
		got, _ := io.ReadAll(up) // a reset may swallow what came before it
		require.Less(t, len(got), len(frame)+1)
		cut = len(got) > 0 && len(got) < len(frame)
		_ = up.Close()
	}
	require.True(t, cut, "no connection of a hundred ended within a frame")
	require.Positive(t, p.Counts().Breaks)
	p.Calm()
	down := dial(t, p)
	up, err := ln.Accept()
	require.NoError(t, err)
	defer up.Close()
	_, err = down.Write(frame)
	require.NoError(t, err)
	_, err = io.ReadFull(up, make([]byte, len(frame)))
	require.NoError(t, err, "a calm network breaks nothing")
}

func TestConnectionsOvertakeEachOther(t *testing.T) {
	p, err := Listen(echo(t), Config{Delay: 100 * time.Millisecond, Seed: 3})
	require.NoError(t, err)
	defer p.Close()
	const n = 8
	arrived := make(chan int, n)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dial(t, p)
	}
	for i, c := range conns {
		_, err := c.Write(beat(uint32(i)))
		require.NoError(t, err)
		go func() {
			if _, err := io.ReadFull(c, make([]byte, len(beat(uint32(i))))); err == nil {
				arrived <- i
			}
		}()
	}
	var order []int
	for range n {
		select {
		case i := <-arrived:
			order = append(order, i)
		case <-time.After(20 * time.Second):
			require.Fail(t, "an answer is missing", "%v", order)
		}
	}
	require.False(t, slices.IsSorted(order), "%v", order)
}

func TestNobodyBehind(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	p, err := Listen(ln.Addr().String(), Usual(1))
	require.NoError(t, err)
	defer p.Close()
	conn := dial(t, p)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestCloseEndsEverything(t *testing.T) {
	p, err := Listen(echo(t), Usual(1))
	require.NoError(t, err)
	conn := dial(t, p)
	_, err = conn.Write(list(10))
	require.NoError(t, err)
	p.Close()
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection must end")
	_, err = net.Dial("tcp", p.Addr())
	require.Error(t, err)
}
