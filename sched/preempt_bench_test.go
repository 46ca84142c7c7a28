package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// fullOf is a fleet with cpu and mem whose slots are all taken by tasks of the
// priorities 0, -1, ... in turns, as many as are asked for.
func fullOf(tb testing.TB, workers, priorities int) *State {
	s := fleetOf(tb, workers, map[string]int64{"cpu": 16_000, "mem": 65_536}, nil)
	var out Outbox
	for i := range workers * 16 {
		out.Reset()
		s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Appendf(nil, "full-%d", i), Priority: -int32(i % priorities), TTLMS: wire.MaxTTL,
			Tags: wire.AppendTags(nil, []string{"linux"}), Resources: wire.AppendResources(nil, map[string]int64{"cpu": 1_000, "mem": 4_096})}, &out)
		require.Equal(tb, wire.KindPlaced, out.Items[0].Kind)
		p := &out.Items[0].Placed
		slot, _ := s.leases.find(p.Lease)
		w := s.workers.at(s.leases.slots.at(slot).worker)
		session := w.session
		s.Apply(1, session, 0, &wire.Begun{Handle: w.handle, Seq: w.seq + 1, Record: wire.Record{Lease: p.Lease, Task: fmt.Appendf(nil, "full-%d", i)}}, &out)
	}
	return s
}

// BenchmarkSeek has a task that preempts come to a full fleet, looks for its
// victims, and cancels it before they are told: what a preemption costs the
// scheduler beside the messages, and over how many pulses that is spread. Of none the fleet has no task that may be
// preempted, of few every thousandth may, of all nearly all.
func BenchmarkSeek(b *testing.B) {
	for _, workers := range []int{5_000, 50_000} {
		for _, share := range []string{"none", "few", "all"} {
			b.Run(fmt.Sprintf("workers=%d/%s", workers, share), func(b *testing.B) {
				s := fullOf(b, workers, map[string]int{"none": 1, "few": 1, "all": 16}[share])
				if share == "few" {
					thin(s)
				}
				m := wire.Schedule{Task: []byte("urgent"), Priority: 5, Preempt: true, WaitMS: wire.MaxWait, Tags: wire.AppendTags(nil, []string{"linux"}),
					Resources: wire.AppendResources(nil, map[string]int64{"cpu": 2_000, "mem": 8_192})}
				var out Outbox
				pulses := 0
				for b.Loop() {
					out.Reset()
					s.queue.soughtAt = s.now - seekGap
					s.Apply(1, 1, 1, &m, &out)
					for s.NextPulse() <= 1 {
						s.Pulse(1, &out)
						pulses++
					}
					if claimed := len(s.queue.claims) == 1; claimed != (share != "none") {
						b.Fatal("victims were found: ", claimed)
					}
					s.Apply(1, 1, 2, &wire.Cancel{Task: "urgent"}, &out)
				}
				b.ReportMetric(float64(pulses)/float64(b.N), "pulses/op")
			})
		}
	}
}

// thin lets every five hundredth worker have two tasks that may be preempted.
func thin(s *State) {
	for n := int32(0); n < int32(s.workers.n); n += 500 {
		w := s.workers.at(n)
		for _, e := range []int32{w.head, w.tail} {
			l := s.leases.slots.at(e - 1)
			s.countPreemptible(w, l, -1)
			l.flags |= leasePreemptible
			l.priority = -1
			s.countPreemptible(w, l, 1)
		}
	}
}
