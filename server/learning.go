package server

import (
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
)

// A scheduler that was just started knows no workers: they come back within
// some heartbeats. Until then it cannot know that no worker could take a task, so
// it calls nothing infeasible, and not itself ready.
const (
	// learnLeast and learnMost bound how long it learns, in heartbeats of the
	// workers. A scheduler without workers is ready after the least.
	learnLeast = 2
	learnMost  = 10
	// calmShare is the share of the fleet, as one in so many, that may still
	// come for the first time within a heartbeat when the learning ends.
	calmShare = 100
)

// learning watches the workers come after a start.
type learning struct {
	heartbeat time.Duration
	over      bool
	at        time.Duration // when joined was noted
	joined    uint64        // workers that had come for the first time by then
	fresh     uint64        // that came in the latest heartbeat
	known     uint64        // workers that are known
}

// look notes how many workers have come, and ends the learning when they come
// no longer. It never begins again.
func (l *learning) look(now time.Duration, o *sched.Observation) {
	if l.over || now-l.at < l.heartbeat {
		return
	}
	joined := o.Events[sched.EventJoined]
	l.fresh, l.joined, l.at = joined-l.joined, joined, now
	l.known = 0
	for _, n := range o.Workers {
		l.known += n
	}
	calm := l.fresh*calmShare <= l.known
	l.over = now >= learnMost*l.heartbeat || now >= learnLeast*l.heartbeat && calm
}

// reason says why the scheduler learns still.
func (l *learning) reason(now time.Duration) string {
	return fmt.Sprintf("workers are still coming: %d in the latest %v, %d are known; ready in %v at most",
		l.fresh, l.heartbeat, l.known, max(0, learnMost*l.heartbeat-now).Round(time.Second))
}
