package sched

import (
	"encoding/binary"
	"math/bits"
)

// Odd constants with well-spread bits, as the multiply-and-fold hashes use
// (wyhash, Wang Yi, 2019).
const (
	hashK0 = 0xa0761d6478bd642f
	hashK1 = 0xe7037ed1a0b428db
	hashK2 = 0x8ebc6af09c88c6e3
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashBytes folds b into h, eight bytes at a time.
func hashBytes(h uint64, b []byte) uint64 {
	n := len(b)
	h ^= (uint64(n) + 1) * hashK0
	if n < 8 {
		return mix(h^short(b), hashK2)
	}
	last := binary.LittleEndian.Uint64(b[n-8:]) // which may overlap what is folded before
	for ; len(b) > 8; b = b[8:] {
		h = mix(h^binary.LittleEndian.Uint64(b), hashK1)
	}
	return mix(h^last, hashK2)
}

// short returns the bytes of b, at most 7, as one number that no other b of the
// same length has.
func short(b []byte) uint64 {
	switch n := len(b); {
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		return uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return 0
}
