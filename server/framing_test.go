package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// The numbers are those of the list of bad input that the server must survive.

// state is what must not change: workers and leases, without the counters.
func (f *fixture) state() wire.Stats {
	f.t.Helper()
	st := *f.dial("observer").ask(9, &wire.GetStats{}).(*wire.Stats)
	st.Counters = nil
	return st
}

func head(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func TestBadLengthsCloseTheConnection(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		name  string
		hello bool
		in    []byte
		code  wire.Code
	}{
		{"01 length 0", true, head(0), wire.CodeBadFrame},
		{"01 length 0 before hello", false, head(0), wire.CodeBadFrame},
		{"02 length 0xffffffff", true, head(0xffffffff), wire.CodeFrameTooLarge},
		{"02 one byte over the limit", true, head(wire.MaxFrame + 1), wire.CodeFrameTooLarge},
		{"02 one byte over the limit before hello", false, head(wire.MaxFrameBeforeHello + 1), wire.CodeFrameTooLarge},
		{"03 the sign bit", true, head(1 << 31), wire.CodeFrameTooLarge},
		{"10 garbage before hello", false, []byte{0xde, 0xad, 0xbe, 0xef}, wire.CodeFrameTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.state()
			p := f.connect()
			if c.hello {
				p = f.dial("c")
			}
			p.raw(c.in)
			e := p.refusal(c.code)
			require.NotEmpty(t, e.Message)
			p.closed()
			require.Equal(t, before, f.state())
		})
	}
}

func TestFramesInPieces(t *testing.T) {
	f, clock := startByHand(t, func(c *Config) { c.FrameTimeout = 300 * time.Millisecond })
	t.Run("04 one byte at a time", func(t *testing.T) {
		p := f.dial("c")
		for _, b := range wire.Append(nil, 3, &wire.Ping{}) {
			p.raw([]byte{b})
		}
		request, m := p.read()
		require.EqualValues(t, 3, request)
		require.IsType(t, &wire.Pong{}, m)
	})
	t.Run("05 half a frame, then the end", func(t *testing.T) {
		before := f.state()
		p := f.dial("c")
		frame := wire.Append(nil, 3, task("t"))
		p.raw(frame[:len(frame)-1])
		require.NoError(t, p.conn.(*net.TCPConn).CloseWrite())
		p.closed()
		require.Equal(t, before, f.state())
	})
	t.Run("06 half a frame, then silence", func(t *testing.T) {
		p := f.dial("c")
		p.raw(head(100))
		clock.during(func() { p.refusal(wire.CodeTimeout) })
		p.closed()
	})
	t.Run("04 half a length, then silence", func(t *testing.T) {
		p := f.dial("c")
		p.raw([]byte{0, 0})
		clock.during(func() { p.refusal(wire.CodeTimeout) })
		p.closed()
	})
	t.Run("07 a byte now and then for ever", func(t *testing.T) {
		p := f.dial("c")
		p.raw(head(10_000))
		eventually(t, func() bool {
			clock.pass(30 * time.Millisecond)
			_, err := p.conn.Write([]byte{0})
			return err != nil
		}, "the connection closes")
	})
	t.Run("idle connections stay", func(t *testing.T) {
		p := f.dial("c")
		other := f.dial("d")
		other.raw(head(100))
		clock.during(func() { other.refusal(wire.CodeTimeout) })
		p.alive()
	})
}

func TestHelloMustComeSoon(t *testing.T) {
	f, clock := startByHand(t, func(c *Config) { c.HelloTimeout = 100 * time.Millisecond })
	t.Run("62 no bytes at all", func(t *testing.T) {
		p := f.connect()
		clock.during(func() { p.refusal(wire.CodeTimeout) })
		p.closed()
	})
	t.Run("another message first", func(t *testing.T) {
		p := f.connect()
		p.send(1, &wire.Ping{})
		p.refusal(wire.CodeProtocol)
		p.closed()
	})
	t.Run("hello twice", func(t *testing.T) {
		p := f.dial("c")
		p.send(2, helloOf("c"))
		p.refusal(wire.CodeProtocol)
		p.closed()
	})
	t.Run("nobody waits after hello", func(t *testing.T) {
		p := f.dial("c")
		q := f.connect()
		clock.during(func() { q.refusal(wire.CodeTimeout) })
		p.alive()
	})
}

func Test11UnknownVersions(t *testing.T) {
	f := start(t)
	for _, v := range [][2]uint16{{wire.Version + 1, wire.Version + 9}, {0, 0}, {9, 1}} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			p := f.connect()
			p.send(1, &wire.Hello{MinVersion: v[0], MaxVersion: v[1], Role: wire.RoleClient, Client: "c"})
			e := p.refusal(wire.CodeUnsupportedVersion)
			require.Contains(t, e.Message, "versions 1 to 1")
			p.closed()
		})
	}
	p := f.connect()
	p.send(1, &wire.Hello{MinVersion: 1, MaxVersion: wire.Version + 5, Role: wire.RoleClient, Client: "c"})
	_, m := p.read()
	require.EqualValues(t, wire.Version, m.(*wire.HelloOK).Version)
}

func Test10OtherProtocolsGetASentence(t *testing.T) {
	f := start(t)
	t.Run("HTTP", func(t *testing.T) {
		p := f.connect()
		p.raw([]byte("POST /api/v1/schedule HTTP/1.1\r\nHost: x\r\n\r\n"))
		all, err := io.ReadAll(p.conn)
		require.NoError(t, err)
		require.Contains(t, string(all), "400 Bad Request")
		require.Contains(t, string(all), "http://"+f.HTTPAddr())
	})
	t.Run("TLS", func(t *testing.T) {
		p := f.connect()
		p.raw([]byte{0x16, 0x03, 0x01, 0x02, 0x00})
		all, err := io.ReadAll(p.conn)
		require.NoError(t, err)
		require.Contains(t, string(all), "without TLS")
		require.Contains(t, f.log.String(), "TLS on the native port")
	})
}

func TestBadMessagesAreAnswered(t *testing.T) {
	f := start(t)
	frame := func(body ...byte) []byte { return append(head(uint32(len(body))), body...) }
	t.Run("12 an unknown kind", func(t *testing.T) {
		p := f.dial("c")
		p.raw(frame(0x92, 60, 5))
		p.refusal(wire.CodeUnknownKind)
		p.alive()
	})
	t.Run("13 trailing bytes", func(t *testing.T) {
		p := f.dial("c")
		ping := wire.Append(nil, 4, &wire.Ping{})[lengthBytes:]
		p.raw(frame(append(ping, 0)...))
		p.refusal(wire.CodeBadRequest)
		p.alive()
	})
	t.Run("14 an answer from a client", func(t *testing.T) {
		p := f.dial("c")
		p.send(4, &wire.Pong{})
		p.refusal(wire.CodeProtocol)
		p.closed()
	})
	t.Run("14 malformed, or of a kind that nobody knows", func(t *testing.T) {
		for _, body := range [][]byte{
			{0x92, 64, 5}, {0x92, 67, 5}, {0x92, 89, 5}, {0x92, 90, 5}, {0x92, 0xcc, 200, 5}, {0x92, 0xcd, 1, 44, 5},
			{0x91, 67}, {0x92, 67, 0xc3}, {0x92, 66, 5, 0}, {0x93, 0xcc, 200, 5, 0xc1}, {0xdc, 0, 2, 67, 5}, {0xdd, 0, 0, 0, 2, 67, 5},
			{0x92, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255, 5}, {0x92, 0xd1, 0, 200, 5},
		} {
			p := f.dial("c")
			p.raw(frame(body...))
			require.Equal(t, wire.CodeProtocol, p.refusal(wire.CodeProtocol).Code, "%x", body)
			p.closed()
		}
	})
	t.Run("a field of a wrong type", func(t *testing.T) {
		p := f.dial("c")
		p.raw(frame(0x93, byte(wire.KindSchedule), 4, 0xc3))
		e := p.refusal(wire.CodeBadRequest)
		require.NotEmpty(t, e.Field)
		p.alive()
	})
}

// What is only refused after hello closes the connection before it.
func TestEveryRefusalBeforeHelloCloses(t *testing.T) {
	f := start(t)
	long := wire.Append(nil, 1, helloOf(strings.Repeat("x", wire.MaxID+1)))
	for name, in := range map[string][]byte{
		"an unknown kind":          {0, 0, 0, 3, 0x92, 60, 5},
		"a message but hello":      wire.Append(nil, 1, &wire.Ping{}),
		"a hello that is too long": long,
		"a field of a wrong type":  {0, 0, 0, 4, 0x93, byte(wire.KindSchedule), 4, 0xc3},
	} {
		t.Run(name, func(t *testing.T) {
			p := f.connect()
			p.raw(in)
			_, m := p.read()
			require.IsType(t, &wire.Error{}, m)
			p.closed()
		})
	}
}

// Nothing is kept of connections that are gone.
func TestSessionsAreForgotten(t *testing.T) {
	f := start(t)
	f.agent("w1", 1)
	for range 3 {
		c := f.dial("c")
		c.alive()
		require.NoError(t, c.conn.Close())
	}
	eventually(t, func() bool {
		f.core.mu.Lock()
		defer f.core.mu.Unlock()
		return len(f.core.sessions) == 1
	}, "the connections are forgotten")
}

func Test15HalfCloseClosesTheConnection(t *testing.T) {
	f := start(t)
	p := f.dial("c")
	p.send(3, &wire.Ping{})
	require.NoError(t, p.conn.(*net.TCPConn).CloseWrite())
	_, m := p.read()
	require.IsType(t, &wire.Pong{}, m)
	p.closed()
	eventually(t, func() bool { return f.connections.Load() == 0 }, "the connection is forgotten")
}

func Test16ResetInTheMiddleOfAReply(t *testing.T) {
	f := start(t)
	for range 20 {
		p := f.dial("c")
		require.NoError(t, p.conn.(*net.TCPConn).SetLinger(0))
		p.raw(bytes.Repeat(wire.Append(nil, 1, &wire.GetStats{}), 200))
		require.NoError(t, p.conn.Close())
	}
	f.dial("d").alive()
	eventually(t, func() bool { return f.connections.Load() == 1 }, "the connections are forgotten")
	require.NotContains(t, f.log.String(), "fault")
}

func Test08FloodOfFramesInOneSegment(t *testing.T) {
	f := start(t)
	const frames = 10_000
	p := f.dial("c")
	var all []byte
	for i := range frames {
		all = wire.Append(all, uint64(i+1), &wire.Ping{})
	}
	p.raw(all)
	for i := range frames {
		request, m := p.read()
		require.EqualValues(t, i+1, request)
		require.IsType(t, &wire.Pong{}, m)
	}
}

// register returns a registration whose frame is larger than gnet's buffer.
func register(leases int) *wire.Register {
	m := &wire.Register{Worker: "big", Address: "big:1", Incarnation: 3, Seq: 1, Slots: uint32(leases)}
	for i := range leases {
		m.Leases = append(m.Leases, wire.Record{
			Lease: wire.LeaseID{Epoch: 1, Instance: 99, Counter: uint64(i + 1)},
			Task:  fmt.Appendf(nil, "task-%0100d", i)})
	}
	return m
}

func Test09EveryPlaceOfFrameBoundaries(t *testing.T) {
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	f := start(t)
	for round := range 6 {
		p := f.dial("c")
		var all []byte
		pings := 0
		for range 40 {
			for range rng.IntN(300) {
				pings++
				all = wire.Append(all, uint64(pings), &wire.Ping{})
			}
			if rng.IntN(8) == 0 {
				all = wire.Append(all, 1<<40, register(rng.IntN(4_000)))
			}
		}
		go p.pieces(all, rng.IntN(3) == 0, rand.New(rand.NewPCG(seed, uint64(round))))
		for i := 0; i < pings; {
			request, m := p.read()
			if request == 1<<40 {
				require.Contains(t, []wire.Kind{wire.KindRegistered, wire.KindSuperseded}, m.Kind())
				continue
			}
			i++
			require.EqualValues(t, i, request)
		}
	}
}

// pieces sends all in pieces of random sizes, small ones or any.
func (p *peer) pieces(all []byte, small bool, rng *rand.Rand) {
	for len(all) > 0 {
		n := 1 + rng.IntN(200_000)
		if small {
			n = 1 + rng.IntN(3_000)
		}
		n = min(n, len(all))
		if _, err := p.conn.Write(all[:n]); err != nil {
			return
		}
		all = all[n:]
	}
}
