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
type heap []entry

// top returns the least key, keyAbsent when there is none.
func (h heap) top() uint64 {
	if len(h) == 0 {
		return keyAbsent
	}
	return h[0].key
}

// add puts in an entry.
func (h *heap) add(e entry, records []record) {
	*h = append(*h, e)
	h.up(len(*h)-1, e, records)
}

// remove takes out the entry at place i.
func (h *heap) remove(i int, records []record) {
	last := len(*h) - 1
	records[(*h)[i].worker].place = absent
	e := (*h)[last]
	*h = shorten(*h, last)
	if i != last {
		h.settle(i, e, records)
	}
}

// settle puts an entry where it belongs, given a vacant place i.
func (h heap) settle(i int, e entry, records []record) {
	if i > 0 && e.key < h[(i-1)/2].key {
		h.up(i, e, records)
		return
	}
	h.down(i, e, records)
}

// up moves the vacant place i toward the top until the entry may stand there.
func (h heap) up(i int, e entry, records []record) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].key <= e.key {
			break
		}
		h.stand(i, h[parent], records)
		i = parent
	}
	h.stand(i, e, records)
}

// down moves the vacant place i away from the top until the entry may stand there.
func (h heap) down(i int, e entry, records []record) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].key < h[child].key {
			child++
		}
		if h[child].key >= e.key {
			break
		}
		h.stand(i, h[child], records)
		i = child
	}
	h.stand(i, e, records)
}

// stand writes an entry to a place, and the place to the record of its worker.
func (h heap) stand(i int, e entry, records []record) {
	h[i] = e
	records[e.worker].place = uint32(i)
}

// shorten cuts a slice to n elements and gives memory back when three quarters of it are unused.
func shorten[T any](s []T, n int) []T {
	if n >= shrinkFrom && n <= cap(s)/4 {
		return append(make([]T, 0, 2*n), s[:n]...)
	}
	return s[:n]
}
