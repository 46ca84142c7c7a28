package index

import "iter"

// vector is a growing array. The first elements lie in one slice, which doubles as usual; all further
// ones in pieces of a fixed size that never move. So growing and shrinking never copies more than the
// first slice, however many elements there are, and an element of a small vector costs what it costs
// in a slice.
type vector[T any] struct {
	first []T // up to pieceSize elements
	more  []*[pieceSize]T
	n     int
}

const (
	pieceBits = 16
	pieceSize = 1 << pieceBits // elements; of the largest type a megabyte and a half
)

// at returns element i, which must be below n.
func (v *vector[T]) at(i int) *T { return element(v.first, v.more, i) }

// element is at for a loop that keeps the parts of a vector in registers.
func element[T any](first []T, more []*[pieceSize]T, i int) *T {
	if uint(i) < uint(len(first)) {
		return &first[i]
	}
	return &more[i>>pieceBits-1][i&(pieceSize-1)]
}

// from returns the elements from i on that lie behind it in one slice: all up to the next multiple of
// pieceSize.
func (v *vector[T]) from(i int) []T {
	if i < len(v.first) {
		return v.first[i:]
	}
	return v.more[i>>pieceBits-1][i&(pieceSize-1):]
}

// push appends an element.
func (v *vector[T]) push(e T) {
	if v.n < pieceSize {
		v.first = append(v.first, e)
		v.n++
		return
	}
	if v.n>>pieceBits > len(v.more) {
		v.more = append(v.more, new([pieceSize]T))
	}
	v.n++
	*v.at(v.n - 1) = e
}

// cut forgets all elements from n on, and gives memory back when much of it is unused: one spare piece
// stays, so that a vector at the border of a piece does not allocate again and again.
func (v *vector[T]) cut(n int) {
	v.n = n
	if n < pieceSize {
		v.first = shorten(v.first, min(n, len(v.first)))
	}
	if keep := (n + pieceSize - 1) >> pieceBits; keep < len(v.more) {
		clear(v.more[keep:])
		v.more = v.more[:keep]
	}
}

// pop takes out the last element.
func (v *vector[T]) pop() T {
	e := *v.at(v.n - 1)
	v.cut(v.n - 1)
	return e
}

// rows is a vector of rows of numbers, all of one width. Rows of no width are not counted.
type rows struct {
	width int
	first []int64   // up to pieceRows rows
	more  [][]int64 // each of pieceRows rows
	n     int
}

const (
	pieceRowBits = 14
	pieceRows    = 1 << pieceRowBits
)

// at returns row i, which must be below n.
func (r *rows) at(i int) []int64 {
	if end := (i + 1) * r.width; end <= len(r.first) {
		return r.first[end-r.width : end]
	}
	piece, i := r.more[i>>pieceRowBits-1], i&(pieceRows-1)
	return piece[i*r.width : (i+1)*r.width]
}

// push appends a row of zeros.
func (r *rows) push() {
	if r.width == 0 {
		return
	}
	if r.n < pieceRows {
		for range r.width {
			r.first = append(r.first, 0)
		}
	} else if r.n>>pieceRowBits > len(r.more) {
		r.more = append(r.more, make([]int64, pieceRows*r.width))
	}
	r.n++
	clear(r.at(r.n - 1))
}

// cut forgets all rows from n on, and gives memory back as vector.cut does.
func (r *rows) cut(n int) {
	if r.width == 0 {
		return
	}
	r.n = n
	if n < pieceRows {
		r.first = shorten(r.first, min(n*r.width, len(r.first)))
	}
	if keep := (n + pieceRows - 1) >> pieceRowBits; keep < len(r.more) {
		clear(r.more[keep:])
		r.more = r.more[:keep]
	}
}

// all yields every element with its place, in order.
func (v *vector[T]) all() iter.Seq2[int, *T] {
	return func(yield func(int, *T) bool) {
		for i := range v.n {
			if !yield(i, v.at(i)) {
				return
			}
		}
	}
}

// shorten cuts a slice to n elements and gives memory back when three quarters of it are unused.
func shorten[T any](s []T, n int) []T {
	if n >= shrinkFrom && n <= cap(s)/4 {
		return append(make([]T, 0, 2*n), s[:n]...)
	}
	return s[:n]
}
