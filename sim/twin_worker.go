package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// What a worker is listed as.
const (
	presenceOnline     = "online"
	presenceSuspicious = "suspicious"
	presenceOffline    = "offline"
)

// voidKept is how many superseded incarnations of a worker are known.
const voidKept = 4

// find returns a worker by its id.
func (t *twin) find(id string) *twinWorker {
	for _, w := range t.workers {
		if w != nil && w.id == id {
			return w
		}
	}
	return nil
}

// add makes a worker, with the number of the one removed last.
func (t *twin) add(id string) *twinWorker {
	w := &twinWorker{id: id, presence: presenceOnline, seen: t.w.now}
	t.note("joined", id)
	t.returns(w)
	if t.cordons[id] != nil {
		t.w.counts[FaultCordonKept]++
	}
	if n := len(t.free); n > 0 {
		w.number, t.free = t.free[n-1], t.free[:n-1]
		t.workers[w.number] = w
		return w
	}
	w.number = len(t.workers)
	t.workers = append(t.workers, w)
	return w
}

// removeWorker forgets a worker; its leases are lost.
func (t *twin) removeWorker(w *twinWorker) {
	for _, l := range t.of(w) {
		l.preempted = false // nobody knows whether its task is over
		t.end(l, wire.ReasonLost, byScheduler)
	}
	w.removed = true
	t.endOwn(w)
	t.departs(w)
	if slices.Contains(t.queue.held, w) {
		t.letGo()
	}
	t.workers[w.number] = nil
	t.free = append(t.free, w.number)
	t.touch(w)
}

// remove is the operator's removal.
func (t *twin) remove(id string) {
	if w := t.find(id); w != nil {
		t.note("removed", id)
		t.removeWorker(w)
		t.serve()
	}
}

// reported reads a heartbeat over HTTP, after the real one did.
func (t *twin) reported(r *sched.Report) {
	w := t.find(r.Worker)
	if w == nil {
		w = t.add(r.Worker)
	}
	w.http, w.kit = true, kit{tags: r.Tags, slots: r.Slots}
	t.believe()
	t.heard(w)
	t.serve()
}

// register predicts the answer to a registration.
func (t *twin) register(s *twinSession, from sched.Session, request uint64, m *wire.Register) {
	w := t.find(m.Worker)
	same := w != nil && w.incarnation == m.Incarnation
	void := said{to: from, request: request, kind: wire.KindSuperseded, worker: m.Worker, incarnation: m.Incarnation}
	if !same && (m.Promised.Instance == t.cfg.Instance || w != nil && slices.Contains(w.void, m.Incarnation)) {
		t.say(void)
		return
	}
	if same && m.Seq <= w.seq {
		if w.session != from {
			t.say(void)
		}
		return
	}
	if t.unbelievable(m.Promised) {
		t.w.counts[FaultEpochRefused]++
		t.say(said{to: from, kind: wire.KindSuperseded, worker: m.Worker, incarnation: m.Incarnation})
		t.say(said{to: from, request: request, kind: wire.KindError, code: wire.CodeBadRequest})
		return
	}
	if w != nil && t.idTaken(w, m) {
		t.say(said{to: from, request: request, kind: wire.KindError, code: wire.CodeWorkerInUse})
		return
	}
	gone, refused := t.contested(m)
	if refused {
		t.say(said{to: from, request: request, kind: wire.KindError, code: wire.CodeDeviceInUse})
		return
	}
	if p := m.Promised; p.Instance != 0 {
		if p.Instance != t.cfg.Instance {
			p.Epoch++
		}
		t.epoch = max(t.epoch, p.Epoch)
	}
	if w == nil {
		w = t.add(m.Worker)
	}
	t.giveWay(gone, w.id)
	if !same && w.incarnation != 0 {
		w.void = slices.Insert(w.void, 0, w.incarnation)
		w.void = w.void[:min(len(w.void), voidKept)]
		t.note("superseded", w.id)
	}
	if w.differs = 0; !same {
		w.beat, w.machine = 0, m.Machine
		if t.endOwn(w) {
			e := t.note("uncordoned", w.id)
			e.Reason, e.By = "its agent was restarted", w.id
		}
	}
	t.correctBeats(w, m)
	t.redevice(w, m.Devices)
	w.address, w.external = m.Address, m.External
	w.kit = kit{slices.Clone(m.Tags), m.Slots, maps.Clone(m.Resources), slices.Clone(m.Devices)}
	w.incarnation, w.seq = m.Incarnation, m.Seq
	t.reconcile(w, m, !same)
	t.carry(w, !same)
	if w.session != from {
		w.session, w.handle = from, uint32(len(s.links))
		s.links = append(s.links, twinLink{w, w.incarnation})
	}
	s.links[w.handle].incarnation = w.incarnation
	w.promised = false
	t.heard(w)
	t.say(said{to: from, request: request, kind: wire.KindRegistered, number: w.handle, grantor: t.grantor()})
	t.repeatPushes(w)
}

// correctBeats believes an agent that has sent far fewer datagrams than were
// counted for it.
func (t *twin) correctBeats(w *twinWorker, m *wire.Register) {
	if m.Beats > 0 && int64(w.beat) > int64(m.Beats)+wire.BeatSkip {
		t.w.counts[FaultBeatsForged]++
		w.beat = m.Beats
	}
}

// repeatPushes tells a worker again which leases are asked back or must make room.
func (t *twin) repeatPushes(w *twinWorker) {
	for _, l := range t.of(w) {
		switch {
		case l.state == wire.StateAskedBack:
			t.revoke(l)
		case l.killed:
			t.tellPreempt(l, 0)
		case l.warned:
			t.tellPreempt(l, l.due-t.w.now)
		}
	}
}

// unbelievable reports whether nobody can have promised this: an epoch that
// this life never had, or one of another life that leaves no greater one.
func (t *twin) unbelievable(p wire.Grantor) bool {
	if p.Instance == t.cfg.Instance {
		return p.Epoch > t.epoch
	}
	return p.Instance != 0 && uint64(p.Epoch)+1 > wire.MaxEpoch
}

// reconcile makes the leases of a worker agree with its list.
func (t *twin) reconcile(w *twinWorker, m *wire.Register, fresh bool) {
	for _, r := range m.Leases {
		l := t.aliveOn(r.Lease, w)
		switch {
		case l == nil:
		case r.Outcome != wire.ReasonNone:
			t.outcome(l, r.Outcome, fresh)
			t.end(l, l.outcome(r.Outcome), byWorker)
		default:
			l.listed = true
		}
	}
	for _, l := range t.of(w) {
		if !l.listed && (fresh || l.state == wire.StateBegun) {
			t.end(l, wire.ReasonLost, byScheduler)
		}
		l.listed = false
	}
	for i := range m.Leases {
		if m.Leases[i].Outcome == wire.ReasonNone {
			t.adopt(w, &m.Leases[i])
		}
	}
}

// heard notes that a worker lives.
func (t *twin) heard(w *twinWorker) {
	w.seen = t.w.now
	if w.presence != presenceOnline {
		t.setPresence(w, presenceOnline)
	}
	t.touch(w)
}

// setPresence notes what a worker is now.
func (t *twin) setPresence(w *twinWorker, p string) {
	was, lost := w.presence, w.lost
	w.presence, w.spared = p, 0
	w.lost = p == presenceOffline && t.mass
	t.watchMass()
	untold := lost && t.lost() >= t.cfg.MassLossTold
	if untold {
		t.w.counts[FaultBackUntold]++
	}
	if t.mass || untold {
		return
	}
	if was != presenceOffline && p != presenceOffline && t.suspicious() > t.cfg.MassLossTold {
		t.w.counts[FaultUntold]++
		t.untold = true
		return
	}
	if p == presenceOnline {
		p = "back"
	}
	t.note(p, w.id)
}

// suspicious counts the workers that are.
func (t *twin) suspicious() (n int) {
	for _, w := range t.workers {
		if w != nil && w.presence == presenceSuspicious {
			n++
		}
	}
	return n
}

// lost counts the workers that became offline in a mass loss and still are.
func (t *twin) lost() (n int) {
	for _, w := range t.workers {
		if w != nil && w.lost {
			n++
		}
	}
	return n
}

// watchMass predicts the three events of a mass loss. It is over when few are
// silent, or when its minute is over and the silent ones are offline.
func (t *twin) watchMass() {
	silent, all, offline := 0, 0, 0
	for _, w := range t.workers {
		switch {
		case w == nil:
		case w.presence == presenceOffline:
			offline++
		default:
			all++
			if w.presence == presenceSuspicious {
				silent++
			}
		}
	}
	switch {
	case !t.mass && silent >= t.cfg.MassLossLeast && 100*silent >= t.cfg.MassLossShare*all:
		t.mass, t.massTold, t.massDue, t.massEnd = true, false, true, t.w.now+t.cfg.MassLossHold
		t.w.counts[FaultMassLoss]++
		t.note("mass_loss", "").Reason = fmt.Sprintf("%d of %d workers are silent", silent, all)
	case t.mass && (t.little(silent+t.lost(), all+t.lost()) || t.little(silent, all) && t.w.now >= t.massEnd):
		t.mass, t.massDue = false, false
		t.note("mass_loss_over", "").Reason = fmt.Sprintf("%d of %d workers are silent, %d are offline", silent, all, offline)
	case t.mass && !t.massTold && 10*t.lost() >= 9*(silent+t.lost()):
		t.massTold = true
		t.w.counts[FaultMassOffline]++
		t.note("mass_loss_offline", "").Reason = fmt.Sprintf("%d workers are offline, none is removed for now", offline)
	}
}

// little reports whether so few workers are silent that it is no mass loss.
func (t *twin) little(silent, all int) bool {
	return silent < t.cfg.MassLossLeast || 400*silent < t.cfg.MassLossShare*all
}

// due is when a silent worker becomes something worse.
func (t *twin) due(w *twinWorker) sched.Time { return max(w.seen+t.patience(w), w.spared) }

// patience is how long a worker may be silent before it is something worse.
func (t *twin) patience(w *twinWorker) sched.Time {
	quiet := max(t.cfg.Suspicious, t.cfg.Heartbeat*33/10)
	gone := max(t.cfg.Offline, 2*quiet)
	if w.http {
		quiet, gone = t.cfg.Suspicious, t.cfg.Offline
	}
	switch w.presence {
	case presenceOnline:
		return quiet
	case presenceSuspicious:
		return gone
	}
	return gone + t.cfg.Retention
}

// silences makes workers suspicious, offline, and forgotten, in the order of
// the moments at which they are.
func (t *twin) silences() {
	if t.massDue && t.w.now >= t.massEnd {
		t.massDue = false
		t.watchMass()
	}
	removedAt := sched.Time(-1)
	for {
		var w *twinWorker
		for _, o := range t.workers {
			if o != nil && (w == nil || t.due(o) < t.due(w)) {
				w = o
			}
		}
		if w == nil || t.due(w) > t.w.now {
			return
		}
		t.touch(w)
		switch w.presence {
		case presenceOnline:
			t.w.counts[FaultSuspicious]++
			t.setPresence(w, presenceSuspicious)
		case presenceSuspicious:
			t.w.counts[FaultOffline]++
			t.setPresence(w, presenceOffline)
		default:
			if t.mass && t.w.now < t.massEnd {
				t.w.counts[FaultSpared]++
				w.spared = t.massEnd
				continue
			}
			t.w.counts[FaultForgotten]++
			due := t.due(w)
			t.loose = t.loose || due == removedAt
			removedAt = due
			t.note("removed", w.id)
			t.removeWorker(w)
		}
	}
}

// believe asks the real scheduler what is left of the placements on workers
// that speak HTTP.
func (t *twin) believe() {
	for _, w := range t.workers {
		if w == nil || !w.http {
			continue
		}
		m, ok := t.w.ask(&wire.GetWorker{ID: w.id}).(*wire.Worker)
		if !ok {
			t.w.fail("the worker %s is not listed", w.id)
			return
		}
		w.external = m.Info.External
		for _, l := range t.of(w) {
			if !slices.ContainsFunc(m.Leases, func(o wire.LeaseInfo) bool { return o.Lease == l.id }) {
				t.end(l, wire.ReasonBelieved, byScheduler)
			}
		}
	}
}
