package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// fits is what the room that the index knows of cannot say of a worker: whether
// it is ruled out, and whether whole devices of a certain size are free.
func (s *State) fits(r *request, n int32) bool {
	if s.excludes(r, n) {
		return false
	}
	d := s.demands.at(r.demand)
	if d.gpus == 0 || d.memory == 0 {
		return true // the index's dimensions say all of it
	}
	_, ok := s.pick(s.workers.At(n), d, false)
	return ok
}

// excludes reports whether a request rules a worker out, whatever it offers.
func (s *State) excludes(r *request, n int32) bool {
	return slices.Contains(r.not, n) || r.taken[n] || r.m.Exclusive && s.workers.At(n).http != nil
}

// choose returns the worker for a request, and the devices that the task takes
// there.
func (s *State) choose(r *request) (int32, uint64, wire.Code) {
	if s.unknown(r) {
		return 0, 0, s.noRoom(r)
	}
	n, outcome := int32(0), index.None
	if r.preferred != nil {
		n, outcome = s.find(r, r.preferred)
	}
	if outcome != index.Found {
		n, outcome = s.find(r, r.req)
	}
	switch {
	case outcome == index.Found && r.plain:
		return n, 0, wire.CodeOK
	case outcome == index.Found:
		devices, ok := s.pick(s.workers.At(n), s.demands.at(r.demand), r.m.Exclusive)
		if !ok {
			panic("sched: the index found devices that are not free")
		}
		return n, devices, wire.CodeOK
	case outcome == index.Limited:
		s.log.limited++
		return 0, 0, wire.CodeSearchLimit
	}
	return 0, 0, s.noRoom(r)
}

// find asks the index for a worker that satisfies a requirement of a request. A
// worker whose silence nobody noticed yet is not given anything.
func (s *State) find(r *request, req *index.Requirement) (int32, index.Outcome) {
	for {
		var n index.Worker
		outcome := index.None
		if r.plain {
			if w, ok := s.index.Least(req); ok {
				n, outcome = w, index.Found
			}
		} else {
			n, outcome = s.index.Find(req, &r.query)
		}
		if outcome != index.Found {
			return 0, outcome
		}
		w := s.workers.At(int32(n))
		if s.now < w.seen+s.quiet(w) {
			return int32(n), outcome
		}
		s.setPresence(int32(n), suspicious)
		s.timers.Set(int32(n), w.seen+s.goneAfter(w))
	}
}

// verdict names a question that feasible has answered.
type verdict struct {
	req       *index.Requirement
	demand    uint64 // its serial
	exclusive bool
}

// verdictsKept bounds the answers that are remembered.
const verdictsKept = 4096

// feasible reports whether a known worker, busy or silent as it may be, could
// take a request. The answer is kept until a kit comes or goes.
func (s *State) feasible(r *request) bool {
	switch {
	case r.demand == noDemand && !r.m.Exclusive && len(r.not) == 0 && len(r.taken) == 0 && s.count.slotless == 0:
		return s.index.AnyMatch(r.req)
	case len(r.not) > 0 || len(r.taken) > 0:
		return s.anyAble(r)
	}
	v := verdict{r.req, s.demands.at(r.demand).serial, r.m.Exclusive}
	able, known := s.verdicts[v]
	if !known {
		if len(s.verdicts) >= verdictsKept {
			clear(s.verdicts)
		}
		able = s.anyAble(r)
		s.verdicts[v] = able
	}
	return able
}

// ableVisits bounds the workers that are looked at to find out whether a request can
// ever be taken. Where they are more, and none of these can, one of the others may.
const ableVisits = index.VisitBudget

// anyAble looks for a worker that could take a request if it were idle.
func (s *State) anyAble(r *request) bool {
	d := s.demands.at(r.demand)
	walk, left := s.index.Matching(r.req, 0), ableVisits
	for k, matches, ok := walk.Next(); ok; k, matches, ok = walk.Next() {
		if left--; left < 0 {
			return true
		}
		s.spend(1)
		n := int32(k)
		if w := s.workers.At(n); matches && w.slots > 0 && w.kit.canTake(d) && !s.excludes(r, n) {
			return true
		}
	}
	return false
}

// unknown reports whether a request names a resource that no worker offers.
func (s *State) unknown(r *request) bool {
	return r.demand != noDemand && !s.demands.at(r.demand).known
}
