package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/dtask/dtask-scheduler/selector"
)

// holds reports whether an expression holds for a set of tags. It looks at the
// names, so that nothing needs to be found out again when tags come and go, and
// no requirement keeps lists of tags. Every tag that a term is compared with
// counts as a unit of work, and so does every value of a list.
func (x *Index) holds(e *selector.Expr, set tagset) bool {
	switch e.Op {
	case selector.And:
		for _, a := range e.Args {
			if !x.holds(a, set) {
				return false
			}
		}
		return true
	case selector.Or:
		for _, a := range e.Args {
			if x.holds(a, set) {
				return true
			}
		}
		return false
	case selector.Not:
		return !x.holds(e.Args[0], set)
	case selector.Leaf:
		x.work += set.len()
		for i := range set.len() {
			t := &x.tags.tags[set.at(i)]
			if t.key != e.Term.Key && t.name != e.Term.Key {
				continue
			}
			if x.work += len(e.Term.Values); e.Term.Holds(t.name) {
				return true
			}
		}
		return false
	}
	return true
}

// A Walk goes through the known workers, eligible or not, that have what a
// requirement asks, in ascending order. It is valid until the next Put or
// Remove.
type Walk struct {
	x       *Index
	r       *Requirement
	workers roaring.IntPeekable
}

// Matching begins a walk at a worker. Bring must have brought the requirement
// up to date, else the walk does.
func (x *Index) Matching(r *Requirement, from Worker) Walk {
	x.refresh(r)
	all := x.known
	if len(r.tags) > 0 {
		bitmaps := make([]*roaring.Bitmap, len(r.tags))
		for i, name := range r.tags {
			if bitmaps[i] = x.TagWorkers(name); bitmaps[i] == nil {
				return Walk{x: x, r: r, workers: roaring.New().Iterator()}
			}
		}
		if all = bitmaps[0]; len(bitmaps) > 1 {
			all = intersect(bitmaps)
		}
	}
	w := Walk{x: x, r: r, workers: all.Iterator()}
	if from > 0 {
		w.workers.AdvanceIfNeeded(uint32(from))
	}
	return w
}

// Next looks at the next worker that has the tags. It returns false for ok if
// there is none, and whether that worker has the rest of what is asked as well.
func (w *Walk) Next() (n Worker, matches, ok bool) {
	if !w.workers.HasNext() {
		return 0, false, false
	}
	n = Worker(w.workers.Next())
	return n, w.r.lists(w.x.profileOf(n).slot), true
}

// lists reports whether the profile in a slot stands among the matches.
func (r *Requirement) lists(slot uint32) bool {
	i, found := r.group(slot)
	return found && r.matches[i].slots[slot/blockSlots%groupBlocks]&(1<<(slot%blockSlots)) != 0
}
