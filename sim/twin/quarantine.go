package twin

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// outcomesKept is how many outcomes of a worker count.
const outcomesKept = 15

// taskEnd is how a task on a worker ended.
type taskEnd struct {
	failed bool
	tenant string // whose task it was
}

// tenant counts, for an owner or group with a failure among the outcomes of
// some worker, the workers on which it failed anew and its successes.
type tenant struct{ failed, oks int }

// age halves both counts when they are of many outcomes.
func (g *tenant) age() {
	if g.failed+g.oks > 64 {
		g.failed, g.oks = g.failed/2, g.oks/2
	}
}

// How far a quarantine is.
const (
	phaseEjected = "quarantined"
	phaseOnProbe = "probing"
)

// outlier is a worker that failed tasks, or was kept out for it.
type outlier struct {
	phase    string // "": in service
	probe    *lease
	backoff  sched.Time // 0: it was never kept out
	forgiven sched.Time
	timer    sched.Time // 0: none
}

// quarantines is what the twin knows of workers that fail.
type quarantines struct {
	outliers map[string]*outlier // by worker id
	tenants  map[string]*tenant
	times    uint64
}

func newQuarantines() quarantines {
	return quarantines{outliers: map[string]*outlier{}, tenants: map[string]*tenant{}}
}

// tenant is whose task a lease is.
func (l *lease) tenant() string {
	if l.owner == "" && l.group == "" {
		return "client " + l.owned()
	}
	return fmt.Sprintf("%q %q", l.owner, l.group)
}

// failed lists the failures among the outcomes of a worker.
func (w *worker) failed() (list []taskEnd) {
	for _, o := range w.recent {
		if o.failed {
			list = append(list, o)
		}
	}
	return list
}

// failsOn reports whether a failure of a tenant is among the outcomes of a worker.
func (w *worker) failsOn(tenant string) bool {
	return slices.ContainsFunc(w.recent, func(o taskEnd) bool { return o.failed && o.tenant == tenant })
}

// says reports whether an outcome says something of the worker.
func (l *lease) says(outcome wire.Reason, fresh bool) bool {
	switch {
	case l.preempted || l.orphan:
		return false
	case outcome == wire.ReasonRefused:
		return l.state == wire.StateBegun
	case outcome == wire.ReasonLost:
		return !fresh && !l.carried
	}
	return outcome == wire.ReasonOK || outcome == wire.ReasonFailed
}

// outcome reads what a worker reports of a task, before its lease ends.
func (t *Twin) outcome(l *lease, outcome wire.Reason, fresh bool) {
	if !t.cfg.Quarantine || !l.says(outcome, fresh) {
		return
	}
	q, w := &t.quarantines, l.worker
	p := q.outliers[w.id]
	if p != nil && p.phase != "" {
		if p.probe == l {
			t.probed(w, p, outcome)
		}
		return
	}
	t.touch(w)
	if len(w.recent) == outcomesKept {
		w.recent = slices.Delete(w.recent, 0, 1)
		t.dropTenants()
	}
	o := taskEnd{outcome != wire.ReasonOK, l.tenant()}
	switch g := q.tenants[o.tenant]; {
	case !o.failed && g != nil:
		g.oks++
		g.age()
	case o.failed && !w.failsOn(o.tenant):
		if g == nil {
			g = &tenant{}
			q.tenants[o.tenant] = g
		}
		g.failed++
		g.age()
	}
	w.recent = append(w.recent, o)
	if p == nil && o.failed {
		p = &outlier{}
		q.outliers[w.id] = p
	}
	switch {
	case o.failed:
		p.timer = max(t.w.Now()+t.cfg.QuarantineMemory, p.forgiven)
		t.consider(w)
	case p != nil && p.backoff == 0 && len(w.failed()) == 0:
		delete(q.outliers, w.id)
	}
}

// dropTenants forgets the owners and groups that have no failure any more.
func (t *Twin) dropTenants() {
	maps.DeleteFunc(t.quarantines.tenants, func(tenant string, _ *tenant) bool { return t.workersOf(tenant) == 0 })
}

// workersOf counts the workers with a failure of a tenant.
func (t *Twin) workersOf(tenant string) (n int) {
	for _, w := range t.workers {
		if w != nil && w.failsOn(tenant) {
			n++
		}
	}
	return n
}

// failsElsewhere reports whether a tenant, not a worker, is to blame.
func (t *Twin) failsElsewhere(tenant string) bool {
	g := t.quarantines.tenants[tenant]
	return t.workersOf(tenant)-1 >= 2 && g.failed > g.oks
}

// consider predicts whether a worker is kept out.
func (t *Twin) consider(w *worker) {
	failed, tenants := 0, map[string]bool{}
	ended := len(w.recent)
	for _, o := range w.failed() {
		if t.failsElsewhere(o.tenant) {
			ended--
			t.w.Hit(fault.FailsAnywhere)
			continue
		}
		failed++
		tenants[o.tenant] = true
	}
	others, othersFailed, online := 0, 0, 0
	for _, o := range t.workers {
		if o != nil && o != w {
			others, othersFailed = others+len(o.recent), othersFailed+len(o.failed())
		}
		if o != nil && o.presence == presenceOnline {
			online++
		}
	}
	for _, l := range t.leases {
		if l.worker != w && l.state == wire.StateBegun {
			others++
		}
	}
	went, wentHere, out := others-othersFailed, ended-failed, t.out()
	switch {
	case failed < t.cfg.QuarantineFailures:
	case t.cordons[w.id] != nil:
		t.w.Hit(fault.FailsCordoned)
	case t.mass.on:
		t.w.Hit(fault.FailsInMass)
	case len(tenants) < t.cfg.QuarantineOwners:
		t.w.Hit(fault.FewOwners)
	case others < t.cfg.QuarantineFailures || 2*went < others || 2*wentHere*others >= went*ended:
		t.w.Hit(fault.FleetFails)
	case online < 2 || out > 0 && 100*(out+1) > t.cfg.QuarantineShare*online:
		t.w.Hit(fault.TooManyOut)
	default:
		t.eject(w)
	}
}

// out counts the workers that are kept out or on probe.
func (t *Twin) out() (n int) {
	for _, w := range t.workers {
		if w != nil && t.Quarantined(w.id) {
			n++
		}
	}
	return n
}

// Quarantined reports whether a worker is kept out or on probe.
func (t *Twin) Quarantined(id string) bool {
	p := t.quarantines.outliers[id]
	return p != nil && p.phase != ""
}

// barred reports whether nothing may come to a worker.
func (t *Twin) barred(w *worker) bool {
	p := t.quarantines.outliers[w.id]
	return p != nil && (p.phase == phaseEjected || p.phase == phaseOnProbe && p.probe != nil)
}

// onProbe reports whether a worker is on probe.
func (t *Twin) onProbe(w *worker) bool {
	p := t.quarantines.outliers[w.id]
	return p != nil && p.phase == phaseOnProbe
}

// eject predicts that a worker gets nothing for a while.
func (t *Twin) eject(w *worker) {
	p := t.quarantines.outliers[w.id]
	switch {
	case p.phase == "" && (p.backoff == 0 || t.w.Now() >= p.forgiven):
		p.backoff = t.cfg.QuarantineFirst
	default:
		t.w.Hit(fault.KeptOutAgain)
		p.backoff = min(2*p.backoff, t.cfg.QuarantineMost)
	}
	t.w.Hit(fault.KeptOut)
	t.quarantines.times++
	p.phase, p.probe = phaseEjected, nil
	p.timer = t.w.Now() + p.backoff
	t.wipe(w)
}

// wipe forgets the outcomes of a worker.
func (t *Twin) wipe(w *worker) {
	w.recent = nil
	t.dropTenants()
	t.touch(w)
}

// quarantinesDue predicts what becomes of outliers with time.
func (t *Twin) quarantinesDue() {
	for _, id := range slices.Sorted(maps.Keys(t.quarantines.outliers)) {
		p, w := t.quarantines.outliers[id], t.find(id)
		switch {
		case p.timer == 0 || p.timer > t.w.Now():
		case p.phase == phaseEjected && w != nil:
			p.phase, p.timer = phaseOnProbe, 0
			t.touch(w)
		case p.phase == phaseEjected:
			p.phase, p.timer = phaseOnProbe, t.w.Now()+10*p.backoff
		case w != nil:
			t.w.Hit(fault.OutcomesForgotten)
			delete(t.quarantines.outliers, id)
			t.wipe(w)
		default:
			t.w.Hit(fault.GoneForgotten)
			delete(t.quarantines.outliers, id)
		}
	}
}

// probes notes a grant: it may be the one task of a worker that is on probe.
func (t *Twin) probes(l *lease) {
	if p := t.quarantines.outliers[l.worker.id]; p != nil && p.phase == phaseOnProbe {
		t.w.Hit(fault.Probed)
		p.probe = l
	}
}

// probed predicts what follows from the end of a probe.
func (t *Twin) probed(w *worker, p *outlier, outcome wire.Reason) {
	t.touch(w)
	if outcome != wire.ReasonOK {
		t.eject(w)
		return
	}
	t.w.Hit(fault.Recovered)
	p.phase, p.probe, p.forgiven = "", nil, t.w.Now()+10*p.backoff
	p.timer = p.forgiven
}

// unprobe notes that a lease is over or undone: if it was a probe, another may
// come.
func (t *Twin) unprobe(l *lease) {
	if p := t.quarantines.outliers[l.worker.id]; p != nil && p.probe == l {
		t.w.Hit(fault.ProbeSilent)
		p.probe = nil
		t.touch(l.worker)
	}
}

// returns notes that a worker has become known.
func (t *Twin) returns(w *worker) {
	p := t.quarantines.outliers[w.id]
	if p == nil || p.phase == "" {
		return
	}
	t.w.Hit(fault.KeptOutKept)
	if p.phase == phaseOnProbe {
		p.timer = 0
	}
}

// departs notes that a worker is removed.
func (t *Twin) departs(w *worker) {
	t.wipe(w)
	switch p := t.quarantines.outliers[w.id]; {
	case p == nil:
	case p.phase == phaseOnProbe:
		p.timer = t.w.Now() + 10*p.backoff
	case p.backoff == 0:
		delete(t.quarantines.outliers, w.id)
	}
}

// reinstate is the word of an operator.
func (t *Twin) reinstate(id string) {
	if t.Quarantined(id) {
		t.w.Hit(fault.Absolved)
	}
	delete(t.quarantines.outliers, id)
	if w := t.find(id); w != nil {
		t.wipe(w)
	}
}

// carry notes that the leases of a worker are those of an earlier incarnation.
func (t *Twin) carry(w *worker, fresh bool) {
	for _, l := range t.of(w) {
		l.carried = l.carried || fresh
	}
}

// judgeQuarantines compares the counts, and when the core wants its next pulse.
func (t *Twin) judgeQuarantines(s *wire.Stats, next sched.Time) {
	if n, out := s.Counters["quarantines"], s.Counters["quarantined"]; n != t.quarantines.times || out != uint64(t.out()) {
		t.w.Fail("%d quarantines, of which %d go on; the twin counts %d, %d", n, out, t.quarantines.times, t.out())
	}
	for id, p := range t.quarantines.outliers {
		if p.timer != 0 && p.timer < next {
			t.w.Fail("the core wants its next pulse at %d, %s is looked at again at %d", next, id, p.timer)
		}
	}
}
