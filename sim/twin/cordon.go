package twin

import (
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// cordon is a worker that is out of service, known or not.
type cordon struct {
	own, drain bool
	drained    bool       // as it was listed
	deadline   sched.Time // 0: none
	passed     bool       // what ran then was preempted
}

// cordon follows a cordon, or its end.
func (t *Twin) cordon(m *wire.Cordon, answer wire.Message) {
	a, ok := answer.(*wire.Cordoned)
	if !ok {
		return
	}
	if changes := t.changes(m); a.Changed != changes {
		t.w.Fail("the cordon %+v is answered with %+v", m, a)
	} else if !changes {
		t.w.Hit(fault.CordonAgain)
		return
	}
	if !m.Own {
		t.reinstate(m.Worker)
	}
	if delete(t.cordons, m.Worker); m.On {
		c := &cordon{own: m.Own, drain: m.Drain}
		if m.DeadlineMS > 0 {
			c.deadline = t.w.Now() + sched.Time(m.DeadlineMS)
		}
		t.cordons[strings.Clone(m.Worker)] = c
	}
	if w := t.find(m.Worker); w != nil {
		t.touch(w)
	} else {
		t.w.Hit(fault.CordonGone)
	}
}

// changes reports whether a cordon, or its end, changes anything. That of an agent
// counts less than that of an operator.
func (t *Twin) changes(m *wire.Cordon) bool {
	old := t.cordons[m.Worker]
	switch {
	case !m.On:
		return old != nil && (!m.Own || old.own) || t.Quarantined(m.Worker) && !m.Own
	case old == nil || old.own && !m.Own:
		return true
	}
	return old.own == m.Own && m.Drain && (!old.drain || m.DeadlineMS > 0)
}

// endOwn ends the cordon of an agent that is gone, and reports whether it had one.
func (t *Twin) endOwn(w *worker) bool {
	c := t.cordons[w.id]
	if c == nil || !c.own {
		return false
	}
	delete(t.cordons, w.id)
	return true
}

// judgeDrain is the law that a worker is drained from when it has said that it has
// nothing until it has something.
func (t *Twin) judgeDrain(w *worker, i *wire.WorkerInfo) {
	c, is := t.cordons[w.id], slices.Contains(i.Flags, "drained")
	if (c != nil && c.drain) != (is || slices.Contains(i.Flags, "draining")) {
		t.w.Fail("%s is flagged %v, its cordon is %+v", w.id, i.Flags, c)
	}
	if c == nil || !c.drain {
		return
	}
	empty := i.Taken == 0 && i.External == 0
	says := w.presence == presenceOnline && (w.promised || w.http && w.seen == t.w.Now())
	if is != (empty && (c.drained || says)) {
		t.w.Fail("%s is flagged %v, and has %d leases and %d tasks", w.id, i.Flags, i.Taken, i.External)
	}
	if c.drained = is; is {
		t.w.Hit(fault.Drained)
	}
}
