package twin

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// batchState is what the twin knows of a batch while it places it.
type batchState struct {
	gang    bool
	taken   []*worker                 // a distinct gang: they have one of its tasks
	spreads map[string]map[string]int // by tag key: tasks by value
}

// tally counts what the leases of a worker take.
func (t *Twin) tally(w *worker) *offer.Tally {
	n := w.Kit.Tally()
	for _, l := range t.leases {
		if l.worker == w {
			n.Add(&l.takes)
		}
	}
	return n
}

// load is the dominant share of a worker.
func (t *Twin) load(w *worker) uint64 { return t.tally(w).Load(w.external) }

// choose returns the worker that a request gets, and the devices there.
func (t *Twin) choose(q *offer.Asked, b *batchState) (*worker, uint64, wire.Code) {
	code := wire.CodeInfeasible
	if t.takeable(q, b) {
		code = wire.CodeUnavailable
	}
	var best *worker
	if q.Prefer != nil {
		if best = t.search(q, b, true); best == nil && code == wire.CodeUnavailable {
			t.w.Hit(fault.NotPreferred)
		}
	}
	if best == nil {
		best = t.search(q, b, false)
	}
	if best == nil {
		return nil, 0, code
	}
	mask, _ := t.tally(best).Place(q.Resources, q.Exclusive)
	return best, mask, wire.CodeOK
}

// takeable reports whether a request is not infeasible: a worker could take it, or
// workers are still to come after the start.
func (t *Twin) takeable(q *offer.Asked, b *batchState) bool {
	if t.feasible(q, b) {
		return true
	}
	if t.learning {
		t.w.Hit(fault.Learning)
	}
	return t.learning
}

// feasible reports whether a worker could take a request if it were idle.
func (t *Twin) feasible(q *offer.Asked, b *batchState) bool {
	return slices.ContainsFunc(t.workers, func(w *worker) bool {
		return w != nil && q.Wants(w.id, &w.Kit) && !slices.Contains(b.taken, w) && !(q.Exclusive && w.http)
	})
}

// search returns the best worker that a request can have now.
func (t *Twin) search(q *offer.Asked, b *batchState, prefer bool) *worker {
	for {
		var best *worker
		for _, w := range t.workers {
			if w == nil || prefer && !q.Prefer.Holds(w.Tags) || !t.canHave(q, b, w) || t.queue.serving != nil && t.silent(w) {
				continue
			}
			if best == nil || t.order(q, b, w, best) < 0 {
				best = w
			}
		}
		if best == nil || !t.silent(best) {
			return best
		}
		t.setPresence(best, presenceSuspicious) // nobody had noticed its silence yet
		t.touch(best)
	}
}

// silent reports whether a worker should have spoken long ago.
func (t *Twin) silent(w *worker) bool { return t.w.Now() >= w.seen+t.patience(w) }

// noticed asks the real one which silent workers it has noticed when it looked
// for room for those who wait. It looks less often than its twin.
func (t *Twin) noticed() {
	some := false
	for _, w := range t.workers {
		if w == nil || w.http || w.presence != presenceOnline || !t.silent(w) {
			continue
		}
		if m, ok := t.w.Ask(&wire.GetWorker{ID: w.id}).(*wire.Worker); ok && m.Info.State == presenceSuspicious {
			t.setPresence(w, presenceSuspicious)
			t.touch(w)
			some = true
		}
	}
	if some {
		t.serve()
	}
}

// canHave reports whether a request could get a worker now.
func (t *Twin) canHave(q *offer.Asked, b *batchState, w *worker) bool {
	if w.presence != presenceOnline || !w.http && !w.promised || t.cordons[w.id] != nil || t.barred(w) || t.heldFromOthers(w) || slices.Contains(b.taken, w) || !q.Wants(w.id, &w.Kit) {
		return false
	}
	n := t.tally(w)
	_, ok := n.Place(q.Resources, q.Exclusive)
	load := n.Load(w.external)
	return ok && load < offer.LoadUnit && !(q.Exclusive && (load > 0 || w.http))
}

// order says which of two workers goes first. The one never given anything with
// the lowest number goes before the one least recently given; pack turns all of
// it round.
func (t *Twin) order(q *offer.Asked, b *batchState, v, w *worker) int {
	spread := 0
	if q.Policy == "spread" {
		counts := b.spreads[q.Spread]
		spread = cmp.Compare(counts[v.value(q.Spread)], counts[w.value(q.Spread)])
	}
	least := cmp.Or(cmp.Compare(t.load(v), t.load(w)), cmp.Compare(v.given, w.given), cmp.Compare(v.number, w.number))
	if q.Policy == "pack" {
		least = -least
	}
	return cmp.Or(spread, least)
}

// value is the worker's value of a tag key: the first of several, "" of none.
func (w *worker) value(key string) string {
	var values []string
	for _, tag := range w.Tags {
		if v, ok := strings.CutPrefix(tag, key+"="); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return ""
	}
	return slices.Min(values)
}

// note counts a task that was placed.
func (b *batchState) note(q *offer.Asked, w *worker, distinct bool) {
	if distinct {
		b.taken = append(b.taken, w)
	}
	if q.Policy == "spread" {
		if b.spreads[q.Spread] == nil {
			b.spreads[q.Spread] = map[string]int{}
		}
		b.spreads[q.Spread][w.value(q.Spread)]++
	}
}

// keyOf returns the scope and the key of a request; "" is no key.
func (t *Twin) keyOf(from sched.Session, m *wire.Schedule) (client, key string) {
	switch {
	case len(m.Key) > 0:
		return "(http)", string(m.Key)
	case t.clients[from] == "":
		return "", ""
	}
	return t.clients[from], string(m.Task)
}

// schedule predicts the answer to a request for a place. It returns when the
// chosen worker was given something before, too.
func (t *Twin) schedule(to said, m *wire.Schedule, b *batchState, distinct bool) (answer said, given int) {
	q := t.readAsked(m, b != nil)
	if q.Bad {
		to.kind, to.code = wire.KindError, wire.CodeBadRequest
		return to, 0
	}
	if b == nil {
		b = &batchState{}
	}
	client, key := t.keyOf(to.to, m)
	content := q.Content(m)
	if l := t.keyed(client, key); l != nil {
		return t.repeat(l, to, content), 0
	}
	if t.overLimit(string(m.Owner), 1) {
		return t.refusedOwner(to, &q, b), 0
	}
	first := t.first()
	w, mask, code := t.choose(&q, b)
	if w == nil {
		to.kind, to.code = wire.KindError, code
		return to, 0
	}
	if given = w.given; q.Exclusive {
		t.w.Hit(fault.Exclusive)
	}
	l := &lease{worker: w, client: client, key: key, task: string(m.Task), content: content, state: wire.StateGranted, ttl: sched.Time(m.TTLMS),
		owner: string(m.Owner), group: string(m.Group), priority: m.Priority, granted: t.w.Now(), takes: offer.Share{Resources: q.Resources, Devices: mask, Exclusive: q.Exclusive}, onPreempt: m.OnPreempt}
	if m.OnPreempt == wire.OnPreemptRequeue {
		l.request = t.keepRequest(m)
	}
	t.grant(l, &to)
	b.note(&q, w, distinct)
	if !b.gang {
		t.passed(w, first)
	}
	return t.place(l, to), given
}

// keepRequest keeps what a task asked for that may be requeued.
func (t *Twin) keepRequest(m *wire.Schedule) *requeueRequest {
	r := &requeueRequest{task: copyTask(m), arrived: t.w.Now()}
	if x := t.queue.serving; x != nil {
		r.number, r.arrived = x.number, x.arrived
	} else {
		t.queue.last++
		r.number = t.queue.last
	}
	return r
}

// grant gives a new lease its room.
func (t *Twin) grant(l *lease, to *said) {
	w := l.worker
	if l.ttl == 0 {
		l.ttl = t.cfg.StartTTL
	}
	l.deadline = t.w.Now() + l.ttl
	l.first, l.load = w.given == 0, t.load(w)
	t.gives++
	w.given = t.gives
	to.made = l
	if w.http {
		l.onPreempt, l.request = wire.OnPreemptNever, nil // nobody could tell it to make room
		l.state, l.ttl, to.flags = wire.StateAssumed, httpTTL, wire.PlacedBestEffort
	}
	t.leases = append(t.leases, l)
	t.probes(l)
	t.touch(w)
}

// readAsked reads a request; batch says that it is one of a batch.
func (t *Twin) readAsked(m *wire.Schedule, batch bool) offer.Asked {
	return offer.Read(m, batch, t.w.Formula)
}
