package sched

// chunks is a growing array whose elements never move, so that growing it
// never copies what is there: no request waits for a large copy.
type chunks[T any] struct {
	n    int // elements
	list [][]T
}

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

// at returns element i, which must be below n.
func (c *chunks[T]) at(i int32) *T {
	return &c.list[i>>chunkBits][i&(chunkSize-1)]
}

// grow makes room for n elements; new ones are zero.
func (c *chunks[T]) grow(n int) {
	for len(c.list)*chunkSize < n {
		c.list = append(c.list, make([]T, chunkSize))
	}
	c.n = max(c.n, n)
}
