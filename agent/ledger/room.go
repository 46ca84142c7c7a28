package ledger

import (
	"math/bits"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// hasRoom reports whether a lease can run beside those that run: no amount that
// the worker offers is exceeded, no device is given twice, and nothing runs beside a lease that has
// the whole worker. The scheduler counts the same; a worker that finds no room
// was told something wrong.
func (l *Ledger) hasRoom(r *wire.Record) bool {
	if r.Exclusive && l.running+int(l.external) > 0 || bits.Len64(r.Devices) > len(l.cfg.Devices) {
		return false
	}
	taken, shares := map[string]int64{}, make([]int64, len(l.cfg.Devices))
	whole, shared := uint64(0), uint64(0)
	add := func(r *wire.Record) {
		takesWhole, share := r.Exclusive, int64(0)
		wire.EachResource(r.Resources, func(name []byte, amount int64) bool {
			switch {
			case string(name) == resource.GPUMem:
				share = amount
			case string(name) == resource.GPU && len(l.cfg.Devices) > 0:
				takesWhole = takesWhole || amount > 0
			default:
				taken[string(name)] += amount
			}
			return true
		})
		if takesWhole {
			whole |= r.Devices
			return
		}
		shared |= r.Devices
		for mask := r.Devices; mask != 0; mask &= mask - 1 {
			if i := bits.TrailingZeros64(mask); i < len(shares) {
				shares[i] += share
			}
		}
	}
	for _, e := range l.leases {
		if e.record.Outcome != wire.ReasonNone {
			continue
		}
		if e.record.Exclusive {
			return false
		}
		add(&e.record)
	}
	before := whole
	add(r)
	if before&r.Devices != 0 || whole&shared != 0 {
		return false
	}
	for name, n := range taken {
		if has, offered := l.cfg.Resources[name]; offered && n > has {
			return false
		}
	}
	for i, n := range shares {
		if n > l.cfg.Devices[i].Memory {
			return false
		}
	}
	return true
}
