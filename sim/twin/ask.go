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
		to.kind, to.code = wire.KindError, wire.CodeBadRequest
		t.say(to)
		return
	}
	one := []wire.Schedule{*m}
	if tell, code, handled := t.again(to, one, false, false, -1); handled {
		t.said = append(t.said, tell...)
		if code != wire.CodeWaiting {
			to.kind, to.code = wire.KindError, code
			t.say(to)
		}
		return
	}
	answer := t.scheduleOver(to, m, nil)
	if t.waits(m, answer.code) {
		t.enqueue(t.newWaiter(to, one, false, false, -1))
		return
	}
	t.say(answer)
}

// scheduleOver is schedule for a task that has not waited: where there is no
// other room, it may have what is held for a lower priority.
func (t *Twin) scheduleOver(to said, m *wire.Schedule, b *twinBatch) said {
	answer, _ := t.schedule(to, m, b, false)
	if answer.code == wire.CodeUnavailable {
		t.queue.over = &m.Priority
		answer, _ = t.schedule(to, m, b, false)
		t.queue.over = nil
	}
	return answer
}

// heldFromOthers reports whether a worker is held for somebody else than who is
// being served.
func (t *Twin) heldFromOthers(w *twinWorker) bool {
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
		if q := t.readAsked(&m.Tasks[i], true); q.bad || q.policy == "spread" && m.Tasks[i].WaitMS > 0 && !m.AllOrNone || t.badPreempt(to.to, &m.Tasks[i], m.AllOrNone) {
			to.kind, to.code = wire.KindError, wire.CodeBadRequest
			t.say(to)
			return
		}
	}
	if m.AllOrNone {
		if t.mixedOwners(m.Tasks) {
			to.kind, to.code = wire.KindError, wire.CodeBadRequest
			t.say(to)
			return
		}
		t.gang(to, m)
		return
	}
	b := &twinBatch{spreads: map[string]map[string]int{}}
	answers, told := []said{}, []said{}
	for i := range m.Tasks {
		answer, tell := t.batched(to, m.Tasks[i:i+1], i, b)
		answers, told = append(answers, answer), append(told, tell...)
	}
	t.say(said{to: to.to, request: to.request, kind: wire.KindPlacedAll})
	t.said = append(append(t.said, answers...), told...)
}

// batched predicts the answer to one task of a batch.
func (t *Twin) batched(to said, one []wire.Schedule, i int, b *twinBatch) (answer said, tell []said) {
	tell, code, handled := t.again(to, one, false, false, i)
	if handled {
		to.kind, to.code = wire.KindError, code
		return to, tell
	}
	answer = t.scheduleOver(to, &one[0], b)
	if t.waits(&one[0], answer.code) {
		t.enqueue(t.newWaiter(to, one, false, false, i))
		answer.code = wire.CodeWaiting
	}
	return answer, nil
}

// gang predicts the answer to a gang, unless it waits.
func (t *Twin) gang(to said, m *wire.Batch) {
	x := t.newWaiter(to, m.Tasks, true, m.Distinct, -1)
	if tell, code, handled := t.again(to, m.Tasks, true, m.Distinct, -1); handled {
		t.said = append(t.said, tell...)
		if code != wire.CodeWaiting {
			t.said = append(t.said, x.refused(code)...)
		}
		return
	}
	answers, failed := t.placeGang(to, m.Tasks, m.Distinct)
	if failed >= 0 && answers[failed].code == wire.CodeUnavailable {
		t.queue.over = &m.Tasks[0].Priority
		answers, failed = t.placeGang(to, m.Tasks, m.Distinct)
		t.queue.over = nil
	}
	inVain := t.cfg.MaxOwnerLeases > 0 && len(m.Tasks) > t.cfg.MaxOwnerLeases
	if failed >= 0 && t.waits(&m.Tasks[0], answers[failed].code) && !inVain {
		t.enqueue(x)
		return
	}
	t.say(said{to: to.to, request: to.request, kind: wire.KindPlacedAll})
	t.said = append(t.said, answers...)
}

// placeGang places all of a gang, or none: then it returns which one failed.
func (t *Twin) placeGang(to said, tasks []wire.Schedule, distinct bool) (answers []said, failed int) {
	b := &twinBatch{gang: true, spreads: map[string]map[string]int{}}
	for i := range tasks {
		if l := t.keyed(t.keyOf(to.to, &tasks[i])); l != nil && distinct {
			b.taken = append(b.taken, l.worker)
		}
	}
	answers = make([]said, len(tasks))
	given := make([]int, len(tasks)) // when the workers were given something before
	var made []*twinWorker
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
