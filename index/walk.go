package index

import "github.com/RoaringBitmap/roaring/v2"

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
