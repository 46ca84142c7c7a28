package capacity

import "math/bits"

// Device is what is taken of one GPU of a worker. A device has a number: its
// place in the worker's list, below 64.
type Device struct {
	Memory int64  // MiB, 0 if it is not known
	Used   int64  // MiB that shares take
	Leases uint32 // that take some of it
	Whole  bool   // one of them takes all of it
}

// TakeShare chooses the device for a share of mem MiB, more than 0: of those
// that no lease has whole and that have so much left, the one with the least
// left, and of equals the one with the lowest number (best fit). It changes
// nothing.
func TakeShare(d []Device, mem int64) (mask uint64, ok bool) {
	best, least := -1, int64(0)
	for i := range d {
		left := d[i].Memory - d[i].Used
		if d[i].Whole || left < mem || best >= 0 && left >= least {
			continue
		}
		best, least = i, left
	}
	if best < 0 {
		return 0, false
	}
	return 1 << best, true
}

// TakeWhole chooses n devices, more than 0, that nothing is taken of and that
// have at least mem MiB each: the smallest first, of equals the lowest number.
// It changes nothing.
func TakeWhole(d []Device, n, mem int64) (mask uint64, ok bool) {
	for ; n > 0; n-- {
		best := -1
		for i := range d {
			if mask>>i&1 != 0 || d[i].Leases > 0 || d[i].Memory < mem {
				continue
			}
			if best < 0 || d[i].Memory < d[best].Memory {
				best = i
			}
		}
		if best < 0 {
			return 0, false
		}
		mask |= 1 << best
	}
	return mask, true
}

// Bits returns the numbers of a mask of devices, ascending.
func Bits(mask uint64) []int {
	numbers := make([]int, 0, bits.OnesCount64(mask))
	for ; mask != 0; mask &= mask - 1 {
		numbers = append(numbers, bits.TrailingZeros64(mask))
	}
	return numbers
}

// Mask returns the mask of some devices. Numbers outside 0..63 are left out.
func Mask(numbers []int) uint64 {
	var mask uint64
	for _, n := range numbers {
		if n >= 0 && n < 64 {
			mask |= 1 << n
		}
	}
	return mask
}
