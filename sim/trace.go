package sim

import (
	"fmt"
	"io"

	"github.com/dtask/dtask-scheduler/sched"
)

// trace folds everything that happens into one number, so that two runs can be
// compared, and prints it if somebody reads along.
type trace struct {
	hash uint64
	out  io.Writer // nil: nobody reads
}

const (
	hashStart = 14695981039346656037 // of FNV-1a, 64 bits
	hashPrime = 1099511628211
)

// number folds a number in.
func (t *trace) number(n uint64) {
	t.hash = (t.hash ^ n) * hashPrime
	t.hash ^= t.hash >> 29
}

// bytes folds bytes in.
func (t *trace) bytes(b []byte) {
	h := t.hash
	for _, c := range b {
		h = (h ^ uint64(c)) * hashPrime
	}
	t.hash = h
}

// printf prints one line with the time before it.
func (t *trace) printf(now sched.Time, format string, args ...any) {
	if t.out != nil {
		fmt.Fprintf(t.out, "%9.3f  "+format+"\n", append([]any{float64(now) / 1000}, args...)...)
	}
}
