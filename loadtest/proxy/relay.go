package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	datagramSize   = 64 << 10
	datagramBuffer = 8 << 20 // bytes that the kernel is asked to hold for a socket
	maxPaths       = 256     // senders that are distinguished; datagrams of further ones are lost
	maxWaiting     = 1 << 16 // datagrams that are delayed at once; further ones are lost
)

// DatagramConfig says how bad the network is for datagrams. Chances are those
// of one datagram in one direction.
type DatagramConfig struct {
	// Loss is the chance that it never comes.
	Loss float64
	// Duplicate is the chance that it comes twice, each with a delay of its own.
	Duplicate float64
	// Delay is the longest usual delay; each draws its own, so that they
	// overtake each other.
	Delay time.Duration
	// Late is a long delay, drawn with LateChance.
	Late       time.Duration
	LateChance float64
	// Seed draws all that.
	Seed uint64
}

// UsualDatagrams returns a network that is bad all the time. Late datagrams
// come up to three intervals later, behind those that their sender sent after
// them.
func UsualDatagrams(seed uint64, interval time.Duration) DatagramConfig {
	return DatagramConfig{
		Loss: 0.05, Duplicate: 0.1, Delay: 15 * time.Millisecond,
		Late: 3 * interval, LateChance: 0.05, Seed: seed,
	}
}

// DatagramCounts are how often each fault happened.
type DatagramCounts struct {
	Carried    uint64 `json:"carried"` // that came in, both directions
	Lost       uint64 `json:"lost"`
	Duplicated uint64 `json:"duplicated"`
	Late       uint64 `json:"late"`
	Overtaken  uint64 `json:"overtaken"` // sent on after one of the same direction that came in later
}

// Relay carries datagrams to one scheduler and its answers back, and loses,
// duplicates, delays and reorders them. Each sender has a socket of its own
// towards the scheduler, so that answers find their way.
type Relay struct {
	cfg     DatagramConfig
	to      *net.UDPAddr
	front   *net.UDPConn
	calm    atomic.Bool
	counts  struct{ carried, lost, duplicated, late, overtaken atomic.Uint64 }
	working sync.WaitGroup

	mu      sync.Mutex // Guards what follows, which Close ends.
	paths   map[netip.AddrPort]*path
	waiting map[uint64]*time.Timer
	turn    uint64
	done    bool
}

// path is what one sender's datagrams walk.
type path struct {
	up             *net.UDPConn // towards the scheduler
	there, andBack flow
}

// flow is one direction of a path. Its draws belong to one reader.
type flow struct {
	rng    *rand.Rand
	came   uint64        // datagrams so far
	newest atomic.Uint64 // the latest of them that was sent on
}

// Carry takes datagrams on a free port of this machine and carries them to the
// scheduler at to.
func Carry(to string, c DatagramConfig) (*Relay, error) {
	at, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	_ = front.SetReadBuffer(datagramBuffer) // with a smaller one more is lost, which is what a relay is for
	r := &Relay{
		cfg: c, to: at, front: front,
		paths: make(map[netip.AddrPort]*path), waiting: make(map[uint64]*time.Timer),
	}
	r.working.Go(r.listen)
	return r, nil
}

// Addr is where to send instead of to the scheduler.
func (r *Relay) Addr() string { return r.front.LocalAddr().String() }

// Calm ends the faults: from now on everything passes as it comes. What is
// delayed already stays so.
func (r *Relay) Calm() { r.calm.Store(true) }

// Counts returns how often each fault happened.
func (r *Relay) Counts() DatagramCounts {
	c := &r.counts
	return DatagramCounts{c.carried.Load(), c.lost.Load(), c.duplicated.Load(), c.late.Load(), c.overtaken.Load()}
}

// Close drops what is delayed and waits until nothing is carried any more.
func (r *Relay) Close() {
	r.mu.Lock()
	r.done = true
	for _, p := range r.paths {
		_ = p.up.Close()
	}
	for _, t := range r.waiting {
		if t.Stop() {
			r.working.Done()
		}
	}
	r.mu.Unlock()
	_ = r.front.Close()
	r.working.Wait()
}

// listen carries what senders send.
func (r *Relay) listen() {
	buf := make([]byte, datagramSize)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p := r.path(from)
		if p == nil {
			r.counts.lost.Add(1)
			continue
		}
		r.carry(&p.there, buf[:n], func(b []byte) { _, _ = p.up.Write(b) })
	}
}

// path returns the path of a sender, a new one if need be; nil if there are too
// many.
func (r *Relay) path(from netip.AddrPort) *path {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.paths[from]; p != nil || r.done || len(r.paths) >= maxPaths {
		return p
	}
	up, err := net.DialUDP("udp", nil, r.to)
	if err != nil {
		return nil
	}
	_ = up.SetReadBuffer(datagramBuffer)
	number := uint64(len(r.paths))
	p := &path{up: up}
	p.there.rng = rand.New(rand.NewPCG(r.cfg.Seed, number<<1))
	p.andBack.rng = rand.New(rand.NewPCG(r.cfg.Seed, number<<1|1))
	r.paths[from] = p
	r.working.Go(func() { r.answers(p, from) })
	return p
}

// answers carries what the scheduler answers to one sender.
func (r *Relay) answers(p *path, to netip.AddrPort) {
	buf := make([]byte, datagramSize)
	for {
		n, err := p.up.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no socket listened to an earlier datagram
			continue
		}
		r.carry(&p.andBack, buf[:n], func(b []byte) { _, _ = r.front.WriteToUDPAddrPort(b, to) })
	}
}

// carry draws the fate of one datagram. What the kernel does not send is lost,
// as in any network.
func (r *Relay) carry(f *flow, b []byte, send func(b []byte)) {
	f.came++
	r.counts.carried.Add(1)
	if r.calm.Load() {
		r.pass(f, f.came, b, send)
		return
	}
	if f.rng.Float64() < r.cfg.Loss {
		r.counts.lost.Add(1)
		return
	}
	copies := 1
	if f.rng.Float64() < r.cfg.Duplicate {
		r.counts.duplicated.Add(1)
		copies++
	}
	kept, number := append([]byte(nil), b...), f.came
	for range copies {
		r.later(r.delay(f.rng), func() { r.pass(f, number, kept, send) })
	}
}

func (r *Relay) delay(rng *rand.Rand) time.Duration {
	if rng.Float64() < r.cfg.LateChance {
		r.counts.late.Add(1)
		return upTo(rng, r.cfg.Late)
	}
	return upTo(rng, r.cfg.Delay)
}

// pass sends a datagram on and notes whether a later one has overtaken it.
func (r *Relay) pass(f *flow, number uint64, b []byte, send func(b []byte)) {
	for {
		newest := f.newest.Load()
		if number < newest {
			r.counts.overtaken.Add(1)
			break
		}
		if f.newest.CompareAndSwap(newest, number) {
			break
		}
	}
	send(b)
}

// later does something after a while, unless the relay closes before.
func (r *Relay) later(wait time.Duration, do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return
	}
	if len(r.waiting) >= maxWaiting {
		r.counts.lost.Add(1)
		return
	}
	r.turn++
	number := r.turn
	r.working.Add(1)
	r.waiting[number] = time.AfterFunc(wait, func() {
		defer r.working.Done()
		r.mu.Lock()
		delete(r.waiting, number)
		r.mu.Unlock()
		do()
	})
}
