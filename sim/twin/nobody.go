package twin

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// waits reports whether a request that is refused waits. If no known worker could
// take it, it does if it says so, or if no worker is known.
func (t *Twin) waits(m *wire.Schedule, c wire.Code) bool {
	if m.WaitMS == 0 {
		return false
	}
	if c == wire.CodeInfeasible {
		known := slices.ContainsFunc(t.workers, func(w *worker) bool { return w != nil })
		if m.WaitForWorkers {
			t.w.Hit(fault.Nobody)
		}
		return m.WaitForWorkers || !known
	}
	return worthWaiting(c)
}

// couldRun reports whether for each task of a waiter some known worker could take
// it, were it idle.
func (t *Twin) couldRun(x *waiter) bool {
	for i := range x.tasks {
		if q := t.readAsked(&x.tasks[i], true); !t.feasible(&q, &batchState{}) {
			return false
		}
	}
	return true
}

// whyOver is what a waiter is told that got nothing.
func (t *Twin) whyOver(x *waiter) wire.Code {
	if !t.learning && !t.couldRun(x) {
		t.w.Hit(fault.NobodyCame)
		return wire.CodeInfeasible
	}
	if t.overLimit(x.owner, len(x.tasks)) {
		t.w.Hit(fault.OwnerWaited)
		return wire.CodeOwnerLimit
	}
	return wire.CodeUnavailable
}
