package sim

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// twinCordon is a worker that is out of service, known or not.
type twinCordon struct {
	reason, by string
	since      sched.Time
	own        bool // the agent itself drains
	drain      bool
	drained    bool
	deadline   sched.Time // 0: none
	passed     bool       // what ran then was preempted
}

// cordon predicts the answer to a cordon, or to its end.
func (t *twin) cordon(s *twinSession, to said, m *wire.Cordon) {
	w, old, quarantined := t.find(m.Worker), t.cordons[m.Worker], t.quarantined(m.Worker)
	switch {
	case m.Own && (w == nil || w.session != to.to):
		to.kind, to.code = wire.KindError, wire.CodeNotRegistered
		t.say(to)
		return
	case w == nil && (m.On || old == nil && !quarantined):
		to.kind, to.code = wire.KindError, wire.CodeNotFound
		t.say(to)
		return
	}
	c := &twinCordon{reason: m.Reason, by: m.By, since: t.w.now, own: m.Own, drain: m.Drain}
	if m.DeadlineMS > 0 {
		c.deadline = t.w.now + sched.Time(m.DeadlineMS)
	}
	switch {
	case c.by == "" && m.Own:
		c.by = m.Worker
	case c.by == "":
		c.by = s.client
	}
	to.kind = wire.KindCordoned
	switch {
	case !m.On:
		to.changed = old != nil && (!m.Own || old.own) || quarantined && !m.Own
	case old == nil, old.own && !m.Own:
		to.changed = true
	case old.own == m.Own:
		to.changed = m.Drain && (!old.drain || m.DeadlineMS > 0)
	}
	t.say(to)
	if !to.changed {
		t.w.counts[FaultCordonAgain]++
		return
	}
	if !m.Own {
		t.absolve(m.Worker)
	}
	what := map[bool]string{true: "draining", false: "cordoned"}[m.Drain]
	if t.cordons[m.Worker] = c; !m.On {
		what = "uncordoned"
		delete(t.cordons, m.Worker)
	}
	e := t.note(what, m.Worker)
	e.Reason, e.By = c.reason, c.by
	if w == nil {
		t.w.counts[FaultCordonGone]++
		return
	}
	t.touch(w)
}

// settleDrains predicts which workers are said to be empty. Of those that speak
// HTTP the twin cannot tell when: judgeDrain looks at them.
func (t *twin) settleDrains() {
	for _, w := range t.workers {
		if w == nil || w.http {
			continue
		}
		c := t.cordons[w.id]
		switch {
		case c == nil || !c.drain:
		case w.external > 0 || len(t.of(w)) > 0:
			c.drained = false
		case !c.drained && w.promised && w.presence == presenceOnline:
			c.drained = true
			t.w.counts[FaultDrained]++
			t.note("drained", w.id)
		}
	}
}

// judgeDrain looks at what is said of a worker that is out of service and
// speaks HTTP: it is drained only after a heartbeat, and while it has nothing.
func (t *twin) judgeDrain(w *twinWorker, c *twinCordon, i *wire.WorkerInfo) {
	drained := slices.Contains(i.Flags, "drained")
	switch {
	case c.drain != (drained || slices.Contains(i.Flags, "draining")):
		t.w.fail("%s is flagged %v, its cordon is %+v", w.id, i.Flags, c)
	case drained && (i.Taken > 0 || i.External > 0 || w.seen < c.since):
		t.w.fail("%s is drained, and has %d leases and %d tasks", w.id, i.Taken, i.External)
	case !drained && c.drain && i.Taken == 0 && i.External == 0 && w.seen == t.w.now && w.presence == presenceOnline && !w.removed:
		t.w.fail("%s says that it is empty and is not drained", w.id)
	}
}

// endOwn ends the cordon of an agent that is gone. It reports whether there was
// one.
func (t *twin) endOwn(w *twinWorker) bool {
	c := t.cordons[w.id]
	if c == nil || !c.own {
		return false
	}
	delete(t.cordons, w.id)
	return true
}

// flags is what is listed of a worker that is out of service.
func (c *twinCordon) flags() []string {
	switch {
	case c.drained:
		return []string{"cordoned", "drained"}
	case c.drain:
		return []string{"cordoned", "draining"}
	}
	return []string{"cordoned"}
}
