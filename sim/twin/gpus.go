package twin

import (
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// offline is after how long a silent worker is gone.
func (t *Twin) offline() sched.Time {
	return max(t.cfg.Offline, 2*max(t.cfg.Suspicious, t.cfg.Heartbeat*33/10))
}

// judgeID is the law that an agent does not get the id of one on another machine
// that is alive, unless tasks run on it and none there.
func (t *Twin) judgeID(w *worker, m *wire.Register) {
	if !w.http && w.incarnation != m.Incarnation && w.machine != 0 && m.Machine != 0 && w.machine != m.Machine && t.w.Now()-w.seen < t.offline() && !(runsAny(m) && len(t.of(w)) == 0) {
		t.w.Fail("an agent at %s gets the id of %s, which is alive", m.Address, w.id)
	}
}

// runsAny reports whether an agent runs tasks.
func runsAny(m *wire.Register) bool {
	return slices.ContainsFunc(m.Leases, func(r wire.Record) bool { return r.Outcome == wire.ReasonNone })
}

// offers reports whether a worker has a GPU that is not missing.
func (w *worker) offers(uuid string) bool {
	return slices.ContainsFunc(w.Devices, func(d wire.Device) bool { return !d.Missing && strings.EqualFold(d.UUID, uuid) })
}

// giveWay removes the workers whose GPUs another one has now. Those must be gone,
// or its tasks run on the GPUs (I29).
func (t *Twin) giveWay(m *wire.Register) {
	for i, d := range m.Devices {
		if own := t.find(m.Worker); d.UUID == "" || d.Missing && !runsOn(m, i) || own != nil && own.offers(d.UUID) {
			continue
		}
		for _, w := range slices.Clone(t.workers) {
			if w == nil || w.id == m.Worker || !w.offers(d.UUID) {
				continue
			}
			if d.Missing && len(t.of(w)) > 0 {
				continue
			}
			if !t.lets(w, m, i) {
				t.w.Fail("I29: %s gets the GPU %s of %s", m.Worker, d.UUID, w.id)
			}
			t.w.Hit(fault.GPUPassed)
			t.removeWorker(w)
		}
	}
}

// lets reports whether a worker lets another have a GPU that is device i of its
// registration.
func (t *Twin) lets(w *worker, m *wire.Register, i int) bool {
	if len(t.of(w)) > 0 {
		return false
	}
	return runsOn(m, i) || w.session == 0 && t.w.Now()-w.seen >= t.offline()
}

// runsOn reports whether a task of an agent uses a device.
func runsOn(m *wire.Register, i int) bool {
	return slices.ContainsFunc(m.Leases, func(r wire.Record) bool { return r.Outcome == wire.ReasonNone && r.Devices>>i&1 != 0 })
}

// judgeGPUs is the law that no GPU is given to two live leases: of those that
// take one GPU, named by its UUID, only one worker may have got some by a grant
// of this moment.
func (t *Twin) judgeGPUs(w *worker) {
	for _, l := range t.of(w) {
		if l.granted != t.w.Now() || l.adopted {
			continue
		}
		for _, o := range t.leases {
			if o.worker != w && sharesGPU(l, o) {
				t.w.Fail("I29: %v on %s was given a GPU that %v on %s has", l.id, w.id, o.id, o.worker.id)
			}
		}
	}
}

// sharesGPU reports whether two leases take the same GPU, which is not missing.
func sharesGPU(a, b *lease) bool {
	for _, i := range offer.BitsOf(a.takes.Devices) {
		for _, j := range offer.BitsOf(b.takes.Devices) {
			if i < len(a.worker.Devices) && j < len(b.worker.Devices) {
				d, o := a.worker.Devices[i], b.worker.Devices[j]
				if d.UUID != "" && strings.EqualFold(d.UUID, o.UUID) && !d.Missing && !o.Missing {
					return true
				}
			}
		}
	}
	return false
}
