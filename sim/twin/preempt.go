package twin

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// killEvery is how often a worker is told to kill what must be over.
const killEvery = 10_000

// overdue predicts what is preempted because a drain has waited long enough.
func (t *Twin) overdue() {
	for _, w := range t.workers {
		if w == nil {
			continue
		}
		c := t.cordons[w.id]
		if c == nil || c.deadline == 0 || c.passed || c.deadline > t.w.Now() {
			continue
		}
		c.passed = true
		for _, l := range t.of(w) {
			t.preempt(l)
		}
	}
	for _, c := range t.cordons {
		c.passed = c.passed || c.deadline != 0 && c.deadline <= t.w.Now() // of a worker that is gone
	}
}

// preempt wants the room of a lease back.
func (t *Twin) preempt(l *lease) {
	if l.preempted || l.worker.http {
		return
	}
	l.preempted, l.wanted = true, true
	t.touch(l.worker)
	switch l.state {
	case wire.StateGranted:
		t.askBack(l)
	case wire.StateBegun:
		l.due = t.w.Now() + 1
	}
}

// begins notes that a lease has begun, perhaps where nothing should run any more.
func (t *Twin) begins(l *lease) {
	if c := t.cordons[l.worker.id]; c != nil && c.deadline != 0 && c.deadline <= t.w.Now() {
		l.preempted = true
	}
	l.due = t.w.Now() + 1
}

// warn predicts that a worker is told of the grace, or to kill.
func (t *Twin) warn(l *lease) {
	if l.warned {
		if !l.killed {
			t.w.Hit(fault.Killed)
		}
		l.killed, l.due = true, t.w.Now()+killEvery
		t.tellPreempt(l, 0)
		return
	}
	t.w.Hit(fault.Preempted)
	l.warned, l.due = true, t.w.Now()+max(t.cfg.PreemptGrace, 1)
	t.inform(l, said{number: uint32(wire.NewsPreempted), ttl: uint32(t.cfg.PreemptGrace)})
	t.tellPreempt(l, t.cfg.PreemptGrace)
}

// tellPreempt predicts the push to a worker that is connected.
func (t *Twin) tellPreempt(l *lease, grace sched.Time) {
	if l.worker.session != 0 {
		t.say(said{to: l.worker.session, kind: wire.KindPreempt, number: l.worker.handle, lease: l.id, ttl: uint32(max(grace, 0))})
	}
}

// MakesRoom reports whether another task wants the room of a lease, or did.
func (t *Twin) MakesRoom(id wire.LeaseID) bool {
	l := t.alive(id)
	return l != nil && l.wanted
}
