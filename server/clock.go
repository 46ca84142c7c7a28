package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
)

const (
	// clockTick is how often the clock is read at least while the process runs.
	clockTick = 100 * time.Millisecond
	// maxClockStep is how far the clock advances at most between two ticks. What
	// is beyond it is a pause of the whole process (SIGSTOP, a snapshot of the
	// machine), in which no message could be read: no time passes for the core.
	maxClockStep = 500 * time.Millisecond
	// maxPauses is how many pauses are distinguished for the display of times.
	maxPauses = 64
)

// clock is the only reader of time in the server. Its monotonic readings start
// at 0 with the server and leave out pauses; wall time is for display alone.
type clock struct {
	read func() time.Duration // since the start, with the pauses

	// A reader loads mark before left, and a writer stores left before mark: so
	// a reader that sees the mark behind a pause leaves that pause out.
	mark atomic.Int64 // what read gave at the latest tick or pause
	left atomic.Int64 // sum of the pauses, as far as they are left out

	mu     sync.Mutex // guards the writing of mark and left, and pauses
	pauses []pause    // ascending
}

// pause is time that the clock left out.
type pause struct {
	at     time.Duration // of the clock, at the end of the pause
	length time.Duration
}

func newClock() *clock {
	start := time.Now()
	return &clock{read: func() time.Duration { return time.Since(start) }}
}

// Since returns the time since the start, without pauses. It never goes back.
func (c *clock) Since() time.Duration {
	mark := c.mark.Load()
	left := c.left.Load()
	if now := c.read(); now-time.Duration(mark) <= maxClockStep {
		return now - time.Duration(left)
	}
	return c.tick()
}

// tick reads the clock and looks whether the process was paused.
func (c *clock) tick() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, left := c.read(), time.Duration(c.left.Load())
	if more := now - time.Duration(c.mark.Load()) - maxClockStep; more > 0 {
		left += more
		c.left.Store(int64(left))
		c.note(pause{at: now - left, length: more})
	}
	c.mark.Store(int64(now))
	return now - left
}

// note keeps a pause. The two oldest become one if there are too many. mu is held.
func (c *clock) note(p pause) {
	if len(c.pauses) == maxPauses {
		c.pauses[1].length += c.pauses[0].length
		c.pauses = append(c.pauses[:0], c.pauses[1:]...)
	}
	c.pauses = append(c.pauses, p)
}

// run reads the clock regularly until stop closes.
func (c *clock) run(stop <-chan struct{}) {
	tick := time.NewTicker(clockTick)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			c.tick()
		}
	}
}

// now returns the milliseconds since the start, without pauses.
func (c *clock) now() sched.Time { return coreTime(c.Since()) }

// coreTime converts a time since the start to the core's unit, rounded down.
func coreTime(d time.Duration) sched.Time { return sched.Time(d / time.Millisecond) }

// ago returns how long ago a moment is that lies ago back by the clock, with the
// pauses since.
func (c *clock) ago(ago time.Duration) time.Duration {
	now := c.Since()
	c.mu.Lock()
	defer c.mu.Unlock()
	moment := now - ago
	for i := len(c.pauses) - 1; i >= 0 && c.pauses[i].at > moment; i-- {
		ago += c.pauses[i].length
	}
	return ago
}

// Ago returns the wall time of a moment that lies d back by the clock. It
// implements view.Clock.
func (c *clock) Ago(d time.Duration) time.Time { return time.Now().Add(-c.ago(d)).UTC() }

// Ahead returns the wall time of a moment that lies d ahead.
func (c *clock) Ahead(d time.Duration) time.Time { return time.Now().Add(d).UTC() }

// millis converts a duration to the core's unit, rounded up.
func millis(d time.Duration) sched.Time {
	return sched.Time((d + time.Millisecond - 1) / time.Millisecond)
}
