package sim

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// killEvery is how often a worker is told to kill what must be over.
const killEvery = 10_000

// overdue predicts what is preempted because a drain has waited long enough.
func (t *twin) overdue() {
	for _, w := range t.workers {
		if w == nil {
			continue
		}
		c := t.cordons[w.id]
		if c == nil || c.deadline == 0 || c.passed || c.deadline > t.w.now {
			continue
		}
		c.passed = true
		for _, l := range t.of(w) {
			t.preempt(l)
		}
	}
	for _, c := range t.cordons {
		c.passed = c.passed || c.deadline != 0 && c.deadline <= t.w.now // of a worker that is gone
	}
}

// preempt wants the room of a lease back.
func (t *twin) preempt(l *twinLease) {
	if l.preempted || l.worker.http {
		return
	}
	l.preempted, l.wanted = true, true
	t.touch(l.worker)
	switch l.state {
	case wire.StateGranted:
		t.askBack(l)
	case wire.StateBegun:
		l.due = t.w.now + 1
	}
}

// begins notes that a lease has begun, perhaps where nothing should run any more.
func (t *twin) begins(l *twinLease) {
	if c := t.cordons[l.worker.id]; c != nil && c.deadline != 0 && c.deadline <= t.w.now {
		l.preempted = true
	}
	l.due = t.w.now + 1
}

// warn predicts that a worker is told of the grace, or to kill.
func (t *twin) warn(l *twinLease) {
	if l.warned {
		if !l.killed {
			t.w.counts[FaultKilled]++
		}
		l.killed, l.due = true, t.w.now+killEvery
		t.tellPreempt(l, 0)
		return
	}
	t.w.counts[FaultPreempted]++
	l.warned, l.due = true, t.w.now+max(t.cfg.PreemptGrace, 1)
	e := t.note("preempted", l.worker.id)
	e.Lease = l.id
	if c := t.cordons[l.worker.id]; c != nil {
		e.Reason, e.By = c.reason, c.by
	} else if x := t.claimant(l.worker); x != nil {
		e.Reason, e.By = "for "+x.describe(), x.client
	}
	t.inform(l, said{number: uint32(wire.NewsPreempted), ttl: uint32(t.cfg.PreemptGrace)})
	t.tellPreempt(l, t.cfg.PreemptGrace)
}

// tellPreempt predicts the push to a worker that is connected.
func (t *twin) tellPreempt(l *twinLease, grace sched.Time) {
	if l.worker.session != 0 {
		t.say(said{to: l.worker.session, kind: wire.KindPreempt, number: l.worker.handle, lease: l.id, ttl: uint32(max(grace, 0))})
	}
}

// makesRoom reports whether another task wants the room of a lease, or did.
func (t *twin) makesRoom(id wire.LeaseID) bool {
	l := t.alive(id)
	return l != nil && l.wanted
}
