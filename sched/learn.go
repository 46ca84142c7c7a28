package sched

import (
	"github.com/dtask/dtask-scheduler/wire"
)

// A scheduler that was just started knows no workers, although they live and
// their tasks run. Until it has learned its fleet it cannot know that no worker
// could take a task: the task waits, or is told to ask again.

// learnRetry is after how many milliseconds a request that was refused meanwhile
// is worth a repeat: workers come within some heartbeats.
const learnRetry = 1000

var stillLearning = &wire.Error{Code: wire.CodeUnavailable, RetryAfterMS: learnRetry,
	Message: "the scheduler was just started, and workers are still coming"}

// Learned ends the time after a start in which nothing is infeasible.
func (s *State) Learned() { s.learning = false }

// noRoom is the code for a request for which there is no room, and counts it.
func (s *State) noRoom(r *request) wire.Code {
	if s.learning || !s.unknown(r) && s.feasible(r) {
		s.log.unavailable++
		return wire.CodeUnavailable
	}
	s.log.infeasible++
	return wire.CodeInfeasible
}

// refusal is the error of a code that needs no further details.
func (s *State) refusal(code wire.Code) *wire.Error {
	switch {
	case code == wire.CodeOwnerLimit:
		return &s.queue.ownerRefusal
	case code == wire.CodeUnavailable && s.learning:
		return stillLearning
	}
	return refusals[code]
}

// hint notes in the answer to a batch when a repeat makes sense of those that
// were refused.
func (s *State) hint(all *wire.PlacedAll) {
	for i := range all.Results {
		switch code := all.Results[i].Code; code {
		case wire.CodeUnavailable, wire.CodeSearchLimit:
			all.RetryAfterMS = max(all.RetryAfterMS, s.refusal(code).RetryAfterMS)
		case wire.CodeQueueFull:
			all.RetryAfterMS = max(all.RetryAfterMS, queueRetry)
		}
	}
}
