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
	worker     string
	deadline   Time   // what still runs is preempted then; Never
	place      int32  // in State.deadlines, + 1
	number     uint64 // in the order of those that were ever there
	own        bool   // the worker's agent is leaving: it ends with the incarnation
	drain      bool   // somebody waits until nothing runs there
	drained    bool   // nothing does
}

// flags is what is listed of a worker with this cordon.
func (c *cordon) flags() []string {
	switch {
	case c.drained:
		return []string{"cordoned", "drained"}
	case c.drain:
		return []string{"cordoned", "draining"}
	}
	return []string{"cordoned"}
}

// holds reports whether c stays as it is when another cordon comes.
func (c *cordon) holds(m *wire.Cordon) bool {
	if c.own != m.Own {
		return m.Own // an operator's word counts more than the agent's
	}
	return (c.drain || !m.Drain) && m.DeadlineMS == 0
}

func (s *State) setCordon(c *caller, m *wire.Cordon) {
	n, known := s.byID[m.Worker]
	old, quarantined := s.cordons[m.Worker], s.health.IsEjected(m.Worker)
	if m.DeadlineMS > 0 && !(m.On && m.Drain) {
		c.reply(&wire.Error{Code: wire.CodeBadRequest, Field: "deadline_ms", Message: "only a drain has a deadline"})
		return
	}
	if m.Own && (!known || c.from == 0 || s.workers.At(n).session != c.from) {
		c.reply(&wire.Error{Code: wire.CodeNotRegistered, Field: "own",
			Message: "this connection does not speak for the worker"})
		return
	}
	if !known && (m.On || old == nil && !quarantined) {
		c.reply(noSuchWorker)
		return
	}
	if m.On && old == nil && len(s.cordons) >= s.cfg.MaxWorkers {
		c.reply(&wire.Error{Code: wire.CodeWorkerLimit, Field: "worker", Limit: uint64(s.cfg.MaxWorkers),
			Message: "too many workers are cordoned"})
		return
	}
	by := m.By
	switch {
	case by == "" && m.Own:
		by = m.Worker
	case by == "":
		by = s.clients.list[c.sess.client].id
	}
	changed := old != nil && (old.own || !m.Own) || quarantined && !m.Own
	if m.On {
		changed = old == nil || !old.holds(m)
	}
	if changed && !m.Own {
		s.pardon(m.Worker)
	}
	switch {
	case changed && m.On:
		fresh := &cordon{reason: strings.Clone(m.Reason), by: strings.Clone(by), since: s.now, own: m.Own, drain: m.Drain, deadline: Never}
		if m.DeadlineMS > 0 {
			fresh.deadline = s.now + Time(m.DeadlineMS)
		}
		s.putCordon(n, fresh)
	case changed:
		s.liftCordon(m.Worker, strings.Clone(m.Reason), strings.Clone(by))
	}
	c.reply(&wire.Cordoned{Changed: changed})
}

// putCordon takes a worker that is known out of service.
func (s *State) putCordon(n int32, c *cordon) {
	w := s.workers.At(n)
	what := eventCordoned
	if c.drain {
		what = eventDraining
	}
	e := s.note(what, w.id)
	e.reason, e.by = c.reason, c.by
	s.forgetDeadline(w.cordon)
	s.cordons[w.id], w.cordon, c.worker = c, c, w.id
	s.awaitDeadline(c)
	s.updateEligible(n)
	s.watchDrain(n)
}

// liftCordon puts a worker back into service, if it is known.
func (s *State) liftCordon(worker, reason, by string) {
	e := s.note(eventUncordoned, strings.Clone(worker))
	e.reason, e.by = reason, by
	s.forgetDeadline(s.cordons[worker])
	delete(s.cordons, worker)
	if n, known := s.byID[worker]; known {
		s.workers.At(n).cordon = nil
		s.updateEligible(n)
	}
}

// watchDrain asks for a look at a worker, if it drains, when this message has
// been applied.
func (s *State) watchDrain(n int32) {
	if c := s.workers.At(n).cordon; c != nil && c.drain {
		s.draining = append(s.draining, n)
	}
}

// updateDrains notes which of the workers that drain have become empty, or run
// something again.
func (s *State) updateDrains() {
	for _, n := range s.draining {
		w := s.workers.At(n)
		c := w.cordon
		if c == nil || !c.drain {
			continue
		}
		if w.taken > 0 || w.external > 0 {
			c.drained = false
			s.serviceOf(w)
		} else if !c.drained && w.saysEmpty(s.now) {
			c.drained = true
			s.serviceOf(w)
			s.note(eventDrained, w.id)
		}
	}
	s.draining = s.draining[:0]
}

// saysEmpty reports whether the worker itself has said that what is known of
// it, nothing, is all: by its connection, or by the heartbeat of this moment.
func (w *worker) saysEmpty(now Time) bool {
	if w.http != nil {
		return w.seen == now && w.presence == online
	}
	return w.promised && w.presence == online
}
