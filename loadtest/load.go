package loadtest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// window is the time under load and what it cost.
type window struct {
	length time.Duration
	cpu    time.Duration // of this process
	counts counts        // at its end
}

// load drives the clients for the chosen time.
func (r *run) load(ctx context.Context, p *progress) (window, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began, cpu := time.Now(), processTime()
	r.each(func(s *shard) {
		s.loading = true
		if rate := r.cfg.Rate; rate > 0 {
			s.pace.begin(s, rate*float64(len(s.clients))/float64(r.cfg.Clients))
		}
		for _, c := range s.clients {
			c.pump(s.loop.Now())
		}
	})
	var faults sync.WaitGroup
	if r.cfg.Faults {
		faults.Go(func() { r.disturb(ctx) })
	}
	err := p.watch(ctx, r.cfg.Duration)
	w := window{length: time.Since(began), cpu: processTime() - cpu, counts: r.total()}
	cancel()
	faults.Wait()
	r.bad.calm()
	r.each((*shard).quiesce)
	return w, err
}

// quiesce ends the load: no new requests, and no lease is kept.
func (s *shard) quiesce() {
	s.loading = false
	s.loop.Pace(nil)
	now := s.loop.Now()
	for j := range s.sleeping {
		j.wake(now)
	}
}

// total adds up what all shards have counted.
func (r *run) total() (sum counts) {
	r.each(func(s *shard) { sum.add(&s.counts) })
	return sum
}

// processTime is the processor time that this process has used.
func processTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
