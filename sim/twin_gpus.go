package sim

import (
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// toldAgain is after how long a conflict of the same worker is told again.
const toldAgain = 60_000

// twinTold is a conflict that was told.
type twinTold struct {
	what, worker string
	at           sched.Time
}

// tellConflict predicts the event of a refused registration: one in a minute
// for each worker.
func (t *twin) tellConflict(what, worker, reason string) {
	for _, o := range t.told {
		if o.what == what && o.worker == worker && t.w.now-o.at < toldAgain {
			return
		}
	}
	t.told = append(t.told, twinTold{what, strings.Clone(worker), t.w.now})
	t.note(what, worker).Reason = reason
}

// contested predicts whether a registration is refused because a GPU that it
// offers belongs to another worker, and who gives way if it is not.
func (t *twin) contested(m *wire.Register) (gone []*twinWorker, refused bool) {
	for i, d := range m.Devices {
		if d.UUID == "" || d.Missing {
			continue
		}
		if own := t.find(m.Worker); own != nil && slices.ContainsFunc(own.devices, func(o wire.Device) bool {
			return !o.Missing && strings.EqualFold(o.UUID, d.UUID)
		}) {
			continue
		}
		for _, w := range t.workers {
			if w == nil || w.id == m.Worker {
				continue
			}
			for _, o := range w.devices {
				switch {
				case !strings.EqualFold(o.UUID, d.UUID):
				case o.Missing && !t.runsOnMissing(w):
				case !o.Missing && t.lets(w, m, i):
					if !slices.Contains(gone, w) {
						gone = append(gone, w)
					}
				default:
					t.w.counts[FaultGPURefused]++
					t.tellConflict("device_in_use", m.Worker, "its GPU "+d.UUID+" belongs to worker "+w.id+" at "+w.address)
					return nil, true
				}
			}
		}
	}
	return gone, false
}

// giveWay removes workers whose GPUs another one has now.
func (t *twin) giveWay(gone []*twinWorker, to string) {
	for _, o := range gone {
		t.w.counts[FaultGPUPassed]++
		t.note("removed", o.id).Reason = "worker " + to + " has its GPUs"
		t.removeWorker(o)
	}
}

// lets reports whether a worker lets another have a GPU that is device i of its
// registration.
func (t *twin) lets(w *twinWorker, m *wire.Register, i int) bool {
	if len(t.of(w)) > 0 {
		return false
	}
	for _, r := range m.Leases {
		if r.Outcome == wire.ReasonNone && r.Devices>>i&1 != 0 {
			return true
		}
	}
	offline := max(t.cfg.Offline, 2*max(t.cfg.Suspicious, t.cfg.Heartbeat*33/10))
	return w.session == 0 && t.w.now-w.seen >= offline
}

// runsOnMissing reports whether a lease of a worker takes a device that is
// missing.
func (t *twin) runsOnMissing(w *twinWorker) bool {
	for i, d := range t.tally(w).devices {
		if d.leases > 0 && w.devices[i].Missing {
			return true
		}
	}
	return false
}

// judgeGPUs is the law that no GPU is given to two live leases: of those that
// take one GPU, named by its UUID, only one worker may have got some by a grant
// of this moment.
func (t *twin) judgeGPUs(w *twinWorker) {
	for _, l := range t.of(w) {
		if l.granted != t.w.now || l.adopted {
			continue
		}
		for _, o := range t.leases {
			if o.worker != w && sharesGPU(l, o) {
				t.w.fail("I29: %v on %s was given a GPU that %v on %s has", l.id, w.id, o.id, o.worker.id)
			}
		}
	}
}

// sharesGPU reports whether two leases take the same GPU, which is not missing.
func sharesGPU(a, b *twinLease) bool {
	for _, i := range bitsOf(a.takes.devices) {
		for _, j := range bitsOf(b.takes.devices) {
			if i < len(a.worker.devices) && j < len(b.worker.devices) {
				d, o := a.worker.devices[i], b.worker.devices[j]
				if d.UUID != "" && strings.EqualFold(d.UUID, o.UUID) && !d.Missing && !o.Missing {
					return true
				}
			}
		}
	}
	return false
}
