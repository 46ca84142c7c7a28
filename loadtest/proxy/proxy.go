// Package proxy stands between a scheduler and its peers and does what bad
// networks do: it delays each direction of each connection by times of its own,
// so that messages of different connections overtake each other, breaks
// connections in the middle of a frame, and delivers heartbeats twice, at once
// or after later ones. Its Relay does the same to datagrams: they are lost, come
// twice, and overtake each other.
package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is how much is read at once.
const chunk = 16 << 10

// Config says how bad the network is. Chances are those of one chunk that was
// read, or of one heartbeat.
type Config struct {
	// Delay is the longest time by which one direction of a connection is
	// delayed on the whole; each draws its own.
	Delay time.Duration
	// Jitter is the longest further delay of one chunk.
	Jitter time.Duration
	// Stall is a long delay, drawn with StallChance.
	Stall       time.Duration
	StallChance float64
	// Duplicate is the chance that a heartbeat is delivered twice.
	Duplicate float64
	// Break is the chance that the connection breaks within the chunk.
	Break float64
	// Opaque leaves the streams alone that are no frames of ours, as those of
	// HTTP: they are delayed and broken, and nothing is delivered twice.
	Opaque bool
	// Seed draws all that.
	Seed uint64
}

// Usual returns a network that is bad all the time.
func Usual(seed uint64) Config {
	return Config{
		Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond,
		Stall: 500 * time.Millisecond, StallChance: 0.002,
		Duplicate: 0.3, Break: 0.001, Seed: seed,
	}
}

// Counts are how often each fault happened.
type Counts struct {
	Connections uint64 `json:"connections"`
	Duplicates  uint64 `json:"heartbeats_duplicated"`
	Breaks      uint64 `json:"connections_broken"`
	Stalls      uint64 `json:"stalls"`
}

// Add adds the counts of another proxy.
func (c *Counts) Add(o Counts) {
	c.Connections += o.Connections
	c.Duplicates += o.Duplicates
	c.Breaks += o.Breaks
	c.Stalls += o.Stalls
}

// Proxy is one listener in front of one scheduler.
type Proxy struct {
	cfg      Config
	to       string
	listener net.Listener
	calm     atomic.Bool
	next     atomic.Uint64 // connections so far, for their seeds
	counts   struct{ connections, duplicates, breaks, stalls atomic.Uint64 }
	working  sync.WaitGroup

	mu    sync.Mutex // Guards pairs and closed, which Close reads.
	pairs map[*pair]struct{}
	done  bool
}

// Listen takes connections on a free port of this machine and carries them to
// the scheduler at to.
func Listen(to string, c Config) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{cfg: c, to: to, listener: ln, pairs: make(map[*pair]struct{})}
	p.working.Go(p.accept)
	return p, nil
}

// Addr is where to connect instead of to the scheduler.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Calm ends the faults: from now on everything passes as it comes.
func (p *Proxy) Calm() { p.calm.Store(true) }

// Counts returns how often each fault happened.
func (p *Proxy) Counts() Counts {
	c := &p.counts
	return Counts{c.connections.Load(), c.duplicates.Load(), c.breaks.Load(), c.stalls.Load()}
}

// Close breaks all connections and waits until nothing is carried any more.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.done = true
	for c := range p.pairs {
		c.close()
	}
	p.mu.Unlock()
	_ = p.listener.Close() // what it held is closed with it
	p.working.Wait()
}

func (p *Proxy) accept() {
	for {
		down, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: some come back as connections close
			time.Sleep(10 * time.Millisecond)
			continue
		}
		p.counts.connections.Add(1)
		p.working.Go(func() { p.carry(down) })
	}
}

// carry connects to the scheduler and carries both directions until one ends.
func (p *Proxy) carry(down net.Conn) {
	up, err := net.DialTimeout("tcp", p.to, 5*time.Second)
	if err != nil {
		_ = down.Close() // the peer sees a broken connection, as it should
		return
	}
	c := &pair{down: down, up: up}
	if !p.add(c) {
		c.close()
		return
	}
	number := p.next.Add(1)
	p.working.Go(func() { p.pump(c, up, down, number<<1|1, nil) })
	var frames *framer
	if !p.cfg.Opaque {
		frames = new(framer)
	}
	p.pump(c, down, up, number<<1, frames)
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return false
	}
	p.pairs[c] = struct{}{}
	return true
}

// pair is one connection: the peer's end and the scheduler's.
type pair struct{ down, up net.Conn }

func (c *pair) close() {
	_ = c.down.Close()
	_ = c.up.Close()
}

// pump carries one direction. frames is set if its heartbeats are delivered
// twice.
func (p *Proxy) pump(c *pair, from, to net.Conn, seed uint64, frames *framer) {
	defer c.close()
	rng := rand.New(rand.NewPCG(p.cfg.Seed, seed))
	delay := upTo(rng, p.cfg.Delay)
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		out := buf[:n]
		if p.calm.Load() {
			if frames != nil {
				out = frames.pass(out)
			}
		} else {
			if frames != nil {
				out = frames.twice(out, func() bool { return p.duplicate(rng) })
			}
			p.linger(rng, delay)
			if rng.Float64() < p.cfg.Break {
				p.counts.breaks.Add(1)
				_, _ = to.Write(out[:rng.IntN(len(out)+1)]) // the connection ends either way
				return
			}
		}
		if _, err := to.Write(out); err != nil {
			return
		}
	}
}

func (p *Proxy) duplicate(rng *rand.Rand) bool {
	if rng.Float64() >= p.cfg.Duplicate {
		return false
	}
	p.counts.duplicates.Add(1)
	return true
}

// linger is the delay of one chunk.
func (p *Proxy) linger(rng *rand.Rand, delay time.Duration) {
	delay += upTo(rng, p.cfg.Jitter)
	if rng.Float64() < p.cfg.StallChance {
		p.counts.stalls.Add(1)
		delay += upTo(rng, p.cfg.Stall)
	}
	if delay > 0 {
		time.Sleep(delay)
	}
}

func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(int64(most)))
}
