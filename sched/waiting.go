package sched

import (
	"strings"

	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// How waits end, in counters.waits.
const (
	waitPlaced = iota
	waitOver
	waitCancelled
	waitClosed
	waitEnds
)

// queueRetry is after how many milliseconds a full queue is worth a repeat.
const queueRetry = 1000

// enqueue lets a request wait that found no room, and returns nowWaiting, or why it
// may not. Its wait is that of the first task.
func (s *State) enqueue(c *caller, b bundle) *wire.Error {
	q, first, tasks := &s.queue, &b.tasks[0], b.tasks
	switch owned := q.list.OwnerWaiting(clip(first.Owner)); {
	case q.list.Tasks()+len(tasks) > s.cfg.MaxWaiting:
		return queueFull("tasks wait", s.cfg.MaxWaiting)
	case owned+len(tasks) > s.cfg.MaxOwnerWaiting:
		return queueFull("tasks of this owner wait", s.cfg.MaxOwnerWaiting)
	}
	client, key := clientOf(c.sess, first)
	w := waiter{
		session: c.from, request: c.request, client: client, ttl: first.TTLMS, index: b.index,
		content: s.waitContent(b), over: s.now + Time(first.WaitMS),
		preempt: first.Preempt, onPreempt: first.OnPreempt,
	}
	if client != noClient {
		w.hash = s.waitHash(client, key)
	}
	w.write(first)
	of := s.classFor(b)
	switch {
	case of == nil && len(q.list.Classes()) >= waitlist.MaxClasses:
		return queueFull("different needs wait", waitlist.MaxClasses)
	case of == nil:
		return queueFull("bytes of different needs wait", waitlist.MaxKeyBytes)
	case b.gang:
		w.gang = &gang{distinct: b.distinct, tasks: q.needs.At(of.Slot).cloneTasks(tasks)}
	}
	slot := s.add(w, first.Priority, of)
	if s.reservations.preemptions > 0 {
		s.queue.fresh = append(s.queue.fresh, slot) // what is held for lower priorities may be for it
	}
	s.log.waited += uint64(len(tasks))
	return nowWaiting
}

func queueFull(what string, limit int) *wire.Error {
	return &wire.Error{Code: wire.CodeQueueFull, Field: "wait_ms", Limit: uint64(limit), RetryAfterMS: queueRetry, Message: "too many " + what}
}

// write stores the texts of a waiter.
func (w *waiter) write(m *wire.Schedule) {
	task, owner, group := clip(m.Task), clip(m.Owner), clip(m.Group)
	b := make([]byte, 0, len(task)+len(owner)+len(group)+len(m.Key))
	b = append(append(append(append(b, task...), owner...), group...), m.Key...)
	w.body = b
	w.taskLen, w.ownerLen, w.groupLen, w.keyLen = uint8(len(task)), uint8(len(owner)), uint8(len(group)), uint8(len(m.Key))
}

// cloneTask copies a request for a place.
func cloneTask(m *wire.Schedule) wire.Schedule { return withTexts(m.Needs(), m) }

// withTexts returns needs with a copy of the rest of a request that has them.
func withTexts(c wire.Schedule, m *wire.Schedule) wire.Schedule {
	c.Task, c.Owner, c.Group, c.Key = append([]byte(nil), m.Task...), append([]byte(nil), m.Owner...), append([]byte(nil), m.Group...), append([]byte(nil), m.Key...)
	c.Priority, c.TTLMS, c.WaitMS, c.Preempt, c.OnPreempt = m.Priority, m.TTLMS, m.WaitMS, m.Preempt, m.OnPreempt
	return c
}

// waitContent hashes what a request asks for, to tell a repeat from a conflict.
func (s *State) waitContent(b bundle) uint64 {
	h := uint64(len(b.tasks))
	for i := range b.tasks {
		m := &b.tasks[i]
		h = mix(h^uint64(uint32(m.Priority)), hashK1)
		if h ^= uint64(m.OnPreempt) << 1; m.Preempt {
			h ^= 1
		}
		for _, text := range [...][]byte{m.Task, m.Owner, m.Group} {
			h = hashBytes(h, text)
		}
		s.queue.keyBuf = m.AppendNeeds(s.queue.keyBuf[:0])
		h = hashBytes(h, s.queue.keyBuf)
	}
	if b.gang {
		h = mix(h, hashK0)
	}
	if b.distinct {
		h = mix(h, hashK2)
	}
	return h
}

// again answers a request whose task waits already. If it asks for the same it
// takes the place over, with its own wait, and err is nowWaiting; the earlier
// request is told so. handled is false if nothing of it waits.
func (s *State) again(c *caller, b bundle) (err *wire.Error, handled bool) {
	client, key := clientOf(c.sess, &b.tasks[0])
	slot, ok := s.waitingFor(client, key)
	if !ok {
		return nil, false
	}
	q := &s.queue
	w := q.at(slot)
	if w.content != s.waitContent(b) {
		return refusals[wire.CodeConflict], true
	}
	s.tellWaiter(w, takenOver, c.out)
	if b.tasks[0].WaitMS == 0 {
		why := s.refusal(s.whyOver(w))
		s.log.waitEnded(waitOver, w.size())
		s.leave(slot)
		return why, true
	}
	s.unlinkSession(slot)
	w.session, w.request, w.index, w.mute = c.from, c.request, b.index, false
	if w.later = c.sess.waiting; w.later != 0 {
		q.at(w.later - 1).earlier = slot + 1
	}
	c.sess.waiting = slot + 1
	w.over = s.now + Time(b.tasks[0].WaitMS)
	q.waits.Set(slot, w.over)
	return nowWaiting, true
}

// answerWaiter answers a waiter and takes it out of the queue.
func (s *State) answerWaiter(slot int32, results []wire.BatchResult, out *Outbox) {
	w := s.queue.at(slot)
	switch {
	case w.mute:
	case w.gang != nil:
		out.put(w.session, w.request, &wire.PlacedAll{Results: results})
	case w.index > 0:
		out.put(w.session, w.request, &wire.Settled{Index: w.index - 1, Result: results[0]})
	case results[0].Code == wire.CodeOK:
		out.next(w.session, w.request, wire.KindPlaced).Placed = results[0].Placed
	default:
		out.put(w.session, w.request, s.refusal(results[0].Code))
	}
	s.leave(slot)
}

// tellWaiter answers a waiter with a refusal.
func (s *State) tellWaiter(w *waiter, why *wire.Error, out *Outbox) {
	switch {
	case s.sessions[w.session] == nil, w.mute:
	case w.gang != nil:
		out.put(w.session, w.request, gangRefused(len(w.gang.tasks), 0, why))
	case w.index > 0:
		one := &wire.Settled{Index: w.index - 1}
		one.Result.Refuse(why)
		out.put(w.session, w.request, one)
	default:
		out.put(w.session, w.request, why)
	}
}

var (
	nobodyCame  = &wire.Error{Code: wire.CodeInfeasible, Field: "wait_ms", Message: "no known worker could take the task within the wait"}
	waitIsOver  = &wire.Error{Code: wire.CodeUnavailable, Field: "wait_ms", Message: "no free capacity within the wait"}
	isCancelled = &wire.Error{Code: wire.CodeCancelled, Message: wire.CodeCancelled.Sentence()}
	takenOver   = &wire.Error{Code: wire.CodeConflict, Field: "task", Message: "a later request asks for the same task"}
)

// waitOverdue is the refusal of a waiter whose wait is over.
func (s *State) waitOverdue(w *waiter) *wire.Error {
	code, is := s.whyOver(w), waitIsOver
	switch code {
	case wire.CodeUnavailable:
	case wire.CodeInfeasible:
		is = nobodyCame
	default:
		return s.refusal(code)
	}
	if w.gang != nil {
		return is
	}
	m := s.queue.messageOf(w)
	a := s.alone(nil, nil)
	if err := s.read(a, &m); err != nil {
		return is
	}
	shared := refusals[code]
	why := s.missing(&a.request, shared)
	if why == shared || why == busy {
		return is
	}
	over := *is
	over.Message += ": " + why.Message
	return &over
}

// endWait takes a waiter out that gets nothing.
func (s *State) endWait(slot int32, why *wire.Error, end int, out *Outbox) {
	w := s.queue.at(slot)
	s.tellWaiter(w, why, out)
	s.log.waitEnded(end, w.size())
	s.leave(slot)
}

// disperse ends waiters of closed sessions, as many as the budget allows.
func (s *State) disperse(budget int, out *Outbox) {
	for q := &s.queue; budget > 0 && len(q.closed) > 0; budget-- {
		s.endWait(q.closed[0]-1, nil, waitClosed, out)
	}
}

// cancelMost bounds the waiters that one request cancels. Its answer says where the
// next goes on.
const cancelMost = 512

// cancel takes waiters out for the request of a client or operator.
func (s *State) cancel(c *caller, m *wire.Cancel) {
	switch {
	case m.Task == "" && m.Client == "" && m.Owner == "" && m.Group == "":
		c.reply(badField("task", "is missing, and so are client, owner and group"))
		return
	case m.Task != "" && m.Client == "":
		r := &wire.Cancelled{}
		if slot, ok := s.waitingFor(c.sess.client, []byte(m.Task)); ok && s.passes(s.queue.at(slot), m.Task, "", m.Owner, m.Group) {
			s.endWait(slot, isCancelled, waitCancelled, c.out)
			r.Count = 1
		}
		c.reply(r)
		return
	}
	q, r := &s.queue, &wire.Cancelled{}
	n, end := m.After, min(m.After+listVisits, uint64(q.waiters.Len()))
	for ; n < end && r.Count < cancelMost; n++ {
		s.spend(lookWork)
		if w := q.at(int32(n)); w.waits() && s.passes(w, m.Task, m.Client, m.Owner, m.Group) {
			s.spend(leaseWork)
			s.endWait(int32(n), isCancelled, waitCancelled, c.out)
			r.Count++
		}
	}
	if n < uint64(q.waiters.Len()) {
		r.Next = n
	}
	c.reply(r)
}

// passes reports whether a waiter passes filters, of which empty ones let all
// through.
func (s *State) passes(w *waiter, task, client, owner, group string) bool {
	return (task == "" || string(w.task()) == task) &&
		(client == "" || s.clients.list[w.client].id == client) &&
		(owner == "" || string(w.owner()) == owner) &&
		(group == "" || string(w.group()) == group)
}

// listQueue answers with one page of the waiters, in order of their slots, or
// counts them; the cursor is the number of slots that were looked at.
func (s *State) listQueue(m *wire.ListQueue) *wire.Queue {
	q := &s.queue
	page, p := &wire.Queue{Rows: []wire.WaiterInfo{}, Waiting: uint64(q.list.Tasks()), Groups: uint64(len(q.list.Classes()))}, s.newPager(m.Limit)
	end := min(m.After+listVisits, uint64(q.waiters.Len()))
	n := m.After
	for ; n < end && !p.full(); n++ {
		s.spend(lookWork)
		switch w := q.at(int32(n)); {
		case !w.waits() || !s.passes(w, m.Task, m.Client, m.Owner, m.Group):
		case m.Count:
			page.Matched += uint64(w.size())
		default:
			page.Rows = append(page.Rows, s.informWaiter(int32(n)))
			p.add(rowBytes + len(w.body) + wire.MaxID)
		}
	}
	if n < uint64(q.waiters.Len()) {
		page.Next = n
	}
	return page
}

// informWaiter describes a waiter.
func (s *State) informWaiter(slot int32) wire.WaiterInfo {
	q := &s.queue
	w := q.at(slot)
	info := wire.WaiterInfo{
		Task: string(w.task()), Client: s.clients.list[w.client].id, Owner: string(w.owner()), Group: string(w.group()),
		Priority: w.Priority(), Tasks: uint32(w.size()), AgeMS: age(s.now, w.arrived), LeftMS: uint64(max(0, w.over-s.now)),
		Position: w.Position(), Placed: s.queue.needsOf(w.Bucket).rate.lastMinute(s.now), Bypassed: w.bypassed, Holds: []string{},
		AtLimit: s.atLimit(w), NoWorker: !s.takeable(s.queue.needsOf(w.Bucket)),
		Turn: w.Bucket.Queue.Turn, Number: w.Number,
	}
	for _, v := range s.reservedFor(slot) {
		info.Holds = append(info.Holds, strings.Clone(s.workers.At(v.worker).id))
	}
	return info
}
