package twin

import (
	"maps"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// What a worker is listed as.
const (
	presenceOnline     = "online"
	presenceSuspicious = "suspicious"
	presenceOffline    = "offline"
)

// find returns a worker by its id.
func (t *Twin) find(id string) *worker {
	for _, w := range t.workers {
		if w != nil && w.id == id {
			return w
		}
	}
	return nil
}

// add makes a worker, with the number of the one removed last.
func (t *Twin) add(id string) *worker {
	w := &worker{id: id, presence: presenceOnline, seen: t.w.Now()}
	t.returns(w)
	if t.cordons[id] != nil {
		t.w.Hit(fault.CordonKept)
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
func (t *Twin) removeWorker(w *worker) {
	for _, l := range t.of(w) {
		l.preempted = false // nobody knows whether its task is over
		t.end(l, wire.ReasonLost)
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

// Remove is the operator's removal.
func (t *Twin) Remove(id string) {
	if w := t.find(id); w != nil {
		t.removeWorker(w)
		t.serve()
	}
}

// Reported reads a heartbeat over HTTP, after the real one did.
func (t *Twin) Reported(r *sched.Report) {
	w := t.find(r.Worker)
	if w == nil {
		w = t.add(r.Worker)
	}
	w.http, w.Kit = true, offer.Kit{Tags: r.Tags, Slots: r.Slots}
	t.believe()
	t.heard(w)
	t.serve()
}

// register follows a registration that the real one has accepted.
func (t *Twin) register(from sched.Session, m *wire.Register, answer wire.Message) {
	a, ok := answer.(*wire.Registered)
	if !ok {
		t.refused(answer)
		return
	}
	w := t.find(m.Worker)
	same := w != nil && w.incarnation == m.Incarnation
	if w == nil {
		w = t.add(strings.Clone(m.Worker))
	}
	t.judgeID(w, m)
	t.giveWay(m)
	if !same {
		w.beat, w.machine = 0, m.Machine
		if t.endOwn(w) {
			t.note("uncordoned", w.id, restarted)
		}
	}
	t.correctBeats(w, m)
	w.address, w.external = m.Address, m.External
	w.Kit = offer.Kit{Tags: slices.Clone(m.Tags), Slots: m.Slots, Resources: maps.Clone(m.Resources), Devices: slices.Clone(m.Devices)}
	w.incarnation, w.seq = m.Incarnation, m.Seq
	t.reconcile(w, m, !same)
	t.carry(w, !same)
	w.session, w.handle, w.promised = from, a.Handle, false
	t.heard(w)
	t.repeatPushes(w)
}

// refused counts why a registration was refused.
func (t *Twin) refused(answer wire.Message) {
	e, ok := answer.(*wire.Error)
	switch {
	case !ok:
	case e.Code == wire.CodeWorkerInUse:
		t.w.Hit(fault.IDRefused)
	case e.Code == wire.CodeDeviceInUse:
		t.w.Hit(fault.GPURefused)
	case e.Code == wire.CodeBadRequest:
		t.w.Hit(fault.EpochRefused)
	}
}

// correctBeats believes an agent that has sent far fewer datagrams than were
// counted for it.
func (t *Twin) correctBeats(w *worker, m *wire.Register) {
	if m.Beats > 0 && int64(w.beat) > int64(m.Beats)+wire.BeatSkip {
		t.w.Hit(fault.BeatsForged)
		w.beat = m.Beats
	}
}

// repeatPushes tells a worker again which leases are asked back or must make room.
func (t *Twin) repeatPushes(w *worker) {
	for _, l := range t.of(w) {
		switch {
		case l.state == wire.StateAskedBack:
			t.revoke(l)
		case l.killed:
			t.tellPreempt(l, 0)
		case l.warned:
			t.tellPreempt(l, l.due-t.w.Now())
		}
	}
}

// reconcile makes the leases of a worker agree with its list.
func (t *Twin) reconcile(w *worker, m *wire.Register, fresh bool) {
	for _, r := range m.Leases {
		l := t.aliveOn(r.Lease, w)
		switch {
		case l == nil:
		case r.Outcome != wire.ReasonNone:
			t.outcome(l, r.Outcome, fresh)
			t.end(l, l.outcome(r.Outcome))
		default:
			l.listed = true
		}
	}
	for _, l := range t.of(w) {
		if !l.listed && (fresh || l.state == wire.StateBegun) {
			t.end(l, wire.ReasonLost)
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
func (t *Twin) heard(w *worker) {
	w.seen = t.w.Now()
	if w.presence != presenceOnline {
		t.setPresence(w, presenceOnline)
	}
	t.touch(w)
}

// due is when a silent worker becomes something worse.
func (t *Twin) due(w *worker) sched.Time { return max(w.seen+t.patience(w), w.spared) }

// patience is how long a worker may be silent before it is something worse.
func (t *Twin) patience(w *worker) sched.Time {
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
func (t *Twin) silences() {
	if t.mass.due && t.w.Now() >= t.mass.end {
		t.mass.due = false
		t.watchMass()
	}
	removedAt := sched.Time(-1)
	for {
		var w *worker
		for _, o := range t.workers {
			if o != nil && (w == nil || t.due(o) < t.due(w)) {
				w = o
			}
		}
		if w == nil || t.due(w) > t.w.Now() {
			return
		}
		t.touch(w)
		switch w.presence {
		case presenceOnline:
			t.w.Hit(fault.Suspicious)
			t.setPresence(w, presenceSuspicious)
		case presenceSuspicious:
			t.w.Hit(fault.Offline)
			t.setPresence(w, presenceOffline)
		default:
			if t.mass.on && t.w.Now() < t.mass.end {
				t.w.Hit(fault.Spared)
				w.spared = t.mass.end
				continue
			}
			t.w.Hit(fault.Forgotten)
			due := t.due(w)
			t.loose = t.loose || due == removedAt
			removedAt = due
			t.removeWorker(w)
		}
	}
}

// believe asks the real scheduler what is left of the placements on workers
// that speak HTTP.
func (t *Twin) believe() {
	for _, w := range t.workers {
		if w == nil || !w.http {
			continue
		}
		m, ok := t.w.Ask(&wire.GetWorker{ID: w.id}).(*wire.Worker)
		if !ok {
			t.w.Fail("the worker %s is not listed", w.id)
			return
		}
		w.external = m.Info.External
		for _, l := range t.of(w) {
			if !slices.ContainsFunc(m.Leases, func(o wire.LeaseInfo) bool { return o.Lease == l.id }) {
				t.end(l, wire.ReasonBelieved)
			}
		}
	}
}

// Beat reads a datagram that the real one has answered, or not.
func (t *Twin) Beat(m *wire.Beat, answered, connect bool) {
	w := t.find(string(m.Worker))
	switch {
	case w == nil || w.incarnation != m.Incarnation:
		t.w.Hit(fault.BeatUnknown)
		return
	case m.Seq <= w.beat:
		t.w.Hit(fault.BeatStale)
		if answered {
			t.w.Fail("I3: the datagram %d of %s is answered behind %d", m.Seq, w.id, w.beat)
		}
		return
	}
	w.beat, w.external = m.Seq, m.External
	t.heard(w)
	switch {
	case !connect && w.session == 0:
		t.w.Fail("%s has no connection and is not told to connect", w.id)
	case w.session == 0:
		t.w.Hit(fault.NoConnection)
	case connect:
		t.w.Hit(fault.Digest)
	}
}
