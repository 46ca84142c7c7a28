package server

import "github.com/dtask/dtask-scheduler/server/gateway"

// Reasons why the scheduler is not ready.
const (
	reasonStopping = "stopping"
	reasonLearning = "learning"
)

// unready returns why the scheduler should get no requests, "" if it should.
func (s *Server) unready() (reason, detail string) {
	if s.stopping.Load() {
		return reasonStopping, "the scheduler is stopping"
	}
	if what := s.stalled(); what != "" {
		return gateway.ReasonStalled, what
	}
	v := &s.vital
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.fleet.over {
		return reasonLearning, v.fleet.reason(s.core.clock.Since())
	}
	return "", ""
}
