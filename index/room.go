package index

import (
	"fmt"
	"math/bits"
	"slices"
)

// Dimensions is how many dimensions there can be: their numbers are below it.
const Dimensions = 64

// rooms is what a profile keeps beside its heap, place by place: for workers
// with dimensions what each has free and the largest of that beneath it, and
// after the first query for the most loaded worker the largest key beneath it.
// Profiles that need neither keep nothing.
type rooms struct {
	stride int      // how many dimensions the workers have
	own    []int64  // by place and dimension
	best   []int64  // element by element the largest own at the place and beneath it
	most   []uint64 // the largest choosable key at the place and beneath it, plus one; nil until it is asked for
}

// plain reports whether the heap alone is all there is.
func (p *profile) plain() bool { return p.rooms.stride == 0 && p.rooms.most == nil }

// add puts in a worker with its room.
func (p *profile) add(e entry, records []record, room []int64) {
	if p.plain() {
		p.heap.add(e, records)
		return
	}
	r := &p.rooms
	p.heap = append(p.heap, e)
	for range r.stride {
		r.own, r.best = append(r.own, 0), append(r.best, 0)
	}
	if r.most != nil {
		r.most = append(r.most, 0)
	}
	p.shift(len(p.heap)-1, e, records, room)
}

// remove takes out the entry at place i.
func (p *profile) remove(i int, records []record) {
	if p.plain() {
		p.heap.remove(i, records)
		return
	}
	r, last := &p.rooms, len(p.heap)-1
	records[p.heap[i].worker].place = absent
	e, room := p.heap[last], [Dimensions]int64{}
	copy(room[:], r.ownAt(last))
	p.heap = shorten(p.heap, last)
	r.own, r.best = shorten(r.own, last*r.stride), shorten(r.best, last*r.stride)
	if r.most != nil {
		r.most = shorten(r.most, last)
	}
	if last > 0 {
		p.mend((last - 1) / 2)
	}
	if i != last {
		p.shift(i, e, records, room[:r.stride])
	}
}

// settle puts an entry where it belongs, given a vacant place i.
func (p *profile) settle(i int, e entry, records []record, room []int64) {
	if p.plain() {
		p.heap.settle(i, e, records)
		return
	}
	p.shift(i, e, records, room)
}

// shift is settle for a profile that is not plain. room must not lie in own.
func (p *profile) shift(i int, e entry, records []record, room []int64) {
	h, r, lowest := p.heap, &p.rooms, i
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].key <= e.key {
			break
		}
		h.stand(i, h[parent], records)
		copy(r.ownAt(i), r.ownAt(parent))
		i = parent
	}
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
		copy(r.ownAt(i), r.ownAt(child))
		i = child
	}
	h.stand(i, e, records)
	own := r.ownAt(i)
	clear(own[copy(own, room):])
	p.mend(max(lowest, i))
}

func (r *rooms) ownAt(i int) []int64 { return r.own[i*r.stride : (i+1)*r.stride] }

func (r *rooms) bestAt(i int) []int64 { return r.best[i*r.stride : (i+1)*r.stride] }

// mend brings best and most up to date from a place up to the top.
func (p *profile) mend(i int) {
	r := &p.rooms
	for {
		best := r.bestAt(i)
		copy(best, r.ownAt(i))
		if r.most != nil {
			r.most[i] = mostKey(p.heap[i].key)
		}
		for child := 2*i + 1; child <= 2*i+2 && child < len(p.heap); child++ {
			for d, n := range r.bestAt(child) {
				best[d] = max(best[d], n)
			}
			if r.most != nil {
				r.most[i] = max(r.most[i], r.most[child])
			}
		}
		if i == 0 {
			return
		}
		i = (i - 1) / 2
	}
}

// mostKey is a key as most holds it: 0 for one that cannot be chosen.
func mostKey(key uint64) uint64 {
	if key >= keyFull {
		return 0
	}
	return key + 1
}

// countMost makes a profile keep its largest keys from now on.
func (p *profile) countMost() {
	if p.rooms.most != nil {
		return
	}
	p.rooms.most = make([]uint64, len(p.heap), max(len(p.heap), 1))
	for i := len(p.heap) - 1; i >= 0; i-- {
		m := mostKey(p.heap[i].key)
		for child := 2*i + 1; child <= 2*i+2 && child < len(p.heap); child++ {
			m = max(m, p.rooms.most[child])
		}
		p.rooms.most[i] = m
	}
}

// Room returns what is free on an eligible worker in each of its dimensions,
// nil for others. The slice is the caller's.
func (x *Index) Room(w Worker) []int64 {
	p := x.profileOf(w)
	if p == nil || x.workers[w].place == absent || p.rooms.stride == 0 {
		return nil
	}
	return slices.Clone(p.rooms.ownAt(int(x.workers[w].place)))
}

// strideOf returns how many dimensions a mask has.
func strideOf(dims uint64) int { return bits.OnesCount64(dims) }

// checkRooms compares what a profile keeps beside its heap with the heap.
func (p *profile) checkRooms() error {
	r := &p.rooms
	n := len(p.heap)
	if r.stride != strideOf(p.dims) || len(r.own) != n*r.stride || len(r.best) != n*r.stride || r.most != nil && len(r.most) != n {
		return fmt.Errorf("profile %d: %d rooms of %d dimensions for %d workers", p.number, len(r.own), r.stride, n)
	}
	for i := n - 1; i >= 0; i-- {
		best, most := slices.Clone(r.ownAt(i)), mostKey(p.heap[i].key)
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			for d, free := range r.bestAt(child) {
				best[d] = max(best[d], free)
			}
			if r.most != nil {
				most = max(most, r.most[child])
			}
		}
		if !slices.Equal(best, r.bestAt(i)) || r.most != nil && r.most[i] != most {
			return fmt.Errorf("profile %d: place %d does not know the best beneath it", p.number, i)
		}
	}
	return nil
}
