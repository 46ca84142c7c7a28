package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the wait before a connection is tried again.
const (
	firstBackoff = 2 * time.Second
	maxBackoff   = 30 * time.Second
	// steadyFails is for how many failures in a row the wait stays within
	// firstBackoff: about a minute, in which a scheduler restarts. Then it doubles.
	steadyFails = 60
)

// backoff draws the wait after so many failures in a row, from all of 0 to its
// bound, so that a fleet that lost its scheduler does not come back in step.
func backoff(fails int) time.Duration {
	top := firstBackoff
	for n := fails - steadyFails; n > 0 && top < maxBackoff; n-- {
		top *= 2
	}
	return rand.N(min(top, maxBackoff) + 1)
}

// jitter draws a wait of d, 10 % more or less.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// sleep waits, and reports false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
