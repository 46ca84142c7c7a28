package index

import (
	"math"
	"math/bits"
)

// Full is the load of a worker without room. Loads below it are fractions of 2^31.
const Full uint32 = 1 << 31

// Load returns floor(2^31 * taken / capacity), at most Full. A capacity of 0 is Full. The integers
// are exact over the whole range of uint64.
func Load(taken, capacity uint64) uint32 {
	if taken >= capacity {
		return Full
	}
	hi, lo := bits.Mul64(taken, uint64(Full))
	quotient, _ := bits.Div64(hi, lo, capacity)
	return uint32(quotient)
}

// A key orders workers: the smaller is chosen first. From the top it holds 31 bits of load, one bit
// that is set once the worker has been given anything, and 32 bits of give stamp, or of slot number
// for a worker never given. No two workers with room have equal keys, so the least is unique and
// minima can be pruned with >=.
const (
	keyAbsent  = math.MaxUint64 // an ineligible worker, or nothing at all
	keyFull    = keyAbsent - 1  // an eligible worker without room; every choosable key is smaller
	loadShift  = 33
	givenBit   = 1 << 32
	lastStamp  = math.MaxUint32 - 2 // keeps the largest key below keyFull
	neverGiven = 0                  // the stamp of a worker that was given nothing
)

// makeKey returns the key of an eligible worker.
func makeKey(load, stamp uint32, w Worker) uint64 {
	if load >= Full {
		return keyFull
	}
	if stamp == neverGiven {
		return uint64(load)<<loadShift | uint64(w)
	}
	return uint64(load)<<loadShift | givenBit | uint64(stamp)
}
