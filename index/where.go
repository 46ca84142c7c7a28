package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/dtask/dtask-scheduler/selector"
)

// leaves are the tags, by ascending number, that satisfy each term of an
// expression.
type leaves map[*selector.Expr][]uint32

// resolveWhere finds the tags of each term of an expression.
func (x *Index) resolveWhere(e *selector.Expr, found leaves) {
	for _, a := range e.Args {
		x.resolveWhere(a, found)
	}
	if e.Op != selector.Leaf {
		return
	}
	var numbers []uint32
	if e.Term.Cmp == selector.Has {
		if n, ok := x.tags.number(e.Term.Key); ok {
			numbers = append(numbers, n)
		}
	}
	for _, n := range x.tags.byKey[e.Term.Key] {
		if e.Term.Holds(x.tags.tags[n].name) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	found[e] = slices.Compact(numbers)
}

// holds reports whether an expression holds for a set of tags.
func (f leaves) holds(e *selector.Expr, set tagset) bool {
	switch e.Op {
	case selector.And:
		for _, a := range e.Args {
			if !f.holds(a, set) {
				return false
			}
		}
		return true
	case selector.Or:
		for _, a := range e.Args {
			if f.holds(a, set) {
				return true
			}
		}
		return false
	case selector.Not:
		return !f.holds(e.Args[0], set)
	case selector.Leaf:
		numbers := f[e]
		for i := range set.len() {
			if _, ok := slices.BinarySearch(numbers, set.at(i)); ok {
				return true
			}
		}
		return false
	}
	return true
}

// eval returns the elements of all for which an expression holds; of gives the
// elements that have a tag. The result is the caller's.
func (f leaves) eval(e *selector.Expr, all *roaring.Bitmap, of func(n uint32) *roaring.Bitmap) *roaring.Bitmap {
	switch e.Op {
	case selector.And:
		result := f.eval(e.Args[0], all, of)
		for _, a := range e.Args[1:] {
			if result.IsEmpty() {
				break
			}
			if a.Op == selector.Not {
				result.AndNot(f.eval(a.Args[0], all, of))
			} else {
				result.And(f.eval(a, all, of))
			}
		}
		return result
	case selector.Or:
		result := f.eval(e.Args[0], all, of)
		for _, a := range e.Args[1:] {
			result.Or(f.eval(a, all, of))
		}
		return result
	case selector.Not:
		return roaring.AndNot(all, f.eval(e.Args[0], all, of))
	case selector.Leaf:
		bitmaps := make([]*roaring.Bitmap, 0, len(f[e]))
		for _, n := range f[e] {
			bitmaps = append(bitmaps, of(n))
		}
		return union(bitmaps)
	}
	return all.Clone()
}

// union returns what is in any of some bitmaps. Many that each hold little are
// joined in a plain array of bits, because the library merges them one by one.
func union(bitmaps []*roaring.Bitmap) *roaring.Bitmap {
	if len(bitmaps) <= 2 {
		return roaring.FastOr(bitmaps...)
	}
	last := uint32(0)
	for _, b := range bitmaps {
		if !b.IsEmpty() {
			last = max(last, b.Maximum())
		}
	}
	bits := make([]uint64, last/64+1)
	var some [256]uint32
	for _, b := range bitmaps {
		it := b.ManyIterator()
		for n := it.NextMany(some[:]); n > 0; n = it.NextMany(some[:]) {
			for _, v := range some[:n] {
				bits[v/64] |= 1 << (v % 64)
			}
		}
	}
	return roaring.FromDense(bits, false)
}
