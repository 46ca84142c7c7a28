package server

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func (f *fixture) slowConsumers() uint64 { return f.closes[wire.CodeSlowConsumer].Load() }

// deaf opens a connection with small buffers that asks for a lot.
func (f *fixture) deaf() *peer {
	p := f.dial("deaf")
	require.NoError(f.t, p.conn.(*net.TCPConn).SetReadBuffer(4096))
	return p
}

// digested waits until no input is left over.
func (f *fixture) digested() {
	for limit := time.Now().Add(patience); f.input.Load() > 0 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
}

func Test54NeverReads(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxOutput = 256 << 10 })
	p := f.deaf()
	ask := bytes.Repeat(wire.Append(nil, 1, &wire.GetStats{}), 5_000)
	eventually(t, func() bool {
		f.digested()
		_, err := p.conn.Write(ask)
		return err != nil
	}, "a peer that never reads is closed")
	require.NotZero(t, f.slowConsumers())
	eventually(t, func() bool { return f.output.Load() == 0 }, "its output is forgotten")
	f.dial("c").alive()
}

func Test54AllPeersTogether(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxOutput, c.MaxTotalOutput = 128<<10, 128<<10 })
	p := f.deaf()
	ask := bytes.Repeat(wire.Append(nil, 1, &wire.GetStats{}), 1_000)
	eventually(t, func() bool {
		f.digested()
		_, err := p.conn.Write(ask)
		return err != nil
	}, "the limit of all output closes who adds to it")
}

func Test55ReadsAByteNowAndThen(t *testing.T) {
	// A round of asking is short beside the stall, or the peer is closed before
	// the test knows that output waits.
	f := start(t, func(c *Config) { c.StallTimeout, c.MaxOutput, c.MaxTotalOutput = time.Second, 1<<30, 1<<30 })
	p := f.deaf()
	ask := bytes.Repeat(wire.Append(nil, 1, &wire.GetStats{}), 500)
	eventually(t, func() bool {
		f.digested()
		if f.output.Load() == 0 {
			p.raw(ask)
		}
		return f.output.Load() > 0
	}, "output waits")
	drip := time.NewTicker(20 * time.Millisecond)
	defer drip.Stop()
	one := make([]byte, 1)
	for f.slowConsumers() == 0 {
		<-drip.C
		if _, err := p.conn.Read(one); err != nil {
			break
		}
	}
	eventually(t, func() bool { return f.slowConsumers() == 1 }, "a peer that takes nothing is closed")
}

func Test55SlowButSteadyStays(t *testing.T) {
	f := start(t, func(c *Config) { c.StallTimeout, c.MaxOutput, c.MaxTotalOutput = time.Second, 1<<30, 1<<30 })
	p := f.dial("slow")
	require.NoError(t, p.conn.(*net.TCPConn).SetReadBuffer(64<<10))
	const asks = 1_000
	rounds := 0
	eventually(t, func() bool {
		f.digested()
		if f.output.Load() == 0 {
			rounds++
			p.raw(bytes.Repeat(wire.Append(nil, 1, &wire.GetStats{}), asks))
		}
		return f.output.Load() > 0
	}, "output waits")
	for range rounds * asks {
		p.read()
	}
	p.alive()
	require.Zero(t, f.slowConsumers())
}

func Test56TooManyConnections(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxConnections = 3 })
	first := f.dial("a")
	f.dial("b")
	f.dial("c")
	p := f.connect()
	e := p.refusal(wire.CodeBusy)
	require.EqualValues(t, 3, e.Limit)
	p.closed()
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`)
	require.Equal(t, 503, a.status)
	require.Equal(t, `{"error":"too many connections"}`+"\n", a.body)
	require.NoError(t, first.conn.Close())
	eventually(t, func() bool { return f.connections.Load() == 2 }, "a place is free")
	require.Equal(t, 200, f.call("GET", "/healthz", "", "Connection", "close").status)
}

func TestTooMuchInputWaits(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxInput = wire.MaxFrame })
	p := f.dial("a")
	p.raw(append(head(wire.MaxFrame), make([]byte, 600<<10)...))
	eventually(t, func() bool { return f.input.Load() > 599<<10 }, "half a frame waits")
	q := f.dial("b")
	q.raw(append(head(wire.MaxFrame), make([]byte, 600<<10)...))
	q.refusal(wire.CodeBusy)
	q.closed()
	require.NoError(t, p.conn.Close())
	eventually(t, func() bool { return f.input.Load() == 0 }, "its input is forgotten")
}

// flood keeps the server as busy as one connection can, until stop closes. It
// reads all answers.
func (p *peer) flood(stop <-chan struct{}, m wire.Message) {
	go func() {
		buf := make([]byte, 1<<20)
		for {
			if _, err := p.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	all := bytes.Repeat(wire.Append(nil, 1, m), 5_000)
	for {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := p.conn.Write(all); err != nil {
			return
		}
	}
}

func TestOneConnectionCannotStarveTheOthers(t *testing.T) {
	for _, m := range []wire.Message{&wire.Ping{}, &wire.GetStats{}, &wire.ListWorkers{}} {
		t.Run(m.Kind().String(), func(t *testing.T) {
			f := start(t)
			for i := range 100 {
				f.beat(string(rune('a'+i%26))+string(rune('a'+i/26)), 1, 0, "tag")
			}
			stop := make(chan struct{})
			defer close(stop)
			for range 3 {
				go f.dial("flood").flood(stop, m)
			}
			p := f.dial("meek")
			for range 100 {
				p.alive()
			}
			require.Equal(t, 200, f.call("GET", "/healthz", "").status)
			require.Equal(t, 503, f.call("POST", "/api/v1/schedule", `{"task_id":"t","required_tags":["none"]}`).status)
		})
	}
}
