package index

import (
	"math"
	"math/bits"
)

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

// down moves the vacant place i away from the top until the entry may stand there. Which of two
// children is the smaller cannot be predicted, so among those that lie in the first slice it is
// found without a jump.
func (h *heap) down(i int, e entry, records *vector[record]) {
	first := h.first
	child := 2*i + 1
	for child+1 < len(first) {
		_, right := bits.Sub64(first[child+1].key, first[child].key, 0)
		child += int(right)
		below := first[child]
		if below.key >= e.key {
			h.stand(i, e, records)
			return
		}
		first[i] = below
		records.at(int(below.worker)).place = uint32(i)
		i, child = child, 2*child+1
	}
	for child < h.n {
		if child+1 < h.n && h.key(child+1) < h.key(child) {
			child++
		}
		if h.key(child) >= e.key {
			break
		}
		h.stand(i, *h.at(child), records)
		i, child = child, 2*child+1
	}
	h.stand(i, e, records)
}

// stand writes an entry to a place, and the place to the record of its worker.
func (h *heap) stand(i int, e entry, records *vector[record]) {
	*h.at(i) = e
	records.at(int(e.worker)).place = uint32(i)
}
