package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/loadtest/poll"
)

// How long the parts of a run may take.
const (
	startLimit  = 90 * time.Second // until all workers are registered
	settleLimit = 60 * time.Second // until every job is over
	agreeLimit  = 20 * time.Second // until the scheduler's lists are right
	drainLimit  = 20 * time.Second // beyond three times to live, until all slots are free
	quitLimit   = 20 * time.Second // until all workers are deregistered
	listenLimit = time.Second      // until no datagram is on its way
	lookPeriod  = 5 * time.Millisecond
)

// lostInFaults is the share of handovers whose answer is lost, and the share of
// those that arrive twice, in a run with faults.
const lostInFaults = 0.005

// twiceWithin is how much later the second one comes at most.
const twiceWithin = 2 * time.Second

// errTime is the reason of a wait that took too long.
var errTime = errors.New("it took too long")

// run is one load test.
type run struct {
	cfg       Config
	to        netip.AddrPort // the address that workers and clients dial
	beatsTo   netip.AddrPort // and the address of datagrams
	start     time.Time
	judge     *judge.Judge
	web       *web       // nil without HTTP workers
	bad       badNetwork // nothing without faults
	fleet     []spec
	needs     []requirement
	workers   []*worker
	byID      map[string]*worker
	shards    []*shard
	lostShare float64
	limit     int64 // tasks that a closed loop has run at once
	restarts  int
	crashes   int

	live      atomic.Int64 // tasks that run
	ready     atomic.Int64 // workers that have been registered
	connected atomic.Int64 // clients past their first hello
	gone      atomic.Int64 // workers that have quit

	loops  sync.WaitGroup
	failed chan error // of a loop
}

// Run loads the scheduler at c.Addr as c says and returns what came of it. The
// report names violations; they are no error. An error says why there is no
// result: a field of c (*ConfigError), too few descriptors, no scheduler, or a
// context that ended.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Verify(); err != nil {
		return nil, err
	}
	r, err := prepare(c)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	if err := r.up(ctx); err != nil {
		return nil, err
	}
	p := newProgress(r)
	window, err := r.load(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := r.conclude(ctx); err != nil {
		return nil, err
	}
	return r.report(window), nil
}

// prepare builds the fleet and the loops, and connects nothing.
func prepare(c Config) (*run, error) {
	workers, err := fitWorkers(&c, c.Progress)
	if err != nil {
		return nil, err
	}
	c.Workers = workers
	to, err := net.ResolveTCPAddr("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("loadtest: %w", err)
	}
	c.settle()
	r := &run{cfg: c, to: to.AddrPort(), start: time.Now(), failed: make(chan error, c.Loops)}
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	r.fleet = newFleet(rng, c.Workers, c.Slots)
	for i := range r.fleet {
		r.fleet[i].over = c.Transport.of(i, c.Workers)
	}
	r.needs = newRequirements(rng, r.fleet, c.Profile)
	r.limit = int64(c.Occupancy * float64(totalSlots(r.fleet)))
	if c.Profile == ProfileOverload {
		r.limit = math.MaxInt64 // more than there is room for
	}
	if c.Faults {
		r.lostShare = lostInFaults
	}
	r.judge = judge.New(known(r.fleet), func() time.Duration { return time.Since(r.start) }, r.shout)
	for _, part := range []func() error{r.network, r.populate} {
		if err := part(); err != nil {
			r.stop()
			return nil, err
		}
	}
	return r, nil
}

// known is what the judge knows of a fleet.
func known(fleet []spec) []judge.Worker {
	out := make([]judge.Worker, len(fleet))
	for i, s := range fleet {
		out[i] = judge.Worker{ID: s.id, Tags: s.tags, Slots: s.slots, Heuristic: s.over == HTTP}
		if s.over != HTTP { // such a worker offers slots alone
			out[i].Amounts = s.resources
			for _, d := range s.devices {
				out[i].Devices = append(out[i].Devices, d.Memory)
			}
		}
	}
	return out
}

func (r *run) shout(v judge.Violation) {
	if r.cfg.Progress != nil {
		fmt.Fprintln(r.cfg.Progress, "VIOLATION", v)
	}
}

// populate makes the loops and deals workers and clients to them.
func (r *run) populate() error {
	for i := range r.cfg.Loops {
		loop, err := poll.New(r.start)
		if err != nil {
			return err
		}
		r.shards = append(r.shards, newShard(r, loop, uint64(i)+1))
	}
	r.byID = make(map[string]*worker, len(r.fleet))
	for i := range r.fleet {
		s := r.shards[i%len(r.shards)]
		w := newWorker(s, &r.fleet[i], i)
		s.workers = append(s.workers, w)
		r.workers = append(r.workers, w)
		r.byID[w.spec.id] = w
	}
	for i := range r.cfg.Clients {
		s := r.shards[i%len(r.shards)]
		s.clients = append(s.clients, newClient(s, i))
	}
	for _, s := range r.shards {
		if r.cfg.Transport.has(UDP) {
			var err error
			if s.port, err = s.loop.Open(r.beatsTo, s); err != nil {
				return err
			}
		}
	}
	for _, s := range r.shards {
		r.loops.Go(func() {
			if err := s.loop.Run(); err != nil {
				r.failed <- err
			}
		})
	}
	return nil
}

// up connects workers and clients.
func (r *run) up(ctx context.Context) error {
	r.each(func(s *shard) { s.startWorkers(startWindow) })
	err := r.wait(ctx, startLimit, func() bool { return r.ready.Load() == int64(len(r.workers)) })
	if err != nil {
		return fmt.Errorf("loadtest: %d of %d workers are registered at %s: %w", r.ready.Load(), len(r.workers), r.cfg.Addr, err)
	}
	r.each(func(s *shard) {
		for _, c := range s.clients {
			c.connect()
		}
	})
	err = r.wait(ctx, startLimit, func() bool { return r.connected.Load() >= int64(r.cfg.Clients) })
	if err != nil {
		return fmt.Errorf("loadtest: %d of %d clients are connected to %s: %w", r.connected.Load(), r.cfg.Clients, r.cfg.Addr, err)
	}
	return nil
}

// each runs f on every loop and waits for all.
func (r *run) each(f func(s *shard)) {
	for _, s := range r.shards {
		s.loop.Do(func() { f(s) })
	}
}

// wait waits until cond holds, the limit has passed, or the context has ended.
func (r *run) wait(ctx context.Context, limit time.Duration, cond func() bool) error {
	look := time.NewTicker(lookPeriod)
	defer look.Stop()
	late := time.NewTimer(limit)
	defer late.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.failed:
			return err
		case <-late.C:
			return errTime
		case <-look.C:
		}
	}
	return nil
}

func (r *run) stop() {
	for _, s := range r.shards {
		s.loop.Post(s.loop.Stop)
	}
	r.loops.Wait()
	if r.web != nil {
		r.web.close()
	}
	r.bad.close()
}
