package sched

import (
	"slices"
	"strconv"

	"github.com/dtask/dtask-scheduler/wire"
)

// What two agents quarrel about is told once in a while: a refused agent tries
// again for as long as it lives.
const (
	// conflictQuiet is how long, in milliseconds, further conflicts of a worker
	// are counted and not told.
	conflictQuiet = 60_000
	// conflictMemory bounds the workers of which it is known when a conflict was
	// told last. Those beyond it are counted alone.
	conflictMemory = 1024
)

// conflictKey is a worker that was refused, and why.
type conflictKey struct {
	what, worker string
}

// noteConflict records the event of a refused registration, at most once a
// minute for each worker.
func (s *State) noteConflict(what, worker, reason string) {
	key := conflictKey{what, worker}
	if at, told := s.conflicts[key]; told && s.now-at < conflictQuiet {
		return
	}
	if len(s.conflicts) >= conflictMemory {
		for k, at := range s.conflicts {
			if s.now-at >= conflictQuiet {
				delete(s.conflicts, k)
			}
		}
	}
	if _, told := s.conflicts[key]; told || len(s.conflicts) < conflictMemory {
		s.conflicts[key] = s.now
		s.note(what, worker).reason = reason
	}
}

// contestID refuses the registration of an agent whose machine is not that of
// the agent which has the worker id, while that one is alive: until it is
// offline. An agent that is started again on its machine takes over at once. So
// does one whose tasks run, if the present one has no lease: a scheduler that was
// started anew may have met the wrong one first. Without the name of a machine
// any agent takes over.
func (s *State) contestID(w *worker, m *wire.Register) *wire.Error {
	left := w.seen + s.goneAfter(w) - s.now
	if w.machine == 0 || m.Machine == 0 || w.machine == m.Machine || w.incarnation == m.Incarnation || w.http != nil || left <= 0 || w.head == 0 && runsAny(m) {
		return nil
	}
	s.log.identityConflicts++
	s.noteConflict(eventWorkerInUse, w.id, "an agent at "+m.Address+" was refused the id of the one at "+w.address())
	return &wire.Error{Code: wire.CodeWorkerInUse, Field: "worker", RetryAfterMS: uint32(left),
		Message: "the worker id " + w.id + " belongs to the agent at " + w.address() + " of another machine or process, which registered " + span(s.now-w.since) +
			" ago and was heard " + span(s.now-w.seen) + " ago: start this one with an --id of its own, or stop the other"}
}

// runsAny reports whether a registration lists a task that runs.
func runsAny(m *wire.Register) bool {
	return slices.ContainsFunc(m.Leases, func(r wire.Record) bool { return r.Outcome == wire.ReasonNone })
}

// span is a duration for people.
func span(d Time) string {
	for _, unit := range [...]struct {
		name string
		is   Time
	}{{"d", 86_400_000}, {"h", 3_600_000}, {"min", 60_000}} {
		if d >= 2*unit.is {
			return strconv.FormatInt(int64(d/unit.is), 10) + " " + unit.name
		}
	}
	return strconv.FormatInt(int64(d/1000), 10) + " s"
}
