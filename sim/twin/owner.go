package twin

import (
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// overLimit reports whether an owner may not have so many more leases.
func (t *Twin) overLimit(owner string, more int) bool {
	most := t.cfg.MaxOwnerLeases
	return most > 0 && t.owns(owner)+more > most
}

// owns counts the leases of an owner.
func (t *Twin) owns(owner string) (n int) {
	for _, l := range t.leases {
		if l.owner == owner {
			n++
		}
	}
	return n
}

// refusedOwner predicts the answer to a request whose owner is at its limit.
func (t *Twin) refusedOwner(to said, q *offer.Asked, b *batchState) said {
	to.kind, to.code = wire.KindError, wire.CodeInfeasible
	if t.takeable(q, b) {
		t.w.Hit(fault.OwnerFull)
		to.code = wire.CodeOwnerLimit
	}
	return to
}

// worthWaiting reports whether a request that is refused waits if it may.
func worthWaiting(c wire.Code) bool { return c == wire.CodeUnavailable || c == wire.CodeOwnerLimit }
