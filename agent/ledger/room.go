package ledger

import (
	"math"
	"math/bits"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// hasRoom reports whether a lease can run beside those that run: no amount that
// the worker offers is exceeded, no device is given twice, and nothing runs
// beside a lease that has the whole worker. The scheduler counts the same, so
// a lease without room was granted wrongly.
func (l *Ledger) hasRoom(r *wire.Record) bool {
	if r.Exclusive && uint64(l.running)+uint64(l.external) > 0 {
		return false
	}
	if bits.Len64(r.Devices) > len(l.cfg.Devices) {
		return false
	}
	for mask := r.Devices; mask != 0; mask &= mask - 1 {
		if l.cfg.Devices[bits.TrailingZeros64(mask)].Missing {
			return false
		}
	}
	sum := newTally(&l.cfg)
	for _, e := range l.leases {
		if e.record.Outcome != wire.ReasonNone {
			continue
		}
		if e.record.Exclusive {
			return false
		}
		sum.add(&e.record)
	}
	if sum.whole&r.Devices != 0 {
		return false
	}
	sum.add(r)
	return sum.fits(&l.cfg)
}

// tally is what some leases take of a worker. It has room for what the protocol
// lets a worker offer, so that it needs no memory of its own.
type tally struct {
	offers   int // how many of names, has and taken are in use
	names    [wire.MaxResources]string
	has      [wire.MaxResources]int64
	taken    [wire.MaxResources]int64
	byDevice bool                   // gpu is counted by device
	whole    uint64                 // devices that a lease has all of
	shared   uint64                 // devices that leases share
	shares   [wire.MaxDevices]int64 // MiB taken of each
}

func newTally(c *Config) tally {
	t := tally{byDevice: len(c.Devices) > 0}
	for name, amount := range c.Resources {
		if t.offers == len(t.names) {
			break
		}
		t.names[t.offers], t.has[t.offers] = name, amount
		t.offers++
	}
	return t
}

// add counts one more lease. What the worker does not offer is not counted.
func (t *tally) add(r *wire.Record) {
	whole, share := r.Exclusive, int64(0)
	wire.EachResource(r.Resources, func(name []byte, amount int64) bool {
		switch {
		case string(name) == capacity.GPUMem:
			share = amount
		case t.byDevice && string(name) == capacity.GPU:
			whole = whole || amount > 0
		default:
			t.take(name, amount)
		}
		return true
	})
	if whole {
		t.whole |= r.Devices
		return
	}
	t.shared |= r.Devices
	for mask := r.Devices; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		t.shares[i] = plus(t.shares[i], share)
	}
}

func (t *tally) take(name []byte, amount int64) {
	for i := range t.offers {
		if string(name) == t.names[i] {
			t.taken[i] = plus(t.taken[i], amount)
		}
	}
}

// fits reports whether the worker has all of it.
func (t *tally) fits(c *Config) bool {
	if t.whole&t.shared != 0 {
		return false
	}
	for i := range t.offers {
		if t.taken[i] > t.has[i] {
			return false
		}
	}
	for mask := t.shared; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		if i >= len(c.Devices) || t.shares[i] > c.Devices[i].Memory {
			return false
		}
	}
	return true
}

// plus adds amounts, neither below 0. The sum stays at the largest number
// instead of becoming negative: leases that are restored were not checked.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
