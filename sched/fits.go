package sched

import (
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file says whether a worker fits a task now.

// fitsAny reports whether one of the tasks of a class fits a worker now, that their
// rank may use.
func (s *State) fitsAny(g *needs, n int32, k *rank) bool {
	if !s.mayUse(n, k) || s.index.LoadOf(index.Worker(n)) == index.Full {
		return false
	}
	w, members := s.workers.At(n), s.membersOf(g)
	for i := range members {
		if m := &members[i]; s.index.Matches(m.req, index.Worker(n)) && !ruledOut(m.ask.NotWorkers, w.id) && s.fitsNow(w, m.demand, m.ask.Exclusive) {
			return true
		}
	}
	return false
}

// fitsNow reports whether a worker that is not full has free what a task demands.
func (s *State) fitsNow(w *worker, demand uint32, exclusive bool) bool {
	if exclusive && (w.taken+w.external > 0 || w.http != nil) {
		return false
	}
	if demand == noDemand {
		return true
	}
	d := s.demands.at(demand)
	s.resolve(d)
	if w.held == nil {
		return capacity.CouldEver(&w.kit.Offer, &d.Demand)
	}
	return capacity.FitsNow(&w.kit.Offer, w.held, &d.Demand, &s.deviceBuf)
}

func ruledOut(raw []byte, id string) (out bool) {
	if len(raw) > 0 {
		wire.EachWorker(raw, func(w []byte) bool {
			out = out || string(w) == id
			return !out
		})
	}
	return out
}
