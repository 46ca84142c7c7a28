package twin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// waiter is a task that waits, or a gang.
type waiter struct {
	to       sched.Session
	request  uint64
	index    int // in a batch; -1: it came alone
	client   string
	key      string // "": none
	owner    string
	priority int32
	need     string // those that need the same have the same
	content  string
	tasks    []wire.Schedule
	gang     bool
	distinct bool
	arrived  sched.Time
	over     sched.Time
	bypassed int
	number   int // in order of arrival

	preempt bool
	claim   *worker    // where tasks make room for it
	until   sched.Time // it chooses again then
	mute    bool       // it was requeued, and nobody has asked for it since
}

// waitQueue is the tasks that wait, and whose turn it is.
type waitQueue struct {
	waiters          []*waiter          // in order of arrival
	turns            map[int32][]string // the owners of each priority, the next first; never walked
	holder           *waiter            // nil: nothing is held
	held             []*worker
	serving          *waiter
	over             *int32 // of a request that does not wait: what is held for lower priorities than this is not held from it
	last             int    // number
	seekAt, soughtAt sched.Time
}

// copyTask keeps a request beyond its frame.
func copyTask(m *wire.Schedule) wire.Schedule {
	c := *m
	for _, b := range []*[]byte{&c.Task, &c.Tags, &c.Owner, &c.Group, &c.Resources, &c.Selector, &c.Prefer, &c.NotWorkers, &c.Policy, &c.SpreadBy, &c.Key} {
		*b = slices.Clone(*b)
	}
	return c
}

// newWaiter makes the waiter of a request.
func (t *Twin) newWaiter(to said, tasks []wire.Schedule, gang, distinct bool, index int) *waiter {
	x := &waiter{
		to: to.to, request: to.request, index: index, gang: gang, distinct: distinct, owner: string(tasks[0].Owner), priority: tasks[0].Priority,
		arrived: t.w.Now(), over: t.w.Now() + sched.Time(tasks[0].WaitMS), preempt: tasks[0].Preempt,
	}
	x.client, x.key = t.keyOf(to.to, &tasks[0])
	x.need = fmt.Sprint(gang, distinct, len(tasks))
	x.content = x.need
	for i := range tasks {
		m := copyTask(&tasks[i])
		x.tasks = append(x.tasks, m)
		need := offer.Needs(&m)
		x.need += need
		x.content += fmt.Sprintf("%s %q %d %q %q %v %d", need, m.Task, m.Priority, m.Owner, m.Group, m.Preempt, m.OnPreempt)
	}
	return x
}

// enqueue lets a request wait.
func (t *Twin) enqueue(x *waiter) {
	t.w.Hit(fault.Waited)
	q := &t.queue
	if x.preempt {
		t.seekSoon()
	}
	if x.number == 0 {
		q.last++
		x.number = q.last
	}
	q.waiters = append(q.waiters, x)
	slices.SortStableFunc(q.waiters, func(a, b *waiter) int { return cmp.Compare(a.number, b.number) })
	if !slices.Contains(q.turns[x.priority], x.owner) {
		q.turns[x.priority] = append(q.turns[x.priority], x.owner)
	}
}

// drop takes a waiter out.
func (t *Twin) drop(x *waiter) {
	q := &t.queue
	q.waiters = slices.DeleteFunc(q.waiters, func(o *waiter) bool { return o == x })
	if !slices.ContainsFunc(q.waiters, func(o *waiter) bool { return o.priority == x.priority && o.owner == x.owner }) {
		q.turns[x.priority] = slices.DeleteFunc(q.turns[x.priority], func(o string) bool { return o == x.owner })
	}
	if q.holder == x {
		t.letGo()
	}
	if x.claim != nil {
		t.dropClaim(x)
	}
}

// waitsAlready returns the waiter of the same task, nil if there is none.
func (t *Twin) waitsAlready(x *waiter) *waiter {
	for _, o := range t.queue.waiters {
		if o.key != "" && o.client == x.client && o.key == x.key {
			return o
		}
	}
	return nil
}

// refusals are the answers to the tasks of a request that gets nothing.
func (x *waiter) refusals(code wire.Code) (out []said) {
	for range x.tasks {
		out = append(out, said{to: x.to, request: x.request, kind: wire.KindError, code: code})
		code = wire.CodeAllOrNone
	}
	return out
}

// form is how the answers to the tasks of a request are sent.
func (x *waiter) form(answers []said) []said {
	switch {
	case x.gang:
		return append([]said{{to: x.to, request: x.request, kind: wire.KindPlacedAll}}, answers...)
	case x.index >= 0:
		answers[0].kind, answers[0].index = wire.KindSettled, x.index
	}
	return answers
}

// refused is what a waiter is told that gets nothing.
func (x *waiter) refused(code wire.Code) []said {
	if x.mute {
		return nil
	}
	return x.form(x.refusals(code))
}

// endWait ends a wait with a refusal.
func (t *Twin) endWait(x *waiter, code wire.Code) {
	t.said = append(t.said, x.refused(code)...)
	t.drop(x)
}

// inOrder lists the waiters that are next: of each owner and need the oldest,
// by priority, turn, and arrival. Those whose owner may not have what they wait
// for are passed over.
func (t *Twin) inOrder() []*waiter {
	q := &t.queue
	type line struct {
		priority    int32
		owner, need string
	}
	seen := map[line]bool{}
	var out []*waiter
	for _, x := range q.waiters {
		if t.overLimit(x.owner, len(x.tasks)) {
			continue
		}
		if in := (line{x.priority, x.owner, x.need}); !seen[in] {
			seen[in] = true
			out = append(out, x)
		}
	}
	turn := func(x *waiter) int { return slices.Index(q.turns[x.priority], x.owner) }
	slices.SortStableFunc(out, func(a, b *waiter) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(turn(a), turn(b)))
	})
	return out
}

// serve places whoever fits, the first in order first, until nobody does.
func (t *Twin) serve() {
	t.said, t.news = append(t.said, t.news...), t.news[:0]
	for _, x := range slices.Clone(t.queue.waiters) {
		if !x.gang && t.keyed(x.client, x.key) != nil { // its worker came back with it
			answers, _ := t.tryWaiter(x)
			t.answer(x, answers)
			t.drop(x)
			t.shuffled = true
		}
	}
	if h := t.queue.holder; h != nil && h != t.first() {
		t.letGo()
	}
	for again := true; again && !t.w.Failed(); {
		if again = t.serveOne(); !again {
			claims, hold := t.keepClaims(), t.endHold()
			if again = claims || hold; !again {
				t.holdForFirst()
			}
		}
	}
}

// serveOne places the first that fits. Of one priority those go first for which
// tasks have made room.
func (t *Twin) serveOne() bool {
	tried := map[int32]bool{}
	for _, x := range t.inOrder() {
		if !tried[x.priority] {
			tried[x.priority] = true
			if t.serveClaimant(x.priority) {
				return true
			}
		}
		if t.give(x) {
			return true
		}
	}
	return false
}

// give places a waiter, if it fits.
func (t *Twin) give(x *waiter) bool {
	q := &t.queue
	q.serving = x
	answers, ok := t.tryWaiter(x)
	q.serving = nil
	if !ok {
		return false
	}
	t.answer(x, answers)
	owners := q.turns[x.priority]
	i := slices.Index(owners, x.owner)
	q.turns[x.priority] = append(slices.Delete(owners, i, i+1), x.owner)
	t.drop(x)
	return true
}

// answer predicts the answer to a waiter. A task that was requeued and not asked
// for since gets none.
func (t *Twin) answer(x *waiter, answers []said) {
	if !x.mute {
		t.said = append(t.said, answers...)
	} else if l := answers[0].made; l != nil {
		t.unmet = append(t.unmet, l)
	}
}

// tryWaiter places a waiter; false if it has to wait on.
func (t *Twin) tryWaiter(x *waiter) ([]said, bool) {
	answers, failed := t.try(x, nil)
	waits := failed >= 0 && (worthWaiting(answers[failed].code) || answers[failed].code == wire.CodeInfeasible)
	return x.form(answers), !waits
}

// first returns the waiter that is the first of all that a known worker could
// take, nil if there is none among those that are next.
func (t *Twin) first() *waiter {
	next := t.inOrder()
	for _, x := range next[:min(len(next), 64)] {
		if t.couldRun(x) {
			return x
		}
	}
	return nil
}

// passed counts that a worker gave room to another than the first of all, as it
// was before that.
func (t *Twin) passed(w *worker, x *waiter) {
	if x == nil || x == t.queue.serving {
		return
	}
	for i := range x.tasks {
		if q := t.readAsked(&x.tasks[i], true); q.Suits(&w.Kit) {
			x.bypassed++
			return
		}
	}
}

// endHold lets go what is held for somebody who is not the first any more, or on
// a worker that cannot be used. It reports whether room came.
func (t *Twin) endHold() (room bool) {
	q := &t.queue
	if q.holder != nil && (t.first() != q.holder || slices.ContainsFunc(q.held, func(w *worker) bool { return !t.usable(w) })) {
		t.letGo()
		return true
	}
	return false
}

// holdForFirst holds room for the first of all, if it was passed over too often.
func (t *Twin) holdForFirst() {
	q := &t.queue
	x := t.first()
	if x == nil || q.holder != nil || x.claim != nil {
		return
	}
	if x.bypassed == 0 || x.bypassed < t.cfg.HoldAfterBypasses && t.w.Now()-x.arrived < t.cfg.HoldAfter {
		return
	}
	if q.held = t.nearest(x); len(q.held) > 0 {
		t.w.Hit(fault.Held)
		q.holder = x
	}
}

func (t *Twin) letGo() { t.queue.holder, t.queue.held = nil, nil }

// usable reports whether a worker may get anything, were it not held.
func (t *Twin) usable(w *worker) bool {
	return !w.removed && w.presence == presenceOnline && (w.http || w.promised) && t.cordons[w.id] == nil && !t.barred(w)
}

// nearest are the workers that lack least for a waiter: one, or as many as a
// gang needs.
func (t *Twin) nearest(x *waiter) []*worker {
	q := t.readAsked(&x.tasks[0], true)
	var all []*worker
	for _, w := range t.workers {
		if w != nil && t.usable(w) && !t.onProbe(w) && t.claimant(w) == nil && q.Wants(w.id, &w.Kit) && !(q.Exclusive && w.http) {
			all = append(all, w)
		}
	}
	slices.SortStableFunc(all, func(a, b *worker) int {
		return cmp.Compare(t.tally(a).Lacks(&q, a.external), t.tally(b).Lacks(&q, b.external))
	})
	left := int64(len(x.tasks))
	for i, w := range all {
		if !x.gang || x.distinct || q.Exclusive {
			left--
		} else {
			left -= w.Kit.Holds(&q)
		}
		if left <= 0 {
			return all[:i+1]
		}
	}
	return all
}

// judgeQueue wants the queue to be listed in the twin's order: by priority, the
// owner's turn, arrival (I16).
func (t *Twin) judgeQueue() {
	all := slices.Clone(t.queue.waiters)
	turn := func(x *waiter) int { return slices.Index(t.queue.turns[x.priority], x.owner) }
	slices.SortFunc(all, func(a, b *waiter) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(turn(a), turn(b)), cmp.Compare(a.number, b.number))
	})
	rows := t.w.Queue()
	slices.SortFunc(rows, func(a, b wire.WaiterInfo) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.Number, b.Number))
	})
	var got, want []string
	for i := range rows {
		r := &rows[i]
		got = append(got, fmt.Sprint(r.Client, "/", r.Task, " ", r.Owner, r.Priority, r.Tasks, r.AgeMS, r.LeftMS, r.Bypassed, r.Holds, r.AtLimit, r.NoWorker))
	}
	for _, x := range all {
		holds := []string{}
		if t.queue.holder == x {
			for _, w := range t.queue.held {
				holds = append(holds, w.id)
			}
		}
		if x.claim != nil {
			holds = append(holds, x.claim.id)
		}
		want = append(want, fmt.Sprint(x.describe(), " ", x.owner, x.priority, uint32(len(x.tasks)), uint64(t.w.Now()-x.arrived), uint64(max(0, x.over-t.w.Now())), uint32(x.bypassed), holds,
			t.overLimit(x.owner, len(x.tasks)), !t.couldRun(x)))
	}
	if !slices.Equal(got, want) {
		t.w.Fail("I16: by their turns and numbers the scheduler lists\n%s\nits twin\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
