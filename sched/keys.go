package sched

import "bytes"

// keyTable finds the live lease of a (client, key). It is extendible hashing
// (Fagin, Nievergelt, Pippenger and Strong, 1979): a directory, indexed by the
// highest bits of the hash, of segments of a fixed size. A full segment is split
// and sparse buddies are joined, so an insertion or removal moves one segment at
// most; only the directory, a fraction of a percent of the table, doubles in one
// step. A segment is open addressing with linear probing and deletion by shifting
// back (Knuth, TAOCP 3, 6.4 R). Entries hold the hash, so a probe reads a lease
// only where the hash agrees.
type keyTable struct {
	directory []*keySegment          // 1 << depth of them
	depth     uint8                  // bits of the hash that the directory uses
	n         int                    // entries
	segments  [keyMaxDepth + 1]int32 // by their depth
}

const (
	keySegmentSize = 511                      // entries; a segment has 4 KiB
	keySegmentFull = keySegmentSize * 13 / 16 // entries from which on a segment is split
	keySegmentLow  = keySegmentSize * 3 / 8   // entries of two buddies below which they are joined
	keyMaxDepth    = 16                       // beyond it segments fill up: enough for the most leases that can be alive
)

// keyEntry is one lease in the table; the zero entry is free.
type keyEntry struct {
	hash uint32
	slot int32 // + 1
}

// keySegment holds the entries whose hashes agree in their highest bits.
type keySegment struct {
	n       uint16
	depth   uint8 // how many bits agree
	entries [keySegmentSize]keyEntry
}

// keyHash never looks at more than the client's own hash and the key.
func keyHash(client uint64, key []byte) uint32 {
	return uint32(hashBytes(client, key) >> 32)
}

// keyHome is the place in a segment at which the search for a hash begins. It
// depends on the low half of the hash, the directory on the high half.
func keyHome(hash uint32) uint32 { return (hash & 0xffff) * keySegmentSize >> 16 }

// keyNext is the place behind place i.
func keyNext(i uint32) uint32 {
	if i++; i == keySegmentSize {
		return 0
	}
	return i
}

// keyDistance is how far place i is behind place from.
func keyDistance(from, i uint32) uint32 {
	if i < from {
		i += keySegmentSize
	}
	return i - from
}

// segment returns the segment of a hash; the directory must not be empty.
func (t *keyTable) segment(hash uint32) *keySegment {
	return t.directory[uint64(hash)>>(32-t.depth)]
}

// findKey returns the slot of the live lease of client with this key.
func (s *State) findKey(client int32, hash uint32, key []byte) (int32, bool) {
	t := &s.keys
	if t.n == 0 {
		return 0, false
	}
	g := t.segment(hash)
	for i := keyHome(hash); g.entries[i].slot != 0; i = keyNext(i) {
		if g.entries[i].hash != hash {
			continue
		}
		slot := g.entries[i].slot - 1
		if l := s.leases.slots.At(slot); l.client == client && bytes.Equal(l.key(), key) {
			return slot, true
		}
	}
	return 0, false
}

// addKey enters a lease, whose key must not be in the table. A lease whose
// segment can be split no further stays without a key.
func (s *State) addKey(slot int32, l *lease) {
	if s.keys.add(keyEntry{l.keyHash, slot + 1}) {
		l.flags |= leaseKeyed
	}
}

// dropKey takes a lease out, if it is in.
func (s *State) dropKey(slot int32, l *lease) {
	if l.flags&leaseKeyed != 0 {
		l.flags &^= leaseKeyed
		s.keys.remove(keyEntry{l.keyHash, slot + 1})
	}
}

// add enters an entry. It reports false if there is no room for it.
func (t *keyTable) add(e keyEntry) bool {
	if t.directory == nil {
		t.directory = []*keySegment{{}}
		t.segments[0] = 1
	}
	g := t.segment(e.hash)
	for g.n >= keySegmentFull && g.depth < keyMaxDepth {
		t.split(g, e.hash)
		g = t.segment(e.hash)
	}
	if g.n == keySegmentSize-1 { // one entry stays free, so that every search ends
		return false
	}
	g.insert(e)
	t.n++
	return true
}

func (g *keySegment) insert(e keyEntry) {
	i := keyHome(e.hash)
	for g.entries[i].slot != 0 {
		i = keyNext(i)
	}
	g.entries[i] = e
	g.n++
}

// split moves the entries of g whose next bit is set to a new segment. hash is
// one that lies in g.
func (t *keyTable) split(g *keySegment, hash uint32) {
	if g.depth == t.depth {
		t.widen()
	}
	all := g.entries
	t.segments[g.depth]--
	*g = keySegment{depth: g.depth + 1}
	buddy := &keySegment{depth: g.depth}
	t.segments[g.depth] += 2
	bit := uint32(1) << (32 - g.depth)
	for _, e := range all {
		switch {
		case e.slot == 0:
		case e.hash&bit == 0:
			g.insert(e)
		default:
			buddy.insert(e)
		}
	}
	t.point(hash|bit, buddy)
}

// point makes the directory lead to g for all hashes that agree with hash in as
// many bits as those of g do.
func (t *keyTable) point(hash uint32, g *keySegment) {
	span := 1 << (t.depth - g.depth)
	first := int(uint64(hash)>>(32-t.depth)) &^ (span - 1)
	for i := range span {
		t.directory[first+i] = g
	}
}

// remove takes out an entry that is in.
func (t *keyTable) remove(e keyEntry) {
	g := t.segment(e.hash)
	i := keyHome(e.hash)
	for g.entries[i] != e {
		i = keyNext(i)
	}
	for j := keyNext(i); g.entries[j].slot != 0; j = keyNext(j) {
		// An entry may move to the hole only if its home is not behind the hole.
		if keyDistance(keyHome(g.entries[j].hash), j) >= keyDistance(i, j) {
			g.entries[i] = g.entries[j]
			i = j
		}
	}
	g.entries[i] = keyEntry{}
	g.n--
	t.n--
	if g.n < keySegmentLow {
		t.join(g, e.hash)
	}
}

// join makes one segment of g, in which hash lies, and its buddy, the other half
// of the segment that was split, if both are sparse.
func (t *keyTable) join(g *keySegment, hash uint32) {
	if g.depth == 0 {
		return
	}
	buddy := t.segment(hash ^ 1<<(32-g.depth))
	if buddy.depth != g.depth || g.n+buddy.n >= keySegmentLow {
		return
	}
	for _, e := range buddy.entries {
		if e.slot != 0 {
			g.insert(e)
		}
	}
	t.segments[g.depth] -= 2
	g.depth--
	t.segments[g.depth]++
	t.point(hash, g)
	if t.depth > 0 && t.segments[t.depth] == 0 && t.segments[t.depth-1] == 0 {
		t.narrow()
	}
}

// widen doubles the directory.
func (t *keyTable) widen() {
	wide := make([]*keySegment, 2*len(t.directory))
	for i, g := range t.directory {
		wide[2*i], wide[2*i+1] = g, g
	}
	t.directory = wide
	t.depth++
}

// narrow halves the directory; no segment may need its last bit.
func (t *keyTable) narrow() {
	half := make([]*keySegment, len(t.directory)/2)
	for i := range half {
		half[i] = t.directory[2*i]
	}
	t.directory = half
	t.depth--
}
