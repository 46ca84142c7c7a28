package server

import (
	"log/slog"
	"sync"

	"github.com/dtask/dtask-scheduler/sched"
)

// Bounds of the logging of repeated events.
const (
	logEvery   = 1_000 // milliseconds between two lines of one reason
	logReasons = 64    // reasons that are distinguished
)

// limiter lets one line for each reason and second through, so that a flood of
// events cannot become a flood of lines.
type limiter struct {
	mu      sync.Mutex // guards last
	last    map[string]*lastLine
	nowFunc func() sched.Time
}

type lastLine struct {
	at      sched.Time // of the first line of this second
	lines   int        // written in it
	dropped int        // lines swallowed since
}

func newLimiter(now func() sched.Time) *limiter {
	return &limiter{last: make(map[string]*lastLine), nowFunc: now}
}

// allow reports whether a line may be written now, and how many of its reason
// were swallowed before it.
func (l *limiter) allow(reason string) (ok bool, dropped int) { return l.Allow(reason, 1) }

// Allow is allow for a reason of which so many lines may be written in a
// second.
func (l *limiter) Allow(reason string, most int) (ok bool, dropped int) {
	now := l.nowFunc()
	l.mu.Lock()
	defer l.mu.Unlock()
	ll := l.last[reason]
	switch {
	case ll == nil:
		if len(l.last) >= logReasons {
			clear(l.last)
		}
		l.last[reason] = &lastLine{at: now, lines: 1}
		return true, 0
	case now-ll.at >= logEvery:
		dropped = ll.dropped
		*ll = lastLine{at: now, lines: 1}
		return true, dropped
	case ll.lines < most:
		ll.lines++
		return true, 0
	}
	ll.dropped++
	return false, 0
}

// flush writes a line for each reason that has swallowed lines and has been
// silent since: else the last lines of a flood would never be counted.
func (l *limiter) flush(log *slog.Logger) {
	for reason, dropped := range l.swallowed() {
		log.Info("lines were dropped", "reason", reason, "dropped", dropped)
	}
}

func (l *limiter) swallowed() map[string]int {
	now := l.nowFunc()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all map[string]int
	for reason, ll := range l.last {
		if ll.dropped > 0 && now-ll.at >= logEvery {
			if all == nil {
				all = make(map[string]int)
			}
			all[reason] = ll.dropped
			delete(l.last, reason)
		}
	}
	return all
}
