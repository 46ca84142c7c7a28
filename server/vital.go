package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
)

const (
	// probeEvery is how often the core and the event loops are probed.
	probeEvery = time.Second
	// stallAfter is how long a probe may be unanswered before the scheduler
	// counts as stuck: longer than any pause of a loaded machine, and much
	// shorter than the time after which workers are given up.
	stallAfter = 5 * time.Second
)

// lagBounds are the upper bounds of the buckets of the event loops' lag.
var lagBounds = [...]time.Duration{
	10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
	1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
	100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 10_000_000_000,
}

// lagCounts counts lags by bucket.
type lagCounts struct {
	counts [len(lagBounds) + 1]uint64
	sum    time.Duration
}

// vital knows when the parts of the scheduler last showed that they live.
type vital struct {
	mu      sync.Mutex              // guards all below
	core    time.Duration           // when the lock was last had
	late    time.Duration           // how late the pulse was then
	waiting map[*loop]time.Duration // when the probes were posted that have not run
	lag     lagCounts
	fleet   learning
}

func newVital(cfg *Config) vital {
	return vital{
		waiting: make(map[*loop]time.Duration),
		fleet:   learning{heartbeat: time.Duration(cfg.Sched.Heartbeat) * time.Millisecond, over: !cfg.Sched.Learning},
	}
}

// lags returns a copy of the lags that were measured.
func (v *vital) lags() lagCounts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lag
}

// prober probes the core and the event loops until stop closes.
func (s *Server) prober(stop <-chan struct{}) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	s.probeCore()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.probeLoops()
			s.probeCore()
			s.limiter.flush(s.log)
		}
	}
}

// probeLoops posts a probe to each event loop that has answered the one before.
func (s *Server) probeLoops() {
	v := &s.vital
	for _, l := range s.allLoops() {
		v.mu.Lock()
		_, pending := v.waiting[l]
		posted := s.core.clock.Since()
		if !pending {
			v.waiting[l] = posted
		}
		v.mu.Unlock()
		if !pending {
			l.post(func() { v.ran(l, s.core.clock.Since()-posted) })
		}
	}
}

// ran notes that a probe has run.
func (v *vital) ran(l *loop, lag time.Duration) {
	i := 0
	for i < len(lagBounds) && lag > lagBounds[i] {
		i++
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.waiting, l)
	v.lag.counts[i]++
	v.lag.sum += lag
}

// forget drops the probe of an event loop that has ended.
func (v *vital) forget(l *loop) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.waiting, l)
}

// probeCore takes the lock once and looks how late the pulse is.
func (s *Server) probeCore() {
	c, v := s.core, &s.vital
	var o sched.Observation
	var late sched.Time
	c.look("", "", func(now sched.Time) { late = max(0, now-c.state.NextPulse()) })
	c.observe(&o)
	if v.probed(c.clock.Since(), time.Duration(late)*time.Millisecond, &o) {
		c.look("", "", func(sched.Time) { c.state.Learned() })
	}
}

// probed notes what a probe of the core has found, and reports whether it has
// just learned its fleet.
func (v *vital) probed(now, late time.Duration, o *sched.Observation) (learned bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.core, v.late = now, late
	learns := !v.fleet.over
	v.fleet.look(now, o)
	return learns && v.fleet.over
}

// stalled says what does not move, "" if everything does.
func (s *Server) stalled() string {
	v, now := &s.vital, s.core.clock.Since()
	v.mu.Lock()
	defer v.mu.Unlock()
	if silent := now - v.core; silent > probeEvery+stallAfter {
		return fmt.Sprintf("the core has not been free for %v", silent.Round(time.Millisecond))
	}
	if v.late > stallAfter {
		return fmt.Sprintf("what is due in the core is late by %v", v.late)
	}
	for _, posted := range v.waiting {
		if silent := now - posted; silent > stallAfter {
			return fmt.Sprintf("an event loop has not turned for %v", silent.Round(time.Millisecond))
		}
	}
	return ""
}
