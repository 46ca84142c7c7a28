package ds

// Chunks is a growing array whose elements never move, so that growing it
// never copies what is there: no request waits for a large copy.
type Chunks[T any] struct {
	n    int // elements
	list [][]T
}

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

// At returns element i, which must be below n.
func (c *Chunks[T]) At(i int32) *T {
	return &c.list[i>>chunkBits][i&(chunkSize-1)]
}

// Grow extends the chunks to n elements; new ones are zero.
func (c *Chunks[T]) Grow(n int) {
	for len(c.list)*chunkSize < n {
		c.list = append(c.list, make([]T, chunkSize))
	}
	c.n = max(c.n, n)
}

// Len returns the number of elements.
func (c *Chunks[T]) Len() int { return c.n }

// Truncate keeps the first n elements.
func (c *Chunks[T]) Truncate(n int) { c.n = n }
