package sched

import (
	"fmt"
	"testing"

	"github.com/dtask/dtask-scheduler/wire"
)

// BenchmarkRefusedBesideCordoned asks a full fleet in which one worker is
// cordoned: whether those that match are busy or out of service must be looked up.
func BenchmarkRefusedBesideCordoned(b *testing.B) {
	c := fullFleet(b)
	c.s.Apply(1, 1, 1, &wire.Cordon{Worker: c.s.workers.At(0).id, On: true}, &c.out)
	c.schedule.Task = append(c.schedule.Task[:0], "another"...)
	c.schedule.Tags = c.tags[0]
	b.ReportAllocs()
	for b.Loop() {
		c.out.Reset()
		c.s.Apply(1, 1, 1, &c.schedule, &c.out)
	}
}

// BenchmarkExplain is the dearest explanation: of a fleet in which no two workers
// offer the same, and which has changed each time. Time passes, so that none is
// refused for its cost.
func BenchmarkExplain(b *testing.B) {
	s := withWorkers(b, 0)
	for n := range int32(20_000) {
		if _, err := s.newWorker(fmt.Sprint(n)); err != nil {
			b.Fatal(err)
		}
		device := []wire.Device{{Memory: 40960, UUID: fmt.Sprintf("GPU-%08d", n)}}
		if err := s.setOffer(n, "a:1", []string{"gpu", "cuda=12.4", "zone=a", fmt.Sprintf("host=%d", n)}, "", device); err != nil {
			b.Fatal(err)
		}
	}
	c := newCycle(s)
	c.schedule.Tags, c.schedule.Selector = nil, []byte("gpu && cuda>=12 && cuda>=13")
	for now := Time(1_000); b.Loop(); now += 1_000 {
		c.out.Reset()
		s.why.shape++
		c.s.Apply(now, 1, 1, &c.schedule, &c.out)
	}
}
