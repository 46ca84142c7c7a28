package wire

import "testing"

// The messages of the hot path, of usual size.
func usualSchedule() *Schedule {
	return &Schedule{
		Task: []byte("job-1742/part-000381"),
		Tags: AppendTags(nil, []string{"gpu", "cuda=12.4", "zone=b"}),
	}
}

func usualPlaced() *Placed {
	return &Placed{
		Lease:       LeaseID{Epoch: 3, Instance: 0x9f04c2d1, Counter: 1_742_381},
		Target:      AppendTarget(nil, "worker-000381", "10.1.2.3:9000"),
		Incarnation: 0x8d3c_52f0_11aa_70b1,
		TTLMS:       10_000,
	}
}

func usualBeat() *Beat {
	return &Beat{Worker: []byte("worker-000381"), Incarnation: 0x8d3c_52f0_11aa_70b1, Seq: 77_123, External: 3, Digest: 1 << 60}
}

// BenchmarkScheduleAndPlaced is the codec's part of a request: decode a
// schedule, encode its answer.
func BenchmarkScheduleAndPlaced(b *testing.B) {
	frame, placed := Append(nil, 4711, usualSchedule())[lengthSize:], usualPlaced()
	var d Decoder
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		_, request, err := d.Decode(frame)
		if err != nil {
			b.Fatal(err)
		}
		out = Append(out[:0], request, placed)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, m := range []Message{usualSchedule(), usualPlaced(), &Heartbeat{381, 77_123, 3}, usualBeat()} {
		frame := Append(nil, 4711, m)[lengthSize:]
		b.Run(m.Kind().String(), func(b *testing.B) {
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := d.Decode(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, m := range []Message{usualSchedule(), usualPlaced(), &Heartbeat{381, 77_123, 3}, usualBeat()} {
		b.Run(m.Kind().String(), func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = Append(out[:0], 4711, m)
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	id, sum := usualPlaced().Lease, uint64(0)
	for b.Loop() {
		id.Counter++
		sum ^= id.Digest()
	}
	if sum == 0 {
		b.Fatal("no digest")
	}
}
