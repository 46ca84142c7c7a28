package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the wait before a connection is tried again.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// backoff draws the wait after so many failures in a row, from all of
// 0..min(maxBackoff, firstBackoff*2^fails), so that a fleet that lost its
// scheduler does not come back in step.
func backoff(fails int) time.Duration {
	top := maxBackoff
	if fails < 16 {
		top = min(top, firstBackoff<<fails)
	}
	return rand.N(top + 1)
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
