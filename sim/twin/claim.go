package twin

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// When waiters look for victims, and how long they wait for them, in
// milliseconds.
const (
	seekEvery     = 1_000
	seekGap       = 50
	claimPatience = 10_000
)

// seeking counts the waiters that preempt and have no victims.
func (q *waitQueue) seeking() (n int) {
	for _, x := range q.waiters {
		if x.preempt && x.claim == nil {
			n++
		}
	}
	return n
}

// seekSoon has waiters look for victims soon, because one more of them, which is
// not counted yet, has none.
func (t *Twin) seekSoon() {
	q := &t.queue
	if q.seeking() == 0 {
		q.seekAt = sched.Never
	}
	q.seekAt = min(q.seekAt, max(t.w.Now(), q.soughtAt+seekGap))
}

// seek predicts which tasks must make room for those that wait and preempt.
func (t *Twin) seek() {
	q := &t.queue
	if q.seeking() == 0 || q.seekAt > t.w.Now() {
		return
	}
	q.soughtAt, q.seekAt = t.w.Now(), t.w.Now()+seekEvery
	next := t.inOrder()
	line := func(x *waiter) int {
		return slices.IndexFunc(next, func(o *waiter) bool {
			return o.priority == x.priority && o.owner == x.owner && o.need == x.need
		})
	}
	all := slices.Clone(q.waiters)
	slices.SortStableFunc(all, func(a, b *waiter) int { return cmp.Compare(line(a), line(b)) })
	for _, x := range all {
		if x.preempt && x.claim == nil && !t.overLimit(x.owner, 1+t.claimed(x.owner)) {
			t.claim(x)
		}
	}
	t.serve()
}

// claimed counts the waiters of an owner that have victims.
func (t *Twin) claimed(owner string) (n int) {
	for _, x := range t.queue.waiters {
		if x.claim != nil && x.owner == owner {
			n++
		}
	}
	return n
}

// claim has the least valuable tasks make room for a waiter, if there are such.
func (t *Twin) claim(x *waiter) {
	var best *victimPlan
	for _, w := range t.workers {
		if p := t.plan(x, w); p != nil && (best == nil || p.compare(best) < 0) {
			best = p
		}
	}
	if best == nil {
		return
	}
	if t.queue.holder == x {
		t.letGo()
	}
	t.w.Hit(fault.Claimed)
	x.claim, x.until = best.worker, t.w.Now()+max(t.cfg.PreemptGrace, 1)+claimPatience
	t.touch(best.worker)
	for _, l := range best.victims {
		t.preempt(l)
	}
}

// victimPlan is the tasks that would make room on a worker.
type victimPlan struct {
	worker  *worker
	victims []*lease
	highest int64
	load    uint64
}

func (p *victimPlan) compare(o *victimPlan) int {
	return cmp.Or(cmp.Compare(p.highest, o.highest), cmp.Compare(len(p.victims), len(o.victims)), cmp.Compare(p.load, o.load))
}

// plan finds the tasks on a worker that would make room for a waiter; nil if
// they cannot.
func (t *Twin) plan(x *waiter, w *worker) *victimPlan {
	if w == nil || !t.usable(w) || t.onProbe(w) || w.http || t.claimant(w) != nil || slices.Contains(t.queue.held, w) && t.queue.holder != x {
		return nil
	}
	q := t.readAsked(&x.tasks[0], true)
	if !q.Wants(w.id, &w.Kit) || !slices.ContainsFunc(t.of(w), func(l *lease) bool { return l.preemptible() }) {
		return nil
	}
	gone := map[*lease]bool{}
	var may []*lease
	for _, l := range t.of(w) {
		switch {
		case l.preempted && !l.killed:
			gone[l] = true
		case !l.preempted && l.preemptible() && l.priority < x.priority && (l.state == wire.StateGranted || l.state == wire.StateBegun):
			may = append(may, l)
		}
	}
	slices.Reverse(may) // the youngest first
	slices.SortStableFunc(may, func(a, b *lease) int { return cmp.Compare(a.priority, b.priority) })
	var victims []*lease
	for !t.fitsWithout(&q, w, gone) {
		if len(may) == 0 {
			return nil
		}
		victims, may = append(victims, may[0]), may[1:]
		gone[victims[len(victims)-1]] = true
	}
	for i := len(victims) - 1; i >= 0; i-- {
		gone[victims[i]] = false
		if t.fitsWithout(&q, w, gone) {
			t.w.Hit(fault.NotNeeded)
			victims = slices.Delete(victims, i, i+1)
			continue
		}
		gone[victims[i]] = true
	}
	p := &victimPlan{worker: w, victims: victims, highest: math.MinInt64, load: t.load(w)}
	for _, l := range victims {
		p.highest = max(p.highest, int64(l.priority))
	}
	return p
}

// fitsWithout reports whether a request has room on a worker without some of
// its leases.
func (t *Twin) fitsWithout(q *offer.Asked, w *worker, gone map[*lease]bool) bool {
	n := w.Kit.Tally()
	for _, l := range t.of(w) {
		if !gone[l] {
			n.Add(&l.takes)
		}
	}
	_, ok := n.Place(q.Resources, q.Exclusive)
	load := n.Load(w.external)
	return ok && load < offer.LoadUnit && !(q.Exclusive && load > 0)
}

// preemptible reports whether a task of a higher priority may take the room of a
// lease.
func (l *lease) preemptible() bool {
	switch l.onPreempt {
	case wire.OnPreemptDefault:
		return l.priority < 0
	case wire.OnPreemptNever:
		return false
	}
	return true
}

// claimant is the waiter that a worker is held for because tasks there make
// room.
func (t *Twin) claimant(w *worker) *waiter {
	for _, x := range t.queue.waiters {
		if x.claim == w {
			return x
		}
	}
	return nil
}

// keepClaims gives up hopeless claims, and reports whether room came.
func (t *Twin) keepClaims() (room bool) {
	for _, x := range slices.Clone(t.queue.waiters) {
		if x.claim == nil {
			continue
		}
		making := slices.ContainsFunc(t.of(x.claim), func(l *lease) bool { return l.preempted })
		if x.until <= t.w.Now() || !t.usable(x.claim) || !making || t.overLimit(x.owner, 1) {
			t.w.Hit(fault.ChosenAgain)
			t.dropClaim(x)
			room = true
		}
	}
	return room
}

// dropClaim gives up a claim. Victims that do not know it yet go on.
func (t *Twin) dropClaim(x *waiter) {
	w := x.claim
	if slices.Contains(t.queue.waiters, x) {
		t.seekSoon()
	}
	x.claim = nil
	t.touch(w)
	if c := t.cordons[w.id]; c != nil && c.deadline != 0 && c.deadline <= t.w.Now() {
		return
	}
	for _, l := range t.of(w) {
		if l.preempted && !l.warned {
			t.w.Hit(fault.Unpreempted)
			l.preempted = false
		}
	}
}

// serveClaimant places the first waiter of a priority for which tasks have made
// room.
func (t *Twin) serveClaimant(priority int32) bool {
	var all []*waiter
	for _, x := range t.queue.waiters {
		if x.claim != nil && x.priority == priority {
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(a, b *waiter) int { return cmp.Compare(a.until, b.until) })
	for _, x := range all {
		if q := t.readAsked(&x.tasks[0], true); t.fitsWithout(&q, x.claim, nil) && t.usable(x.claim) && t.give(x) {
			return true
		}
	}
	return false
}

// request is what a task asked for that may be requeued, and its place among
// those that wait.
type requeueRequest struct {
	task    wire.Schedule
	number  int
	arrived sched.Time
}

// requeueOr predicts whether the task of a lease that ends waits again, and
// what its client is told.
func (t *Twin) requeueOr(l *lease, reason wire.Reason) {
	if l.onPreempt != wire.OnPreemptRequeue {
		return
	}
	news, to := wire.NewsOver, t.latest[l.client]
	ended := reason == wire.ReasonPreempted || reason == wire.ReasonRevoked || reason == wire.ReasonRefused || reason == wire.ReasonLost
	if r := l.request; r != nil && l.preempted && ended && to != 0 {
		t.w.Hit(fault.Requeued)
		news = wire.NewsRequeued
		x := t.newWaiter(said{to: to}, []wire.Schedule{r.task}, false, false, -1)
		x.over, x.arrived, x.number, x.mute = t.w.Now()+wire.MaxWait, r.arrived, r.number, true
		t.enqueue(x)
	}
	t.inform(l, said{number: uint32(news), reason: reason})
}

// inform predicts that the client of a lease is told of it, when this event has
// been applied.
func (t *Twin) inform(l *lease, s said) {
	if s.to = t.latest[l.client]; s.to != 0 {
		s.kind, s.lease = wire.KindNotice, l.id
		t.news = append(t.news, s)
	}
}

// meet learns the ids of leases that were granted without an answer.
func (t *Twin) meet() {
	for _, l := range t.unmet {
		id, ok := t.grantedOn(l, l.worker.id)
		for i := 0; !ok && t.loose && i < len(t.workers); i++ {
			if w := t.workers[i]; w != nil && w != l.worker {
				if id, ok = t.grantedOn(l, w.id); ok {
					ok = t.tied(l, w.id)
				}
			}
		}
		if !ok {
			t.w.Fail("I18: the task %s of %s waited again and was not placed on %s", l.task, l.client, l.worker.id)
			return
		}
		l.id = id
	}
	t.unmet = t.unmet[:0]
}

// grantedOn returns the lease that a task has on a worker and that is not known.
func (t *Twin) grantedOn(l *lease, worker string) (id wire.LeaseID, ok bool) {
	m, ok := t.w.Ask(&wire.GetWorker{ID: worker}).(*wire.Worker)
	if !ok {
		return id, false
	}
	i := slices.IndexFunc(m.Leases, func(o wire.LeaseInfo) bool {
		return o.Task == l.task && o.Client == l.client && t.aliveOn(o.Lease, t.find(worker)) == nil
	})
	if i < 0 {
		return id, false
	}
	return m.Leases[i].Lease, true
}

// describe names a waiter where others are told of it.
func (x *waiter) describe() string { return fmt.Sprintf("%s/%s", x.client, x.tasks[0].Task) }
