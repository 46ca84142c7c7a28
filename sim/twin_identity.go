package sim

import (
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// idTaken predicts whether a registration is refused because an agent of another
// machine has the worker id and is alive.
func (t *twin) idTaken(w *twinWorker, m *wire.Register) bool {
	offline := max(t.cfg.Offline, 2*max(t.cfg.Suspicious, t.cfg.Heartbeat*33/10))
	tasks := slices.ContainsFunc(m.Leases, func(r wire.Record) bool { return r.Outcome == wire.ReasonNone })
	switch {
	case w.http || w.incarnation == m.Incarnation:
		return false
	case w.machine == 0 || m.Machine == 0 || w.machine == m.Machine:
		return false
	case t.w.now-w.seen >= offline:
		return false
	case tasks && len(t.of(w)) == 0:
		return false
	}
	t.w.counts[FaultIDRefused]++
	t.tellConflict("worker_in_use", w.id, "an agent at "+m.Address+" was refused the id of the one at "+w.address)
	return true
}
