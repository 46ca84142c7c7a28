package sched

import (
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// cordon keeps a worker from new placements until it is lifted. It belongs to
// the worker's id, not to its connection or incarnation: a machine that is
// taken out for repair stays out while its agent is restarted.
type cordon struct {
	reason, by string
	since      Time
}

func (s *State) setCordon(sess *session, from Session, request uint64, m *wire.Cordon, out *Outbox) {
	n, known := s.byID[m.Worker]
	old := s.cordons[m.Worker]
	if !known && (m.On || old == nil) {
		out.put(from, request, noSuchWorker)
		return
	}
	by := m.By
	if by == "" {
		by = s.clients.list[sess.client].id
	}
	if m.On && old == nil && len(s.cordons) >= s.cfg.MaxWorkers {
		out.put(from, request, &wire.Error{Code: wire.CodeWorkerLimit, Field: "worker", Limit: uint64(s.cfg.MaxWorkers),
			Message: "too many workers are cordoned"})
		return
	}
	changed := (old != nil) != m.On
	if changed {
		c := &cordon{reason: strings.Clone(m.Reason), by: strings.Clone(by), since: s.now}
		what := eventCordoned
		if m.On {
			s.cordons[strings.Clone(m.Worker)] = c
		} else {
			what = eventUncordoned
			delete(s.cordons, m.Worker)
		}
		e := s.note(what, strings.Clone(m.Worker))
		e.reason, e.by = c.reason, c.by
	}
	if known {
		s.workers.at(n).cordon = s.cordons[m.Worker]
		s.settle(n)
	}
	out.put(from, request, &wire.Cordoned{Changed: changed})
}
