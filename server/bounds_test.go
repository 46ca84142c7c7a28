package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// settled reports whether no byte counts as under way to any connection.
func (f *fixture) settled() bool {
	c := f.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.inflight != 0 || len(s.pending) != 0 {
			return false
		}
	}
	return c.courier.idle() && f.output.Load() == 0
}

// TestAReaderThatKeepsUpIsNeverSlow: what has reached a peer counts no more,
// however much that is together, by each way that answers and pushes take.
func TestAReaderThatKeepsUpIsNeverSlow(t *testing.T) {
	const limit = 64 << 10
	f := start(t, func(c *Config) { c.MaxOutput = limit })
	tags := make([]string, wire.MaxWorkerTags)
	for i := range tags {
		tags[i] = fmt.Sprintf("%d-%s", i, strings.Repeat("x", wire.MaxTag-8))
	}
	a := f.agent("w1", 1000, tags...)
	c := f.dial("c")
	t.Run("lists", func(t *testing.T) {
		for read := 0; read < 4*limit; {
			rows := c.ask(5, &wire.ListWorkers{}).(*wire.Workers)
			read += len(wire.Append(nil, 5, rows))
		}
		eventually(t, f.settled, "nothing is under way")
	})
	t.Run("answers", func(t *testing.T) {
		for read := 0; read < 4*limit; {
			read += len(wire.Append(nil, 5, c.ask(5, &wire.GetStats{})))
		}
		eventually(t, f.settled, "nothing is under way")
	})
	t.Run("pushes", func(t *testing.T) {
		for read, n := 0, 0; read < 2*limit; n++ {
			p := placed(t, c.ask(5, task(fmt.Sprint("t", n))))
			c.ask(6, &wire.Release{Lease: p.Lease, Handed: true})
			_, m := a.read()
			require.IsType(t, &wire.Revoke{}, m)
			read += len(wire.Append(nil, 0, m))
			a.seq++
			a.send(0, &wire.Revoked{Handle: a.handle, Seq: a.seq, Lease: p.Lease})
		}
		eventually(t, f.settled, "nothing is under way")
	})
	require.Zero(t, f.slowConsumers())
	a.alive()
	c.alive()
}

// TestManyPeersThatDoNotRead: each of them leaves less than one may, and all
// together more than all may.
func TestManyPeersThatDoNotRead(t *testing.T) {
	const each, all, peers = 256 << 10, 512 << 10, 8
	f := start(t, func(c *Config) { c.MaxOutput, c.MaxTotalOutput, c.StallTimeout = each, all, time.Hour })
	ask := bytes.Repeat(wire.Append(nil, 1, &wire.GetStats{}), 80) // far less than each, and more than the kernel takes at a time
	for range peers {
		p, before := f.deaf(), f.output.Load()
		eventually(t, func() bool {
			f.digested()
			if f.slowConsumers() > 0 || f.output.Load() > before+each/2 {
				return true
			}
			p.raw(ask)
			return false
		}, "its output waits")
		if f.slowConsumers() > 0 {
			require.Greater(t, before, int64(all-each), "others hold most of what may wait")
			eventually(t, func() bool { return f.output.Load() <= all }, "there is room again")
			f.dial("c").alive()
			return
		}
	}
	t.Fatalf("%d bytes wait for %d peers, and nobody was closed", f.output.Load(), peers)
}
