// Package ds holds small data structures that know nothing of scheduling. None of
// them has a clock or a lock.
package ds

import "math"

// Time is a moment in milliseconds of a monotonic clock that the caller reads; its
// zero is the caller's choice.
type Time int64

// Never is later than every Time.
const Never Time = math.MaxInt64
