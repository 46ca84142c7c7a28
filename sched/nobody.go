package sched

import "github.com/dtask/dtask-scheduler/wire"

// This file is about tasks that no known worker could take, were it idle: whether
// they wait, for workers to come, and what they are told. They stand in the queue
// like all others, and a worker that could take one serves it when it comes.

// headLooks bounds the buckets that are looked at for the first waiter of all, and
// headVisits the workers that one look visits for it: the next goes on behind the
// buckets of which it is known.
const (
	headLooks  = 64
	headVisits = 8192
)

// waits reports whether a request that was refused waits: room will be told, or
// workers are to come. Where no worker is known at all, some are.
func (s *State) waits(m *wire.Schedule, c wire.Code) bool {
	switch {
	case m.WaitMS == 0:
		return false
	case c == wire.CodeInfeasible:
		return m.WaitForWorkers || len(s.byID) == 0
	}
	return c == wire.CodeUnavailable || c == wire.CodeLeaseLimit || c == wire.CodeOwnerLimit
}

// takeable reports whether for each task of a class some known worker could take
// it, were it idle.
func (s *State) takeable(g *needs) bool {
	left := ableVisits
	return s.takeableWithin(g, &left)
}

// takeableWithin is takeable with a bound for the workers that are looked at. Where
// they do not do, one of the others may.
func (s *State) takeableWithin(g *needs, left *int) bool {
	if g.fleet == s.offered {
		return g.takeable
	}
	members := s.membersOf(g)
	for i := range members {
		m := &members[i]
		s.notBuf = s.ruleOut(s.notBuf[:0], m.ask.NotWorkers)
		if r := (request{m: &m.ask, req: m.req, demand: m.demand, not: s.notBuf}); s.unknown(&r) || !s.feasibleWithin(&r, left) {
			g.fleet, g.takeable = s.offered, false
			return false
		}
		if *left < 0 {
			return true
		}
	}
	g.fleet, g.takeable = s.offered, true
	return true
}

// head returns the first waiter of all that a known worker could take and whose
// owner may have what it waits for. It looks at some buckets alone: behind many that
// nobody could take there is no first.
func (s *State) head() (int32, bool) {
	left, visits := headLooks, headVisits
	for _, band := range s.queue.list.Bands() {
		for o := band.First(); o != nil; o = o.Next() {
			for b := o.First(); b != nil; b = b.Next() {
				was, g := visits, s.queue.needsOf(b)
				able := s.takeableWithin(g, &visits)
				switch {
				case visits < 0 && was < headVisits:
					return 0, false
				case visits < 0: // it takes more than a look by itself
					g.fleet, g.takeable = s.offered, true
					fallthrough
				case able:
					return b.Head().Slot, true
				case left == 1:
					return 0, false
				}
				left--
			}
		}
	}
	return 0, false
}

// atLimit reports whether the owner of a waiter may not have what it waits for.
func (s *State) atLimit(w *waiter) bool { return w.size() > s.queue.list.Left(w.Bucket.Queue.Owner) }

// whyOver says why a waiter got nothing until its wait was over.
func (s *State) whyOver(w *waiter) wire.Code {
	switch {
	case !s.learning && !s.takeable(s.queue.needsOf(w.Bucket)):
		return wire.CodeInfeasible
	case s.atLimit(w):
		return wire.CodeOwnerLimit
	}
	return wire.CodeUnavailable
}
