package server

import (
	"time"

	"github.com/dtask/dtask-scheduler/sched"
)

// clock is the only reader of time in the server. Its monotonic readings start
// at 0 with the server; wall time is for display alone.
type clock struct {
	start time.Time
}

func newClock() clock { return clock{start: time.Now()} }

// since returns the time since the start.
func (c clock) since() time.Duration { return time.Since(c.start) }

// now returns the milliseconds since the start.
func (c clock) now() sched.Time { return coreTime(c.since()) }

// coreTime converts a time since the start to the core's unit, rounded down.
func coreTime(d time.Duration) sched.Time { return sched.Time(d / time.Millisecond) }

// wall returns the wall time of a moment that lies ms milliseconds back.
func (c clock) wall(ms uint64) time.Time {
	return time.Now().Add(-time.Duration(ms) * time.Millisecond).UTC()
}

// ahead is the time of day some milliseconds from now.
func (c clock) ahead(ms uint64) time.Time {
	return time.Now().Add(time.Duration(ms) * time.Millisecond).UTC()
}

// millis converts a duration to the core's unit, rounded up.
func millis(d time.Duration) sched.Time {
	return sched.Time((d + time.Millisecond - 1) / time.Millisecond)
}
