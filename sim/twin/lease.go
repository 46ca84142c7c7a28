package twin

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// httpTTL is how long the room of a placement on an HTTP worker is taken, in
// milliseconds, unless the worker reports it before.
const httpTTL = 11_000

// place describes a lease.
func (t *Twin) place(l *lease, to said) said {
	to.kind, to.worker, to.lease = wire.KindPlaced, l.worker.id, l.id
	to.incarnation, to.number, to.devices = l.worker.incarnation, uint32(l.ttl), l.takes.Devices
	return to
}

// repeat predicts the answer to a task that holds a lease.
func (t *Twin) repeat(l *lease, to said, content string) said {
	if l.content != "" && l.content != content {
		to.kind, to.code = wire.KindError, wire.CodeConflict
		return to
	}
	to.flags = wire.PlacedRepeat
	switch l.state {
	case wire.StateGranted:
		l.deadline = t.w.Now() + l.ttl
	case wire.StateBegun:
		to.flags |= wire.PlacedBegun
	case wire.StateAskedBack:
		to.flags |= wire.PlacedAskedBack
	case wire.StateAssumed:
		to.flags |= wire.PlacedBestEffort
	}
	return t.place(l, to)
}

// keyed returns the live lease of a key.
func (t *Twin) keyed(client, key string) *lease {
	if key == "" {
		return nil
	}
	for _, l := range t.leases {
		if l.client == client && l.key == key {
			return l
		}
	}
	return nil
}

// alive returns a live lease by its id. Of several the one that was granted
// here goes before those that workers claim, and of these the first.
func (t *Twin) alive(id wire.LeaseID) *lease {
	var claimed *lease
	for _, l := range t.leases {
		switch {
		case l.id != id || l.rival:
		case !l.adopted:
			return l
		default:
			claimed = l
		}
	}
	return claimed
}

// aliveOn returns a live lease as one worker claims it.
func (t *Twin) aliveOn(id wire.LeaseID, w *worker) *lease {
	for _, l := range t.of(w) {
		if l.id == id {
			return l
		}
	}
	return nil
}

// renew keeps leases that have not begun.
func (t *Twin) renew(m *wire.Renew) {
	for _, id := range m.Leases {
		if l := t.alive(id); l != nil && l.state == wire.StateGranted {
			l.deadline = t.w.Now() + l.ttl
		}
	}
}

// release ends a lease that nobody can have handed over; else its worker decides.
func (t *Twin) release(m *wire.Release) {
	l := t.alive(m.Lease)
	switch {
	case l == nil || l.state == wire.StateBegun:
	case m.Handed && l.state == wire.StateGranted:
		l.request = nil
		t.askBack(l)
	case m.Handed && l.state == wire.StateAskedBack:
		l.request = nil
	default:
		t.end(l, wire.ReasonReleased)
	}
}

// askBack asks the worker of a lease, which decides.
func (t *Twin) askBack(l *lease) {
	l.state = wire.StateAskedBack
	t.touch(l.worker)
	t.revoke(l)
}

// revoke predicts the push to a worker that is connected.
func (t *Twin) revoke(l *lease) {
	if l.worker.session != 0 {
		t.say(said{to: l.worker.session, kind: wire.KindRevoke, number: l.worker.handle, lease: l.id})
	}
}

// adopt believes that the task of a lease runs on w.
func (t *Twin) adopt(w *worker, r *wire.Record) {
	t.touch(w)
	if l := t.aliveOn(r.Lease, w); l != nil {
		if l.state != wire.StateBegun {
			l.state = wire.StateBegun
			t.begins(l)
		}
		return
	}
	l := &lease{id: r.Lease, worker: w, client: string(r.Client), task: string(r.Task), state: wire.StateBegun, adopted: true,
		owner: string(r.Owner), group: string(r.Group), priority: r.Priority, granted: t.w.Now(),
		takes: offer.Share{Resources: offer.ReadResources(r.Resources), Devices: r.Devices, Exclusive: r.Exclusive}, onPreempt: r.OnPreempt}
	l.rival = t.alive(r.Lease) != nil
	l.orphan = l.rival || r.Lease.Instance == t.cfg.Instance
	if !l.orphan && l.client != "" && t.keyed(l.client, l.task) == nil {
		l.key = l.task
	}
	t.leases = append(t.leases, l)
	t.begins(l)
}

// end ends a lease. An orphan's end was counted and told before.
func (t *Twin) end(l *lease, reason wire.Reason) {
	if !l.orphan {
		t.ends[reason]++
	}
	t.requeueOr(l, reason)
	t.touch(l.worker)
	t.unprobe(l)
	t.leases = slices.DeleteFunc(t.leases, func(o *lease) bool { return o == l })
}

// outcome is the reason for which a lease ends that its worker says ended so.
func (l *lease) outcome(reported wire.Reason) wire.Reason {
	if l.warned && (reported == wire.ReasonFailed || reported == wire.ReasonLost) {
		return wire.ReasonPreempted
	}
	return reported
}

// of returns the leases of a worker, the oldest first.
func (t *Twin) of(w *worker) []*lease {
	var out []*lease
	for _, l := range t.leases {
		if l.worker == w {
			out = append(out, l)
		}
	}
	return out
}

// owned returns the client that is listed for a lease.
func (l *lease) owned() string {
	if l.client == "(http)" {
		return ""
	}
	return l.client
}
