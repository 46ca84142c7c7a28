package twin

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// single predicts the answer to a request for one place, unless it waits.
func (t *Twin) single(to said, m *wire.Schedule) {
	if t.badPreempt(to.to, m, false) {
		t.bad(to)
		return
	}
	t.admit(t.newWaiter(to, []wire.Schedule{*m}, false, false, -1))
}

func (t *Twin) bad(to said) {
	to.kind, to.code = wire.KindError, wire.CodeBadRequest
	t.say(to)
}

// admit answers a request, unless it waits.
func (t *Twin) admit(x *waiter) {
	answers, told := t.decide(x, nil)
	t.said = append(t.said, told...)
	if answers != nil {
		t.said = append(t.said, x.form(answers)...)
	}
}

// decide returns the answers to the tasks of a request, none if it waits, and what
// those are told who asked for the same before.
func (t *Twin) decide(x *waiter, b *batchState) (answers, told []said) {
	if old := t.waitsAlready(x); old != nil {
		if old.content != x.content {
			return x.refusals(wire.CodeConflict), nil
		}
		told = old.refused(wire.CodeConflict)
		if x.tasks[0].WaitMS == 0 {
			t.drop(old)
			return x.refusals(t.whyOver(old)), told
		}
		old.to, old.request, old.index, old.over, old.mute = x.to, x.request, x.index, x.over, false
		return nil, told
	}
	answers, failed := t.try(x, b)
	if failed >= 0 && answers[failed].code == wire.CodeUnavailable { // then it may have what is held for a lower priority
		t.queue.over = &x.priority
		answers, failed = t.try(x, b)
		t.queue.over = nil
	}
	inVain := t.cfg.MaxOwnerLeases > 0 && len(x.tasks) > t.cfg.MaxOwnerLeases
	if failed >= 0 && t.waits(&x.tasks[0], answers[failed].code) && !inVain {
		t.enqueue(x)
		return nil, nil
	}
	return answers, nil
}

// try places the tasks of a request, or tells which of them gets nothing; -1 is
// none.
func (t *Twin) try(x *waiter, b *batchState) (answers []said, failed int) {
	to := said{to: x.to, request: x.request}
	if x.gang {
		return t.placeGang(to, x.tasks, x.distinct)
	}
	answer, _ := t.schedule(to, &x.tasks[0], b, false)
	if failed = -1; answer.kind == wire.KindError {
		failed = 0
	}
	return []said{answer}, failed
}

// heldFromOthers reports whether a worker is held for somebody else than who is
// being served.
func (t *Twin) heldFromOthers(w *worker) bool {
	q := &t.queue
	if slices.Contains(q.held, w) && q.serving != q.holder && (q.over == nil || *q.over <= q.holder.priority) {
		return true
	}
	x := t.claimant(w)
	switch {
	case x == nil, x == q.serving:
		return false
	case q.serving != nil:
		return q.serving.priority <= x.priority
	}
	return q.over == nil || *q.over <= x.priority
}

// badPreempt reports whether a request may not ask so for making room.
func (t *Twin) badPreempt(from sched.Session, m *wire.Schedule, gang bool) bool {
	requeue := m.OnPreempt == wire.OnPreemptRequeue
	return m.Preempt && (gang || sched.Time(m.WaitMS) < t.cfg.PreemptGrace) || requeue && (gang || t.clients[from] == "" || len(m.SpreadBy) > 0)
}

// batch predicts the answer to a batch.
func (t *Twin) batch(to said, m *wire.Batch) {
	for i := range m.Tasks {
		one := &m.Tasks[i]
		q := t.readAsked(one, true)
		mixed := m.AllOrNone && t.cfg.MaxOwnerLeases > 0 && string(one.Owner) != string(m.Tasks[0].Owner)
		if q.Bad || mixed || q.Policy == "spread" && one.WaitMS > 0 && !m.AllOrNone || t.badPreempt(to.to, one, m.AllOrNone) {
			t.bad(to)
			return
		}
	}
	if m.AllOrNone {
		t.admit(t.newWaiter(to, m.Tasks, true, m.Distinct, -1))
		return
	}
	b := &batchState{spreads: map[string]map[string]int{}}
	results, told := []said{{to: to.to, request: to.request, kind: wire.KindPlacedAll}}, []said{}
	for i := range m.Tasks {
		answers, tell := t.decide(t.newWaiter(to, m.Tasks[i:i+1], false, false, i), b)
		if answers == nil {
			answers = []said{{to: to.to, request: to.request, kind: wire.KindError, code: wire.CodeWaiting}}
		}
		results, told = append(results, answers...), append(told, tell...)
	}
	t.said = append(append(t.said, results...), told...)
}

// placeGang places all of a gang, or none: then it returns which one failed.
func (t *Twin) placeGang(to said, tasks []wire.Schedule, distinct bool) (answers []said, failed int) {
	b := &batchState{gang: true, spreads: map[string]map[string]int{}}
	for i := range tasks {
		if l := t.keyed(t.keyOf(to.to, &tasks[i])); l != nil && distinct {
			b.taken = append(b.taken, l.worker)
		}
	}
	answers = make([]said, len(tasks))
	given := make([]int, len(tasks)) // when the workers were given something before
	var made []*worker
	first := t.first()
	for i := range tasks {
		fresh := len(t.leases)
		answers[i], given[i] = t.schedule(to, &tasks[i], b, distinct)
		if len(t.leases) == fresh {
			given[i] = -1
		} else {
			made = append(made, t.leases[fresh].worker)
		}
		if answers[i].kind == wire.KindError {
			t.disband(answers, given, i)
			return answers, i
		}
	}
	for _, w := range made {
		t.passed(w, first)
	}
	return answers, -1
}

// disband undoes what a gang got before the task that got nothing.
func (t *Twin) disband(answers []said, given []int, failed int) {
	for i := failed - 1; i >= 0; i-- {
		if given[i] < 0 {
			continue
		}
		t.w.Hit(fault.GangUndone)
		l := t.leases[len(t.leases)-1]
		t.leases = t.leases[:len(t.leases)-1]
		l.worker.given = given[i]
		t.unprobe(l)
		t.touch(l.worker)
	}
	for i := range answers {
		if i != failed {
			answers[i] = said{to: answers[failed].to, request: answers[failed].request, kind: wire.KindError, code: wire.CodeAllOrNone}
		}
	}
}

// cancel predicts the answer to a cancel, and what those are told that it ends.
func (t *Twin) cancel(to said, m *wire.Cancel) {
	t.shuffled = true
	for _, x := range slices.Clone(t.queue.waiters) {
		client := x.client
		if m.Task != "" && m.Client == "" && (client != t.clients[to.to] || client == "") || m.Client != "" && m.Client != client {
			continue
		}
		if (m.Task == "" || m.Task == string(x.tasks[0].Task)) && (m.Owner == "" || m.Owner == x.owner) && (m.Group == "" || m.Group == string(x.tasks[0].Group)) {
			t.w.Hit(fault.Cancelled)
			t.endWait(x, wire.CodeCancelled)
			to.number++
		}
	}
	t.say(to)
}
