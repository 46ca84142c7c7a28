package server

import (
	"math"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
)

// pulse drives what becomes due in the core, with one timer, until stop closes.
func (c *core) pulse(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-c.wake:
		case <-timer.C:
		}
		wait := c.beat()
		for wait == 0 {
			select {
			case <-stop:
				return
			default:
			}
			wait = c.beatOn()
		}
		timer.Reset(wait)
	}
}

// beatOn is beat for what the one before left over. A slice that took long is
// followed by a rest, as a turn of the lane is.
func (c *core) beatOn() time.Duration {
	began := time.Now()
	wait := c.beat()
	if took := time.Since(began); wait == 0 && took > longBeat {
		time.Sleep(min(took, maxRest))
	}
	return wait
}

// longBeat is how long a slice takes that others must not find followed by another
// at once.
const longBeat = 200 * time.Microsecond

// beat handles one slice of what is due and returns how long nothing else is.
// The lock is given back between two slices, so that requests come first.
func (c *core) beat() (wait time.Duration) {
	c.use("pulse", "", &c.pulseOut, func(now sched.Time) {
		if c.state.NextPulse() <= now {
			c.state.Pulse(now, &c.pulseOut)
		}
		c.pulseAt = c.state.NextPulse()
		wait = until(now, c.pulseAt)
	})
	return wait
}

// until returns the time from now to next, at most an hour.
func until(now, next sched.Time) time.Duration {
	switch {
	case next <= now:
		return 0
	case next-now > sched.Time(time.Hour/time.Millisecond), next == math.MaxInt64:
		return time.Hour
	}
	return time.Duration(next-now) * time.Millisecond
}
