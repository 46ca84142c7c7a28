package server

import (
	"encoding/json"
	"net/http"
)

// Reasons why the scheduler is not ready.
const (
	reasonStopping = "stopping"
	reasonStalled  = "stalled"
	reasonLearning = "learning"
)

// healthAnswer is the body of GET /livez and GET /readyz.
type healthAnswer struct {
	Status string `json:"status"`           // ok, or unavailable
	Reason string `json:"reason,omitempty"` // for programs
	Detail string `json:"detail,omitempty"` // for people
}

// unready returns why the scheduler should get no requests, "" if it should.
func (s *Server) unready() (reason, detail string) {
	if s.stopping.Load() {
		return reasonStopping, "the scheduler is stopping"
	}
	if what := s.stalled(); what != "" {
		return reasonStalled, what
	}
	v := &s.vital
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.fleet.over {
		return reasonLearning, v.fleet.reason(s.core.clock.since())
	}
	return "", ""
}

// live answers whether the scheduler moves. It takes no lock of the core.
func (g *gateway) live(w http.ResponseWriter, _ *http.Request) {
	if what := g.srv.stalled(); what != "" {
		writeHealth(w, reasonStalled, what)
		return
	}
	writeJSON(w, http.StatusOK, healthy)
}

// ready answers whether the scheduler should get requests.
func (g *gateway) ready(w http.ResponseWriter, _ *http.Request) {
	if reason, detail := g.srv.unready(); reason != "" {
		writeHealth(w, reason, detail)
		return
	}
	writeJSON(w, http.StatusOK, healthy)
}

// writeHealth answers 503 with the reason.
func writeHealth(w http.ResponseWriter, reason, detail string) {
	body, err := json.Marshal(&healthAnswer{Status: "unavailable", Reason: reason, Detail: detail})
	if err != nil {
		body = []byte(`{"status":"unavailable"}`)
	}
	w.Header().Set("Retry-After", "1")
	writeJSON(w, http.StatusServiceUnavailable, append(body, '\n'))
}
