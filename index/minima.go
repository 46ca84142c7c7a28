package index

import "math/bits"

// setTop notes the least key of the profile in a slot and mends the minima above it.
func (l *layout) setTop(slot uint32, top uint64) {
	old := l.tops[slot]
	if old == top {
		return
	}
	l.tops[slot] = top
	b := slot / blockSlots
	least := mend(l.blockLeast[b], old, top, l.tops, b)
	old = l.blockLeast[b]
	if old == least {
		return
	}
	l.blockLeast[b] = least
	g := b / groupBlocks
	l.groupLeast[g] = mend(l.groupLeast[g], old, least, l.blockLeast, g)
}

// mend returns the least of the i-th sixteen keys of a level, of which one changed from old to
// changed; least was the minimum before.
func mend(least, old, changed uint64, level []uint64, i uint32) uint64 {
	if changed <= least {
		return changed
	}
	if old != least {
		return least
	}
	k := (*[blockSlots]uint64)(level[i*blockSlots:])
	return min(
		min(min(k[0], k[1]), min(k[2], k[3])), min(min(k[4], k[5]), min(k[6], k[7])),
		min(min(k[8], k[9]), min(k[10], k[11])), min(min(k[12], k[13]), min(k[14], k[15])))
}

// leastAmong returns the least key of some slots of a block.
func (l *layout) leastAmong(b uint32, slots uint16) uint64 {
	tops := (*[blockSlots]uint64)(l.tops[b*blockSlots:])
	least := uint64(keyAbsent)
	for ; slots != 0; slots &= slots - 1 {
		least = min(least, tops[bits.TrailingZeros16(slots)%blockSlots])
	}
	return least
}

// holder returns the profile that has a key, among some slots of a block.
func (l *layout) holder(b uint32, slots uint16, top uint64) *profile {
	s := b*blockSlots + uint32(bits.TrailingZeros16(slots))
	for l.tops[s] != top {
		slots &= slots - 1
		s = b*blockSlots + uint32(bits.TrailingZeros16(slots))
	}
	return l.profiles[s]
}

// lowestZero returns the position of the lowest bit that is not set.
func lowestZero(mask uint16) int { return bits.TrailingZeros16(^mask) }
