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
	h ^= (uint64(len(b)) + 1) * hashK0
	for len(b) >= 8 {
		h = mix(h^binary.LittleEndian.Uint64(b), hashK1)
		b = b[8:]
	}
	var tail uint64
	for i, c := range b {
		tail |= uint64(c) << (8 * i)
	}
	return mix(h^tail, hashK2)
}
