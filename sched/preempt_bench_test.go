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
		w := s.workers.At(s.leases.slots.At(slot).worker)
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
					if claimed := s.reservations.preemptions == 1; claimed != (share != "none") {
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
	for n := int32(0); n < int32(s.workers.Len()); n += 500 {
		w := s.workers.At(n)
		for _, e := range []int32{w.head, w.tail} {
			l := s.leases.slots.At(e - 1)
			s.countPreemptible(w, l, -1)
			l.flags |= leasePreemptible
			l.priority = -1
			s.countPreemptible(w, l, 1)
		}
	}
}

// BenchmarkUnderWay is a fleet with as many preemptions under way as there may be,
// of two victims each of which one is gone, and a fleet with none: a request of a higher priority that finds no room, and a task that
// is placed and released elsewhere, while nobody or one gang waits.
func BenchmarkUnderWay(b *testing.B) {
	for _, claims := range []int{0, maxPreemptions} {
		s := fullOf(b, 1_000, 16)
		var out Outbox
		resources := wire.AppendResources(nil, map[string]int64{"cpu": 2_000, "mem": 8_192})
		tags := wire.AppendTags(nil, []string{"linux"})
		for i := range claims {
			s.Apply(1, 1, 1, &wire.Schedule{Task: fmt.Append(nil, "urgent-", i), Priority: 5, Preempt: true, WaitMS: wire.MaxWait, Tags: tags, Resources: resources}, &out)
		}
		for s.NextPulse() <= 1+seekGap {
			s.Pulse(1+seekGap, &out)
			out.Reset()
		}
		require.Len(b, s.reservations.bypassed(), 0)
		require.Equal(b, claims, s.reservations.preemptions)
		for _, c := range s.reservations.list { // the first of two victims is gone
			for e := s.workers.At(c.worker).head; ; e = s.leases.slots.At(e - 1).next {
				if s.leases.slots.At(e-1).flags&leasePreempted != 0 {
					s.end(e-1, wire.ReasonPreempted)
					break
				}
			}
		}
		s.Apply(s.now, 2, 1, &wire.Register{Worker: "other", Address: "h:1", Incarnation: 1, Seq: 1, Tags: []string{"other"}, Slots: 16}, &out)
		s.Apply(s.now, 2, 0, &wire.Promised{Handle: uint32(len(s.sessions[2].links) - 1), Grantor: s.Grantor()}, &out)
		now := s.now
		b.Run(fmt.Sprintf("preemptions=%d/refused", claims), func(b *testing.B) {
			m := wire.Schedule{Task: []byte("refused"), Priority: 9, Tags: tags, Resources: resources}
			for b.Loop() {
				out.Reset()
				if s.Apply(now, 1, 1, &m, &out); out.Items[0].Kind != wire.KindError {
					b.Fatal("there is room")
				}
			}
		})
		other := wire.Schedule{Task: []byte("other"), Tags: wire.AppendTags(nil, []string{"other"})}
		release := func(b *testing.B) {
			for b.Loop() {
				out.Reset()
				s.Apply(now, 1, 1, &other, &out)
				s.Apply(now, 1, 2, &wire.Release{Lease: out.Items[0].Placed.Lease}, &out)
			}
		}
		b.Run(fmt.Sprintf("preemptions=%d/release", claims), release)
		gang := &wire.Batch{AllOrNone: true, Distinct: true}
		for i := range 8 {
			gang.Tasks = append(gang.Tasks, wire.Schedule{Task: fmt.Append(nil, "gang-", i), Tags: tags, Resources: resources, WaitMS: wire.MaxWait})
		}
		s.Apply(now, 1, 3, gang, &out)
		require.Equal(b, 1, s.queue.gangs)
		b.Run(fmt.Sprintf("preemptions=%d/gang/release", claims), release)
	}
}
