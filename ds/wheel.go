package ds

import "math/bits"

// Wheel is a hierarchical timing wheel (Varghese and Lauck, 1987): six
// levels of 64 slots, the lowest of one millisecond. Items are small numbers;
// adding, moving and removing one costs a few writes, whatever their number.
// An item lies at the level of the highest six bits in which its time differs
// from the wheel's, so every item of a level is later than all lower levels.
type Wheel struct {
	now   Time // all earlier items have been handed out
	nodes Chunks[wheelNode]
	heads [wheelLevels * wheelSlots]int32 // first item + 1 of each slot
	tails [wheelLevels * wheelSlots]int32 // last item + 1
	used  [wheelLevels]uint64             // which slots of a level hold items
}

type wheelNode struct {
	at         Time
	next, prev int32 // item + 1; 0 is the end
	bucket     int16 // slot the item lies in, + 1; 0 if none
}

const (
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 6
	wheelSpan   = Time(1) << (wheelBits*wheelLevels - 1) // the farthest time, about a year ahead
)

// Set puts item at a time, wherever it was before. A time that is not after
// the wheel's own is due at the next millisecond.
func (w *Wheel) Set(item int32, at Time) {
	if int(item) >= w.nodes.n {
		w.nodes.Grow(int(item) + 1)
	}
	if w.nodes.At(item).bucket != 0 {
		w.Remove(item)
	}
	w.link(item, min(max(at, w.now+1), w.now+wheelSpan))
}

// At returns when item is due, Never if it is not in the wheel.
func (w *Wheel) At(item int32) Time {
	if int(item) >= w.nodes.n || w.nodes.At(item).bucket == 0 {
		return Never
	}
	return w.nodes.At(item).at
}

// Now returns the moment up to which items have been handed out.
func (w *Wheel) Now() Time { return w.now }

func (w *Wheel) link(item int32, at Time) {
	level := 0
	if diff := uint64(at ^ w.now); diff >= wheelSlots {
		level = min((bits.Len64(diff)-1)/wheelBits, wheelLevels-1)
	}
	slot := int(at>>(wheelBits*level)) & (wheelSlots - 1)
	b := level*wheelSlots + slot
	n := w.nodes.At(item)
	*n = wheelNode{at: at, prev: w.tails[b], bucket: int16(b) + 1}
	if n.prev != 0 {
		w.nodes.At(n.prev - 1).next = item + 1
	} else {
		w.heads[b] = item + 1
	}
	w.tails[b] = item + 1
	w.used[level] |= 1 << slot
}

// Remove takes item out; nothing happens if it is not in.
func (w *Wheel) Remove(item int32) {
	if int(item) >= w.nodes.n {
		return
	}
	n := w.nodes.At(item)
	if n.bucket == 0 {
		return
	}
	b := int(n.bucket) - 1
	if n.next != 0 {
		w.nodes.At(n.next - 1).prev = n.prev
	} else {
		w.tails[b] = n.prev
	}
	if n.prev != 0 {
		w.nodes.At(n.prev - 1).next = n.next
	} else {
		w.heads[b] = n.next
	}
	if w.heads[b] == 0 {
		w.used[b/wheelSlots] &^= 1 << (b % wheelSlots)
	}
	n.bucket = 0
}

// first returns the earliest slot that holds items and the moment at which it
// must be looked at. ok is false if the wheel is empty.
func (w *Wheel) first() (bucket int, at Time, ok bool) {
	at = Never
	for level := range wheelLevels {
		shift := wheelBits * level
		here := int(w.now>>shift) & (wheelSlots - 1)
		// The top level wraps around; lower levels never hold a slot before here.
		turned := bits.RotateLeft64(w.used[level], -here)
		if turned == 0 {
			continue
		}
		ahead := bits.TrailingZeros64(turned)
		t := (w.now>>shift + Time(ahead)) << shift
		if t < at {
			bucket, at, ok = level*wheelSlots+(here+ahead)%wheelSlots, t, true
		}
	}
	return bucket, at, ok
}

// Next returns when the wheel must be advanced, Never if it is empty. It may
// be early: then nothing is handed out.
func (w *Wheel) Next() Time {
	_, at, _ := w.first()
	return at
}

// Advance hands out the items that are due at now, in order of their
// milliseconds, and visits at most budget items. It returns what is left of
// the budget; if none is left, call again. due may set and remove items.
func (w *Wheel) Advance(now Time, budget int, due func(item int32)) int {
	for budget > 0 {
		b, at, ok := w.first()
		if !ok || at > now {
			w.now = max(w.now, now)
			return budget
		}
		w.now = max(w.now, at)
		for ; budget > 0 && w.heads[b] != 0; budget-- {
			item := w.heads[b] - 1
			t := w.nodes.At(item).at
			w.Remove(item)
			if t > w.now {
				w.link(item, t) // it falls to a lower level
			} else {
				due(item)
			}
		}
	}
	return 0
}
