package index

import "math/bits"

// setTop notes the least key of the profile in a slot and mends the minima above it.
func (l *layout) setTop(slot uint32, top uint64) {
	b := slot / blockSlots
	tops := l.topsOf(b)
	here := &tops[slot%blockSlots]
	old := *here
	if old == top {
		return
	}
	*here = top
	least := mend(l.blockLeast[b], old, top, tops)
	old = l.blockLeast[b]
	if old == least {
		return
	}
	l.blockLeast[b] = least
	g := b / groupBlocks
	l.groupLeast[g] = mend(l.groupLeast[g], old, least, (*[blockSlots]uint64)(l.blockLeast[g*groupBlocks:]))
}

// topsOf returns the tops of the slots of a block, which lie side by side.
func (l *layout) topsOf(b uint32) *[blockSlots]uint64 {
	return (*[blockSlots]uint64)(l.tops.from(int(b) * blockSlots))
}

// mend returns the least of sixteen keys, of which one changed from old to changed; least was the
// minimum before.
func mend(least, old, changed uint64, k *[blockSlots]uint64) uint64 {
	if changed <= least {
		return changed
	}
	if old != least {
		return least
	}
	return min(
		min(min(k[0], k[1]), min(k[2], k[3])), min(min(k[4], k[5]), min(k[6], k[7])),
		min(min(k[8], k[9]), min(k[10], k[11])), min(min(k[12], k[13]), min(k[14], k[15])))
}

// leastAmong returns which of some slots, at least one, has the least key. It looks at all of them,
// in four independent chains of minima, which costs less than the mispredicted jumps of a search.
func (l *layout) leastAmong(slots []uint32) uint32 {
	tops := l.tops.first
	if l.tops.n > len(tops) {
		return l.leastOfMany(slots)
	}
	a, b, c, d := uint64(keyAbsent), uint64(keyAbsent), uint64(keyAbsent), uint64(keyAbsent)
	rest := slots
	for len(rest) >= 4 {
		a, b = min(a, tops[rest[0]]), min(b, tops[rest[1]])
		c, d = min(c, tops[rest[2]]), min(d, tops[rest[3]])
		rest = rest[4:]
	}
	for _, s := range rest {
		a = min(a, tops[s])
	}
	least := min(min(a, b), min(c, d))
	i := 0
	for tops[slots[i]] != least {
		i++
	}
	return slots[i]
}

// leastOfMany is leastAmong where the tops do not lie in one slice.
func (l *layout) leastOfMany(slots []uint32) uint32 {
	least, winner := uint64(keyAbsent), slots[0]
	for _, s := range slots {
		if top := *l.tops.at(int(s)); top < least {
			least, winner = top, s
		}
	}
	return winner
}

// search finds the slot with the least key among the matches of a requirement and notes it as the
// winner. The key of the last winner, though it may have grown since, is the bound to begin with: it
// saves a third of the visits.
func (l *layout) search(r *Requirement) {
	least := uint64(keyFull)
	if r.winner != noSlot {
		least = min(least, *l.tops.at(int(r.winner)))
	}
	for i, g := range r.groups {
		if l.groupLeast[g] >= least {
			continue
		}
		m := &r.matches[i]
		for left := m.blocks; left != 0; left &= left - 1 {
			i := uint32(bits.TrailingZeros16(left)) % groupBlocks
			b := g*groupBlocks + i
			if l.blockLeast[b] >= least {
				continue
			}
			tops := l.topsOf(b)
			for slots := m.slots[i]; slots != 0; slots &= slots - 1 {
				s := uint32(bits.TrailingZeros16(slots)) % blockSlots
				if tops[s] < least {
					least, r.winner = tops[s], b*blockSlots+s
				}
			}
		}
	}
}

// lowestZero returns the position of the lowest bit that is not set.
func lowestZero(mask uint16) int { return bits.TrailingZeros16(^mask) }
