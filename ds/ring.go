package ds

// Ring keeps the last entries of a sequence. The entry with number n, counted
// from 1, lies at (n-1) modulo the size.
type Ring[T any] struct {
	size    uint64
	entries []T
	last    uint64 // number of the newest entry; 0 if there is none
	place   uint64 // of the next entry
}

// Next returns the place of a new entry, which holds an old one.
func (r *Ring[T]) Next() *T {
	r.last++
	if uint64(len(r.entries)) < r.size {
		r.entries = append(r.entries, *new(T))
	}
	e := &r.entries[r.place]
	if r.place++; r.place == r.size { // a division would cost more
		r.place = 0
	}
	return e
}

// First returns the number of the oldest entry that is kept.
func (r *Ring[T]) First() uint64 { return r.last - uint64(len(r.entries)) + 1 }

// At returns an entry that is kept.
func (r *Ring[T]) At(number uint64) *T { return &r.entries[(number-1)%r.size] }

// NewRing returns an empty ring that keeps size entries.
func NewRing[T any](size int) Ring[T] { return Ring[T]{size: uint64(size)} }

// Last returns the number of the newest entry, 0 if there is none.
func (r *Ring[T]) Last() uint64 { return r.last }

// Len returns how many entries are kept.
func (r *Ring[T]) Len() int { return len(r.entries) }
