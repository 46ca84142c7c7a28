package server

import (
	"sync"

	"github.com/dtask/dtask-scheduler/sched"
)

// Bounds of the logging of repeated events.
const (
	logEvery   = 1_000 // milliseconds between two lines of one reason
	logReasons = 64    // reasons that are told apart
)

// limiter lets one line for each reason and second through, so that a flood of
// events cannot become a flood of lines.
type limiter struct {
	mu      sync.Mutex // guards last
	last    map[string]*lastLine
	nowFunc func() sched.Time
}

type lastLine struct {
	at      sched.Time
	dropped int // lines swallowed since
}

func newLimiter(now func() sched.Time) *limiter {
	return &limiter{last: make(map[string]*lastLine), nowFunc: now}
}

// allow reports whether a line may be written now, and how many of its reason
// were swallowed before it.
func (l *limiter) allow(reason string) (ok bool, dropped int) {
	now := l.nowFunc()
	l.mu.Lock()
	defer l.mu.Unlock()
	ll := l.last[reason]
	if ll == nil {
		if len(l.last) >= logReasons {
			clear(l.last)
		}
		l.last[reason] = &lastLine{at: now}
		return true, 0
	}
	if now-ll.at < logEvery {
		ll.dropped++
		return false, 0
	}
	dropped = ll.dropped
	*ll = lastLine{at: now}
	return true, dropped
}
