package sim

import "github.com/dtask/dtask-scheduler/wire"

// overLimit reports whether an owner may not have so many more leases.
func (t *twin) overLimit(owner string, more int) bool {
	most := t.cfg.MaxOwnerLeases
	return most > 0 && t.owns(owner)+more > most
}

// owns counts the leases of an owner.
func (t *twin) owns(owner string) (n int) {
	for _, l := range t.leases {
		if l.owner == owner {
			n++
		}
	}
	return n
}

// refusedOwner predicts the answer to a request whose owner is at its limit.
func (t *twin) refusedOwner(to said, q *asked, b *twinBatch) said {
	to.kind, to.code = wire.KindError, wire.CodeInfeasible
	if t.takeable(q, b) {
		t.w.counts[FaultOwnerFull]++
		to.code = wire.CodeOwnerLimit
	}
	return to
}

// worthWaiting reports whether a request that is refused waits if it may.
func worthWaiting(c wire.Code) bool { return c == wire.CodeUnavailable || c == wire.CodeOwnerLimit }

// mixedOwners reports whether a gang has several owners although each has a
// limit.
func (t *twin) mixedOwners(tasks []wire.Schedule) bool {
	for i := range tasks {
		if t.cfg.MaxOwnerLeases > 0 && string(tasks[i].Owner) != string(tasks[0].Owner) {
			return true
		}
	}
	return false
}

// judgeOwners compares how many owners are at their limit.
func (t *twin) judgeOwners(s *wire.Stats) {
	owners, full := map[string]bool{}, uint64(0)
	for _, l := range t.leases {
		if !owners[l.owner] && t.overLimit(l.owner, 1) {
			full++
			if t.overLimit(l.owner, 0) {
				t.w.counts[FaultOwnerOver]++
			}
		}
		owners[l.owner] = true
	}
	if got := s.Counters["owners_at_limit"]; got != full {
		t.w.fail("%d owners are at their limit, by the twin %d", got, full)
	}
}
