package server

import (
	"math/bits"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// ops bounds the kinds of requests that are distinguished; kind 0 is a frame that
// could not be read.
const ops = int(wire.FirstAnswer)

// latencyBounds are the upper bounds of the buckets of request durations: five
// for each decade up to a millisecond, then three.
var latencyBounds = [...]time.Duration{
	1_000, 1_600, 2_500, 4_000, 6_300,
	10_000, 16_000, 25_000, 40_000, 63_000,
	100_000, 160_000, 250_000, 400_000, 630_000,
	1_000_000, 2_500_000, 5_000_000,
	10_000_000, 25_000_000, 50_000_000,
	100_000_000, 250_000_000, 500_000_000,
	1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
}

// firstBound is, for each length in bits, the first of latencyBounds that a
// duration of so many bits may lie below.
var firstBound = func() (first [65]uint8) {
	for n := range first {
		for int(first[n]) < len(latencyBounds) && n > 0 && latencyBounds[first[n]] < 1<<(n-1) {
			first[n]++
		}
	}
	return first
}()

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	i := int(firstBound[bits.Len64(uint64(max(d, 0)))])
	for i < len(latencyBounds) && d > latencyBounds[i] {
		i++
	}
	return i
}

// latencies counts durations by bucket.
type latencies struct {
	counts [len(latencyBounds) + 1]uint64
	sum    time.Duration
}

// meter counts requests and how long they took. It has no lock: an event loop
// has one of its own, which is copied on the loop when it is read.
type meter struct {
	requests [ops * maxCode]uint64 // by kind and code
	took     [ops]latencies        // by kind
	busy     time.Duration         // that the core was at work
}

// request is the kind of a request and the code of its answer.
type request uint16

// kind returns the kind of a request.
func (r request) kind() wire.Kind { return wire.Kind(r / maxCode) }

func requestOf(k wire.Kind, code wire.Code) request {
	if int(k) >= ops {
		k = 0
	}
	return request(int(k)*maxCode + min(int(code), maxCode-1))
}

// count counts n requests that took so long, each.
func (m *meter) count(r request, n int, took time.Duration, bucket int) {
	m.requests[r] += uint64(n)
	l := &m.took[r/maxCode]
	l.counts[bucket] += uint64(n)
	l.sum += took * time.Duration(n)
}

// merge adds what another meter has counted.
func (m *meter) merge(o *meter) {
	for i, n := range o.requests {
		m.requests[i] += n
	}
	for k := range o.took {
		for b, n := range o.took[k].counts {
			m.took[k].counts[b] += n
		}
		m.took[k].sum += o.took[k].sum
	}
	m.busy += o.busy
}

// A batch ends with a second reading of the clock, which costs as much as a
// tenth of a request. For a batch of several requests that is little; of small
// ones that follow each other closely only one in maxUntimed+1 is timed.
const (
	smallBatch = 8                      // what a batch must cost to be timed always
	maxUntimed = 15                     // small batches in a row that are not timed
	freshFor   = 100 * time.Microsecond // how soon after a timed one they must begin
)

// batchMeter is the meter of an event loop. The requests of a batch that is not
// timed get the duration of the next that is, a few batches later.
type batchMeter struct {
	meter
	run                   // the latest, and as the others counted with the next timed batch
	runs    []run         // those before it
	untimed int           // batches among them
	ended   time.Duration // when the last timed batch ended
	last    time.Duration // how long its requests took
}

// run is a number of equal requests.
type run struct {
	request
	n int
}

// note notes a request of the present batch.
func (m *batchMeter) note(r request) {
	if r != m.request {
		m.push(r)
	}
	m.n++
}

// push goes on with the run of r, or begins it. Of single requests that take
// turns there are few.
func (m *batchMeter) push(r request) {
	for i := range m.runs {
		if m.runs[i].request == r {
			m.run, m.runs[i] = m.runs[i], m.run
			return
		}
	}
	if m.n > 0 {
		m.runs = append(m.runs, m.run)
	}
	m.run = run{request: r}
}

// skips reports whether a batch that cost so much and began at began need not
// be timed.
func (m *batchMeter) skips(began time.Duration, cost int) bool {
	if cost >= smallBatch || m.untimed >= maxUntimed || began-m.ended > freshFor {
		return false
	}
	m.untimed++
	return true
}

// finish counts the open requests. The last batch waited for the core, worked,
// and ended at ended.
func (m *batchMeter) finish(waited, worked, ended time.Duration) {
	m.last, m.ended = waited+worked, ended
	m.busy += worked * time.Duration(1+m.untimed)
	m.close()
}

// close counts the open requests with the latest duration.
func (m *batchMeter) close() {
	bucket := bucketOf(m.last)
	m.count(m.request, m.n, m.last, bucket)
	for _, r := range m.runs {
		m.count(r.request, r.n, m.last, bucket)
	}
	m.runs, m.n, m.untimed = m.runs[:0], 0, 0
}

// codeOf returns the code with which the core answered a request of a session:
// the first of its items for it. A request that has no answer yet waits; a
// report that has none is accepted.
func codeOf(k wire.Kind, from sched.Session, request uint64, items []sched.Item) wire.Code {
	if len(items) == 1 && items[0].To == from && items[0].Request == request {
		return codeIn(&items[0])
	}
	for i := range items {
		if it := &items[i]; it.To == from && it.Request == request {
			return codeIn(it)
		}
	}
	switch k {
	case wire.KindSchedule, wire.KindBatch:
		return wire.CodeWaiting
	}
	return wire.CodeOK
}

// codeIn returns the code of an answer. Of a batch it is that of the first task
// that was refused for a reason of its own.
func codeIn(it *sched.Item) wire.Code {
	switch it.Kind {
	case wire.KindReleased:
		return it.Released.Code
	case wire.KindError:
		if e, ok := it.Other.(*wire.Error); ok {
			return e.Code
		}
	case wire.KindSuperseded:
		return wire.CodeSuperseded
	case wire.KindPlacedAll:
		if all, ok := it.Other.(*wire.PlacedAll); ok {
			return gateway.CodeOfAll(all.Results)
		}
	}
	return wire.CodeOK
}
