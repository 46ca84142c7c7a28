package loadtest

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/dtask/dtask-scheduler/loadtest/poll"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	shortest = int64(time.Microsecond) // latencies are measured between these,
	longest  = int64(time.Minute)
	digits   = 3 // to this many digits

	startWindow = 128 // workers of one shard that register at the same time at first
)

// shard is one event loop with its share of the workers and clients. All of it
// belongs to the loop's goroutine.
type shard struct {
	run      *run
	loop     *poll.Loop
	rng      *rand.Rand
	decoder  wire.Decoder
	to       netip.AddrPort // the address to dial
	workers  []*worker
	clients  []*client
	started  int // workers that were asked to connect
	loading  bool
	pausing  bool // tasks do not end, so that lists can be compared
	tasks    []*task
	jobs     []*job
	sleeping map[*job]struct{} // jobs that sit on a lease
	living   int               // jobs that are not over
	pace     pacer
	port     *poll.Port // for datagrams, nil if no worker sends any
	datagram []byte     // the last one that was sent

	counts   counts
	placed   *hdrhistogram.Histogram // of the whole run, natively
	web      *hdrhistogram.Histogram // and by HTTP
	refused  *hdrhistogram.Histogram
	interval *hdrhistogram.Histogram // of the present second
	waits    [classes]*hdrhistogram.Histogram
}

func newShard(r *run, loop *poll.Loop, seed uint64) *shard {
	histogram := func() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, digits) }
	return &shard{
		run: r, loop: loop, rng: rand.New(rand.NewPCG(r.cfg.Seed, seed)), to: r.to,
		sleeping: make(map[*job]struct{}),
		placed:   histogram(), web: histogram(), refused: histogram(), interval: histogram(),
		waits: [classes]*hdrhistogram.Histogram{histogram(), histogram(), histogram()},
	}
}

// startWorkers lets the next workers connect, a window of them at once.
func (s *shard) startWorkers(n int) {
	for ; n > 0 && s.started < len(s.workers); n-- {
		s.started++
		s.workers[s.started-1].link.connect()
	}
}

// frames decodes all whole frames in buf and hands them on, until visit
// returns false. It returns the bytes that were used, and an error if nothing
// behind them can be read.
func (s *shard) frames(buf []byte, visit func(m wire.Message, request uint64) bool) (int, error) {
	used := 0
	for {
		frame, n, err := wire.Split(buf[used:], wire.MaxFrame)
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		m, request, err := s.decoder.Decode(frame)
		if err != nil {
			return used, err
		}
		if !visit(m, request) {
			return used, nil
		}
	}
}

// record notes the latency of an answered schedule request.
func (s *shard) record(intended, now int64, placed, web bool) {
	took := min(max(now-intended, shortest), longest) // what the histograms can hold
	switch {
	case !placed:
		_ = s.refused.RecordValue(took)
	case web:
		_ = s.web.RecordValue(took)
	default:
		_ = s.placed.RecordValue(took)
		_ = s.interval.RecordValue(took)
	}
}

// back returns when to try again after the given number of failures: full
// jitter below a bound that doubles.
func (s *shard) back(now int64, failures int) int64 {
	const first, most = 500 * time.Millisecond, 5 * time.Second
	bound := min(first<<min(failures, 10), most)
	return now + s.rng.Int64N(int64(bound))
}

// incarnation draws a number that is not 0.
func (s *shard) incarnation() uint64 { return s.rng.Uint64() | 1 }

// exponential draws a time with the given mean, at most ten times that.
func (s *shard) exponential(mean time.Duration) int64 {
	return min(int64(s.rng.ExpFloat64()*float64(mean)), 10*int64(mean))
}
