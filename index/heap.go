package index

import "math"

// absent is the place of an ineligible worker, which stands in no heap.
const absent = math.MaxUint32

// shrinkFrom is the number of entries below which a heap keeps its memory when workers leave.
const shrinkFrom = 64

// An entry is a worker in a heap, with its key.
type entry struct {
	key    uint64
	worker Worker
}

// A heap holds the eligible workers of one profile: a binary min-heap, in which no entry has a
// smaller key than the one above it. The record of each worker knows the place of its entry.
type heap struct{ vector[entry] }

// top returns the least key, keyAbsent when there is none.
func (h *heap) top() uint64 {
	if h.n == 0 {
		return keyAbsent
	}
	return h.first[0].key
}

// key returns the key at place i.
func (h *heap) key(i int) uint64 { return h.at(i).key }

// add puts in an entry.
func (h *heap) add(e entry, records *vector[record]) {
	h.push(e)
	h.up(h.n-1, e, records)
}

// remove takes out the entry at place i.
func (h *heap) remove(i int, records *vector[record]) {
	last := h.n - 1
	records.at(int(h.at(i).worker)).place = absent
	e := h.pop()
	if i != last {
		h.settle(i, e, records)
	}
}

// settle puts an entry where it belongs, given a vacant place i.
func (h *heap) settle(i int, e entry, records *vector[record]) {
	if i > 0 && e.key < h.key((i-1)/2) {
		h.up(i, e, records)
		return
	}
	h.down(i, e, records)
}

// up moves the vacant place i toward the top until the entry may stand there.
func (h *heap) up(i int, e entry, records *vector[record]) {
	for i > 0 {
		parent := (i - 1) / 2
		above := h.at(parent)
		if above.key <= e.key {
			break
		}
		h.stand(i, *above, records)
		i = parent
	}
	h.stand(i, e, records)
}

// down moves the vacant place i away from the top until the entry may stand there.
func (h *heap) down(i int, e entry, records *vector[record]) {
	for {
		child := 2*i + 1
		if child >= h.n {
			break
		}
		below := h.at(child)
		if child+1 < h.n {
			if other := h.at(child + 1); other.key < below.key {
				child, below = child+1, other
			}
		}
		if below.key >= e.key {
			break
		}
		h.stand(i, *below, records)
		i = child
	}
	h.stand(i, e, records)
}

// stand writes an entry to a place, and the place to the record of its worker.
func (h *heap) stand(i int, e entry, records *vector[record]) {
	*h.at(i) = e
	records.at(int(e.worker)).place = uint32(i)
}
