package bench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	clientSession sched.Session = 1
	agentSession  sched.Session = 2
)

// path is the way of a request through one process, without the sockets: cut
// the frame, decode it, apply it, encode the answers.
type path struct {
	state *sched.State
	dec   wire.Decoder
	out   sched.Outbox
	reply []byte
}

func newPath(tb testing.TB, workers int) *path {
	return newPathOf(tb, workers, func(int, *wire.Register) {})
}

// newPathOf is newPath with workers that offer more; more completes the
// registration of each.
func newPathOf(tb testing.TB, workers int, more func(i int, m *wire.Register)) *path {
	cfg := sched.DefaultConfig()
	cfg.Instance = 1
	state, err := sched.New(cfg)
	require.NoError(tb, err)
	p := &path{state: state}
	p.serve(tb, clientSession, wire.Append(nil, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "bench"}))
	for i := range workers {
		session := agentSession + sched.Session(i/4000)
		if i%4000 == 0 {
			p.serve(tb, session, wire.Append(nil, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}))
		}
		m := &wire.Register{
			Worker: fmt.Sprintf("worker-%06d", i), Address: "10.0.0.1:9000", Incarnation: 1, Seq: 1,
			Tags: []string{"linux", fmt.Sprintf("model-%d", i%48), fmt.Sprintf("zone-%d", i%12)}, Slots: 16,
		}
		more(i, m)
		p.serve(tb, session, wire.Append(nil, 1, m))
		p.serve(tb, session, wire.Append(nil, 0, &wire.Promised{Handle: uint32(i % 4000), Grantor: state.Grantor()}))
	}
	return p
}

// serve handles all frames of in and returns the encoded answers.
func (p *path) serve(tb testing.TB, from sched.Session, in []byte) []byte {
	p.out.Reset()
	for len(in) > 0 {
		frame, n, err := wire.Split(in, wire.MaxFrame)
		if err != nil || frame == nil {
			tb.Fatalf("frame: %v", err)
		}
		m, request, err := p.dec.Decode(frame)
		if err != nil {
			tb.Fatal(err)
		}
		p.state.Apply(1, from, request, m, &p.out)
		in = in[n:]
	}
	p.reply = p.reply[:0]
	for i := range p.out.Items {
		it := &p.out.Items[i]
		p.reply = wire.Append(p.reply, it.Request, it.Message())
	}
	return p.reply
}

// requests are frames that ask for a place, and the frame that gives a lease
// back; both are changed in place, so that the benchmark builds nothing.
type requests struct {
	schedule [][]byte
	task     []int // offset of the task's digits
	release  []byte
	lease    int // offset of the lease id
	n        int
}

func newRequests(tb testing.TB) *requests {
	return newRequestsFor(tb, func(int, *wire.Schedule) {})
}

// newRequestsFor is newRequests for tasks that need more; more completes each.
func newRequestsFor(tb testing.TB, more func(i int, m *wire.Schedule)) *requests {
	r := &requests{}
	for i := range 50 {
		m := &wire.Schedule{Task: []byte("task-00000000"), Tags: wire.AppendTags(nil, []string{"linux", fmt.Sprintf("model-%d", i%48)})}
		more(i, m)
		f := wire.Append(nil, 7, m)
		r.schedule = append(r.schedule, f)
		r.task = append(r.task, offset(tb, f, []byte("00000000")))
	}
	marker := wire.LeaseID{Epoch: 0x01020304, Instance: 0x05060708, Counter: 0x090a0b0c0d0e0f10}
	b := marker.Bytes()
	r.release = wire.Append(nil, 8, &wire.Release{Lease: marker})
	r.lease = offset(tb, r.release, b[:])
	return r
}

func offset(tb testing.TB, in, what []byte) int {
	for i := range in {
		if i+len(what) <= len(in) && string(in[i:i+len(what)]) == string(what) {
			return i
		}
	}
	tb.Fatal("marker not found")
	return 0
}

// next returns the frame of a task that was not asked for before.
func (r *requests) next() []byte {
	r.n++
	k := r.n % len(r.schedule)
	digits := r.schedule[k][r.task[k]:][:8]
	for i, v := 7, r.n; i >= 0; i, v = i-1, v/10 {
		digits[i] = '0' + byte(v%10)
	}
	return r.schedule[k]
}

// placeAndRelease serves one schedule request and the release of its lease.
// The lease id is the first bin of the answer: header, array, kind, request.
func (p *path) placeAndRelease(tb testing.TB, r *requests) {
	reply := p.serve(tb, clientSession, r.next())
	if wire.Kind(reply[5]) != wire.KindPlaced {
		tb.Fatalf("answer %x", reply)
	}
	copy(r.release[r.lease:], reply[9:9+wire.LeaseIDSize])
	p.serve(tb, clientSession, r.release)
}

// BenchmarkPath is the cost of a request in process: bytes in, bytes out.
func BenchmarkPath(b *testing.B) {
	for _, workers := range []int{5_000, 100_000} {
		b.Run(fmt.Sprintf("schedule+release/workers=%d", workers), func(b *testing.B) {
			p, r := newPath(b, workers), newRequests(b)
			b.ReportAllocs()
			for b.Loop() {
				p.placeAndRelease(b, r)
			}
		})
	}
	b.Run("heartbeat/workers=5000", func(b *testing.B) {
		p := newPath(b, 5_000)
		frames := make([]byte, 0, 32)
		seq := uint32(1)
		b.ReportAllocs()
		for b.Loop() {
			seq++
			frames = wire.Append(frames[:0], 0, &heartbeat)
			heartbeat.Seq = seq
			p.serve(b, agentSession, frames)
		}
	})
}

var heartbeat = wire.Heartbeat{Handle: 7, Seq: 1, External: 3}

// TestPathAllocatesNothing: bytes in, bytes out, no garbage.
func TestPathAllocatesNothing(t *testing.T) {
	p, r := newPath(t, 200), newRequests(t)
	for range 20_000 {
		p.placeAndRelease(t, r)
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() { p.placeAndRelease(t, r) }))
	require.NoError(t, p.state.Check())
}
