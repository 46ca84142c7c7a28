package sched

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
