package loadtest

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// progress prints what happened in each second.
type progress struct {
	run    *run
	second *hdrhistogram.Histogram
	last   counts
}

func newProgress(r *run) *progress {
	return &progress{run: r, second: hdrhistogram.New(shortest, longest, digits)}
}

// watch waits for the given time and prints a line each second.
func (p *progress) watch(ctx context.Context, length time.Duration) error {
	began := time.Now()
	end := time.NewTimer(length)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.run.failed:
			return err
		case <-end.C:
			return nil
		case now := <-tick.C:
			p.line(now.Sub(began))
		}
	}
}

func (p *progress) line(at time.Duration) {
	r := p.run
	p.second.Reset()
	r.each(func(s *shard) {
		p.second.Merge(s.interval)
		s.interval.Reset()
	})
	sum := r.total()
	_, violations := r.judge.Violations()
	if r.cfg.Progress != nil {
		fmt.Fprintf(r.cfg.Progress, "%4.0fs  %s schedules/s  p50 %s  p99 %s  running %s  refused %s  violations %d\n",
			at.Seconds(), grouped(sum.Placed-p.last.Placed),
			millis(p.second.ValueAtQuantile(50)), millis(p.second.ValueAtQuantile(99)),
			grouped(uint64(max(r.live.Load(), 0))), grouped(sum.refusals()-p.last.refusals()), violations)
	}
	p.last = sum
}

// millis prints nanoseconds as milliseconds.
func millis(ns int64) string { return fmt.Sprintf("%.3f ms", float64(ns)/1e6) }

// grouped prints a number with commas between thousands.
func grouped(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
