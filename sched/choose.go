package sched

import (
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// choose returns the worker for a request, and the devices that the task takes
// there.
func (s *State) choose(r *request) (int32, uint64, wire.Code) {
	if s.unknown(r) {
		return 0, 0, s.noRoom(r)
	}
	n, outcome := s.findPreferred(r)
	if outcome == index.None && r.rank.reach == lastResort && s.reservations.usesAny(&r.rank) {
		r.rank.reach = together
		n, outcome = s.findPreferred(r)
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

// findPreferred returns a worker that a request prefers, or else any that fits.
func (s *State) findPreferred(r *request) (int32, index.Outcome) {
	if r.preferred != nil {
		if n, outcome := s.find(r, r.preferred); outcome == index.Found {
			return n, outcome
		}
	}
	return s.find(r, r.req)
}

// find asks the index for a worker that satisfies a requirement of a request. A
// worker whose silence nobody noticed yet is not given anything.
func (s *State) find(r *request, req *index.Requirement) (int32, index.Outcome) {
	for {
		v, outcome := s.search(r, req)
		n := int32(v)
		if r.rank.reach == together {
			var found bool
			if n, found = s.bestReserved(r, req, n, outcome == index.Found); found {
				outcome = index.Found
			}
		}
		if outcome != index.Found {
			return 0, outcome
		}
		w := s.workers.At(n)
		if s.now < w.seen+s.quiet(w) {
			return n, outcome
		}
		s.setPresence(n, suspicious)
		s.timers.Set(n, w.seen+s.goneAfter(w))
	}
}

// search asks the index for the best of the workers that are not reserved.
func (s *State) search(r *request, req *index.Requirement) (index.Worker, index.Outcome) {
	if !r.plain {
		return s.index.Find(req, &r.query)
	}
	if w, ok := s.index.Least(req); ok {
		return w, index.Found
	}
	return 0, index.None
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
	left := ableVisits
	return s.feasibleWithin(r, &left)
}

// feasibleWithin is feasible with a bound of its own for the workers that are looked
// at. An answer for want of them is not kept.
func (s *State) feasibleWithin(r *request, left *int) bool {
	switch {
	case r.demand == noDemand && !r.m.Exclusive && len(r.not) == 0 && len(r.taken) == 0 && s.count.slotless == 0:
		return s.index.AnyMatch(r.req)
	case len(r.not) > 0 || len(r.taken) > 0:
		return s.anyAble(r, left)
	}
	v := verdict{r.req, s.demands.at(r.demand).serial, r.m.Exclusive}
	able, known := s.verdicts[v]
	if !known {
		if len(s.verdicts) >= verdictsKept {
			clear(s.verdicts)
		}
		if able = s.anyAble(r, left); *left >= 0 {
			s.verdicts[v] = able
		}
	}
	return able
}

// ableVisits bounds the workers that are looked at to find out whether a request can
// ever be taken. Where they are more, and none of these can, one of the others may.
const ableVisits = index.VisitBudget

// anyAble looks for a worker that could take a request if it were idle, at as many as
// are left: less than 0 then says that they did not do.
func (s *State) anyAble(r *request, left *int) bool {
	d := s.demands.at(r.demand)
	walk := s.index.Matching(r.req, 0)
	for k, matches, ok := walk.Next(); ok; k, matches, ok = walk.Next() {
		if *left--; *left < 0 {
			return true
		}
		s.spend(1)
		n := int32(k)
		if w := s.workers.At(n); matches && w.slots > 0 && capacity.CouldEver(&w.kit.Offer, &d.Demand) && !s.excludes(r, n) {
			return true
		}
	}
	return false
}

// unknown reports whether a request names a resource that no worker offers.
func (s *State) unknown(r *request) bool {
	return r.demand != noDemand && !s.demands.at(r.demand).known
}
