package sched

import "bytes"

// keyTable finds the live lease of a (client, key): open addressing with
// linear probing and deletion by shifting back (Knuth, TAOCP 3, 6.4 R). It
// holds lease slots + 1 and no keys of its own.
type keyTable struct {
	slots []int32
	n     int
}

const keyTableMin = 1024

// keyHash never looks at more than the client's own hash and the key.
func keyHash(client uint64, key []byte) uint32 {
	return uint32(hashBytes(client, key) >> 32)
}

// findKey returns the slot of the live lease of client with this key.
func (s *State) findKey(client int32, hash uint32, key []byte) (int32, bool) {
	t := &s.keys
	if t.n == 0 {
		return 0, false
	}
	mask := uint32(len(t.slots) - 1)
	for i := hash & mask; t.slots[i] != 0; i = (i + 1) & mask {
		slot := t.slots[i] - 1
		l := s.leases.slots.at(slot)
		if l.keyHash == hash && l.client == client && bytes.Equal(l.key(), key) {
			return slot, true
		}
	}
	return 0, false
}

// addKey enters a lease, whose key must not be in the table.
func (s *State) addKey(slot int32) {
	t := &s.keys
	if 4*(t.n+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]int32, max(2*len(old), keyTableMin))
		for _, e := range old {
			if e != 0 {
				t.insert(s.leases.slots.at(e-1).keyHash, e)
			}
		}
	}
	l := s.leases.slots.at(slot)
	t.insert(l.keyHash, slot+1)
	t.n++
	l.flags |= leaseKeyed
}

func (t *keyTable) insert(hash uint32, entry int32) {
	mask := uint32(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = entry
}

// dropKey takes a lease out, if it is in.
func (s *State) dropKey(slot int32) {
	l := s.leases.slots.at(slot)
	if l.flags&leaseKeyed == 0 {
		return
	}
	l.flags &^= leaseKeyed
	t := &s.keys
	t.n--
	mask := uint32(len(t.slots) - 1)
	i := l.keyHash & mask
	for t.slots[i] != slot+1 {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		if t.slots[j] == 0 {
			break
		}
		// An entry may move to the hole only if its home is not behind the hole.
		home := s.leases.slots.at(t.slots[j]-1).keyHash & mask
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = 0
}
