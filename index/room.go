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
	stride int             // how many dimensions the workers have
	own    rows            // by place, an element for each dimension
	best   rows            // element by element the largest own at the place and beneath it
	most   *vector[uint64] // the largest choosable key at the place and beneath it, plus one; nil until it is asked for
}

// plain reports whether the heap alone is all there is.
func (p *profile) plain() bool { return p.rooms.stride == 0 && p.rooms.most == nil }

// add puts in a worker with its room.
func (p *profile) add(e entry, records *vector[record], room []int64) {
	if p.plain() {
		p.heap.add(e, records)
		return
	}
	r := &p.rooms
	p.heap.push(e)
	r.own.push()
	r.best.push()
	if r.most != nil {
		r.most.push(0)
	}
	p.shift(p.heap.n-1, e, records, room)
}

// remove takes out the entry at place i.
func (p *profile) remove(i int, records *vector[record]) {
	if p.plain() {
		p.heap.remove(i, records)
		return
	}
	r, last := &p.rooms, p.heap.n-1
	records.at(int(p.heap.at(i).worker)).place = absent
	e, room := p.heap.pop(), [Dimensions]int64{}
	copy(room[:], r.own.at(last))
	r.own.cut(last)
	r.best.cut(last)
	if r.most != nil {
		r.most.cut(last)
	}
	if last > 0 {
		p.mend((last - 1) / 2)
	}
	if i != last {
		p.shift(i, e, records, room[:r.stride])
	}
}

// shift is heap.settle for a profile that is not plain. room must not lie in own.
func (p *profile) shift(i int, e entry, records *vector[record], room []int64) {
	h, r, lowest := &p.heap, &p.rooms, i
	for i > 0 {
		parent := (i - 1) / 2
		if h.key(parent) <= e.key {
			break
		}
		h.stand(i, *h.at(parent), records)
		copy(r.own.at(i), r.own.at(parent))
		i = parent
	}
	for {
		child := 2*i + 1
		if child >= h.n {
			break
		}
		if child+1 < h.n && h.key(child+1) < h.key(child) {
			child++
		}
		if h.key(child) >= e.key {
			break
		}
		h.stand(i, *h.at(child), records)
		copy(r.own.at(i), r.own.at(child))
		i = child
	}
	h.stand(i, e, records)
	own := r.own.at(i)
	clear(own[copy(own, room):])
	p.mend(max(lowest, i))
}

// mend brings best and most up to date from a place up to the top.
func (p *profile) mend(i int) {
	r := &p.rooms
	for {
		best, most := r.best.at(i), mostKey(p.heap.key(i))
		copy(best, r.own.at(i))
		for child := 2*i + 1; child <= 2*i+2 && child < p.heap.n; child++ {
			for d, n := range r.best.at(child) {
				best[d] = max(best[d], n)
			}
			if r.most != nil {
				most = max(most, *r.most.at(child))
			}
		}
		if r.most != nil {
			*r.most.at(i) = most
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
	most := &vector[uint64]{}
	for range p.heap.n {
		most.push(0)
	}
	for i := p.heap.n - 1; i >= 0; i-- {
		m := mostKey(p.heap.key(i))
		for child := 2*i + 1; child <= 2*i+2 && child < p.heap.n; child++ {
			m = max(m, *most.at(child))
		}
		*most.at(i) = m
	}
	p.rooms.most = most
}

// Room returns what is free on an eligible worker in each of its dimensions,
// nil for others. The slice is the caller's.
func (x *Index) Room(w Worker) []int64 {
	p := x.profileOf(w)
	if p == nil || x.workers.at(int(w)).place == absent || p.rooms.stride == 0 {
		return nil
	}
	return slices.Clone(p.rooms.own.at(int(x.workers.at(int(w)).place)))
}

// strideOf returns how many dimensions a mask has.
func strideOf(dims uint64) int { return bits.OnesCount64(dims) }

// checkRooms compares what a profile keeps beside its heap with the heap.
func (p *profile) checkRooms() error {
	r := &p.rooms
	n := p.heap.n
	if r.stride == 0 && r.most == nil {
		return nil
	}
	if r.stride != strideOf(p.dims) || r.stride > 0 && (r.own.n != n || r.best.n != n) || r.most != nil && r.most.n != n {
		return fmt.Errorf("profile %d: %d rooms of %d dimensions for %d workers", p.number, r.own.n, r.stride, n)
	}
	for i := n - 1; i >= 0; i-- {
		best, most := slices.Clone(r.own.at(i)), mostKey(p.heap.key(i))
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			for d, free := range r.best.at(child) {
				best[d] = max(best[d], free)
			}
			if r.most != nil {
				most = max(most, *r.most.at(child))
			}
		}
		if !slices.Equal(best, r.best.at(i)) || r.most != nil && *r.most.at(i) != most {
			return fmt.Errorf("profile %d: place %d does not know the best beneath it", p.number, i)
		}
	}
	return nil
}
