package index

import (
	"math/bits"
)

// VisitBudget is how many profiles and workers Find looks at before it gives
// up. With 8,000 workers or fewer it is never used up: each of them, and its
// profile, is looked at once at most.
const VisitBudget = 32768

// Need is an amount of one dimension that must be free.
type Need struct {
	Dim    uint8 // below Dimensions
	Amount int64
}

// Query is what Find asks beside the requirement.
type Query struct {
	Needs  []Need            // dimensions among those of the requirement, ascending
	Fits   func(Worker) bool // a further test of workers that have the room; nil for none
	Idle   bool              // only workers of load 0
	Most   bool              // the most loaded worker that fits instead of the least
	Spread *Spread           // the value with the fewest counts goes before the load; nil for none
}

// Outcome says how a search ended.
type Outcome uint8

// The outcomes of Find.
const (
	None    Outcome = iota // no worker fits
	Found                  // this one; the best of all unless the budget was used up
	Limited                // the budget was used up before one was found
)

// finder is a search under way: branch and bound over the heaps of the
// matching profiles (Land and Doig, 1960). A heap is cut where no key is good
// enough any more or where the room that is free nowhere beneath is needed.
type finder struct {
	*Query
	x      *Index
	found  bool
	worker Worker
	slot   uint32
	count  int    // spread: of the value of the worker found
	bound  uint64 // keys must be below it, or with Most: key+1 above it
	visits int
	places [Dimensions]uint8 // in a room of the profile, for each need
	stack  []uint32
}

// Find returns the worker that a query asks for, of those that match the
// requirement. It is exact as long as the visits stay within VisitBudget, and
// does not allocate unless the requirement has to catch up with new tag sets.
func (x *Index) Find(r *Requirement, q *Query) (Worker, Outcome) {
	x.refresh(r)
	f := &x.finder
	*f = finder{Query: q, x: x, stack: f.stack[:0], bound: f.worst(q)}
	if r.found != noSlot && q.Spread == nil {
		f.profile(r.found)
	}
	f.all(r)
	f.Query = nil
	x.work += f.visits
	switch {
	case f.found:
		r.found = f.slot
		return f.worker, Found
	case f.visits > VisitBudget:
		return 0, Limited
	}
	return 0, None
}

// worst is the bound before anything was found.
func (f *finder) worst(q *Query) uint64 {
	switch {
	case q.Most:
		return 0
	case q.Idle:
		return 1 << loadShift
	}
	return keyFull
}

// all searches the matching profiles, passing over blocks and groups without a
// key below the bound where that alone decides.
func (f *finder) all(r *Requirement) {
	l := &f.x.layout
	cut := !f.Most && f.Spread == nil
	if len(r.few) > 0 {
		for _, s := range r.few {
			f.profile(s)
		}
		return
	}
	for i, g := range r.groups {
		if cut && l.groupLeast[g] >= f.bound {
			continue
		}
		m := &r.matches[i]
		for left := m.blocks; left != 0 && f.visits <= VisitBudget; left &= left - 1 {
			i := uint32(bits.TrailingZeros16(left)) % groupBlocks
			b := g*groupBlocks + i
			if cut && l.blockLeast[b] >= f.bound {
				continue
			}
			for slots := m.slots[i]; slots != 0; slots &= slots - 1 {
				f.profile(b*blockSlots + uint32(bits.TrailingZeros16(slots))%blockSlots)
			}
		}
	}
}

// profile searches the heap of the profile in a slot.
func (f *finder) profile(slot uint32) {
	top := *f.x.layout.tops.at(int(slot))
	if top >= keyFull || f.visits > VisitBudget {
		return
	}
	if f.Spread == nil && !f.Most && top >= f.bound {
		return
	}
	f.visits++
	p := *f.x.layout.profiles.at(int(slot))
	for i, n := range f.Needs {
		f.places[i] = uint8(bits.OnesCount64(p.dims & (1<<n.Dim - 1)))
	}
	bound, count := f.bound, 0
	if f.Spread != nil {
		count = f.Spread.countOf(p)
		switch {
		case f.found && count > f.count:
			return
		case f.found && count < f.count:
			bound = f.worst(f.Query)
		}
	}
	var place int
	var ok bool
	if f.Most {
		p.countMost()
		place, ok = f.most(p, bound)
	} else {
		place, ok = f.least(p, bound)
	}
	if !ok {
		return
	}
	e := *p.heap.at(place)
	f.found, f.worker, f.slot, f.count, f.bound = true, e.worker, slot, count, e.key
	if f.Most {
		f.bound = e.key + 1
	}
}

// least returns the place of the least key below a bound that fits.
func (f *finder) least(p *profile, bound uint64) (at int, ok bool) {
	f.stack = append(f.stack[:0], 0)
	for len(f.stack) > 0 && f.visits <= VisitBudget {
		i := int(f.stack[len(f.stack)-1])
		f.stack = f.stack[:len(f.stack)-1]
		if p.heap.key(i) >= bound {
			continue
		}
		f.visits++
		if !f.free(p.rooms.best.at(i)) {
			continue
		}
		if f.fits(p, i) {
			at, ok, bound = i, true, p.heap.key(i)
			continue
		}
		// The child with the smaller key is looked at first.
		switch left := 2*i + 1; {
		case left+1 < p.heap.n && p.heap.key(left) <= p.heap.key(left+1):
			f.stack = append(f.stack, uint32(left+1), uint32(left))
		case left+1 < p.heap.n:
			f.stack = append(f.stack, uint32(left), uint32(left+1))
		case left < p.heap.n:
			f.stack = append(f.stack, uint32(left))
		}
	}
	return at, ok
}

// most returns the place of the largest choosable key above a bound that fits.
func (f *finder) most(p *profile, bound uint64) (at int, ok bool) {
	most := p.rooms.most
	f.stack = append(f.stack[:0], 0)
	for len(f.stack) > 0 && f.visits <= VisitBudget {
		i := int(f.stack[len(f.stack)-1])
		f.stack = f.stack[:len(f.stack)-1]
		if *most.at(i) <= bound || f.Idle && p.heap.key(i)>>loadShift != 0 {
			continue
		}
		f.visits++
		if !f.free(p.rooms.best.at(i)) {
			continue
		}
		if own := mostKey(p.heap.key(i)); own > bound && f.fits(p, i) {
			at, ok, bound = i, true, own
		}
		switch left := 2*i + 1; {
		case left+1 < p.heap.n && *most.at(left) > *most.at(left + 1):
			f.stack = append(f.stack, uint32(left+1), uint32(left))
		case left+1 < p.heap.n:
			f.stack = append(f.stack, uint32(left), uint32(left+1))
		case left < p.heap.n:
			f.stack = append(f.stack, uint32(left))
		}
	}
	return at, ok
}

// free reports whether a room has all that is needed.
func (f *finder) free(room []int64) bool {
	for i := range f.Needs {
		if room[f.places[i]] < f.Needs[i].Amount {
			return false
		}
	}
	return true
}

// fits reports whether the worker at a place has the room and passes the test.
func (f *finder) fits(p *profile, i int) bool {
	return f.free(p.rooms.own.at(i)) && (f.Fits == nil || f.Fits(p.heap.at(i).worker))
}
