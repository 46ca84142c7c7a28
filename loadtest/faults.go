package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// crashShare is the part of the workers that is killed in a run with faults.
const crashShare = 0.1

// fault is one thing that disturb does.
type fault struct {
	at time.Duration
	do func(ctx context.Context)
}

// disturb kills and restarts during the load: a tenth of the workers between a
// tenth and nine tenths of the time, and the scheduler in its middle. Every
// second worker comes back with what it ran, the others have lost it.
func (r *run) disturb(ctx context.Context) {
	began := time.Now()
	for _, f := range r.faults() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(f.at))):
			f.do(ctx)
		}
	}
}

// faults draws what disturb does, in order of time.
func (r *run) faults() []fault {
	rng := rand.New(rand.NewPCG(r.cfg.Seed, 1<<32))
	n := max(1, int(crashShare*float64(len(r.workers))))
	var out []fault
	for i, victim := range rng.Perm(len(r.workers))[:n] {
		w := r.workers[victim]
		out = append(out, fault{
			at: r.cfg.Duration/10 + time.Duration(rng.Int64N(int64(r.cfg.Duration)*8/10)),
			do: func(context.Context) {
				r.crashes++
				w.sh.loop.Post(func() { w.link.crash(w.sh.loop.Now(), i%2 == 0) })
			},
		})
	}
	if r.cfg.Scheduler != nil {
		out = append(out, fault{at: r.cfg.Duration / 2, do: r.restart})
	}
	slices.SortFunc(out, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return out
}

func (r *run) restart(ctx context.Context) {
	r.restarts++
	if err := r.cfg.Scheduler.Restart(ctx); err != nil && ctx.Err() == nil {
		r.failed <- fmt.Errorf("loadtest: restart the scheduler: %w", err)
	}
}
