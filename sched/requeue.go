package sched

import (
	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file lets a task wait again that had to make room, in the very step in
// which its lease ends, and tells its client.

// kept is what a task asked for that may be requeued, and its place among
// those that wait.
type kept struct {
	task    wire.Schedule
	number  uint64
	arrived Time
}

// keepRequest keeps what the task of a fresh lease asked for. One that comes
// from the queue keeps its place there, any other takes the next.
func (s *State) keepRequest(slot int32, m *wire.Schedule) {
	q := &s.queue
	r := &kept{task: cloneTask(m), arrived: s.now}
	if q.serving != 0 {
		w := q.at(q.serving - 1)
		r.number, r.arrived = w.Number, w.arrived
	} else {
		r.number = q.list.TakeNumber()
	}
	s.requests[slot] = r
}

// waitNoMore forgets what the task of a lease asked for, whose client has given
// the lease back: it does not want it to wait again.
func (s *State) waitNoMore(slot int32) { delete(s.requests, slot) }

// requeueOr lets the task of a lease that ends wait again, if it ends because it
// had to make room, and has its client told what became of it.
func (s *State) requeueOr(slot int32, reason wire.Reason) {
	l := s.leases.slots.At(slot)
	r := s.requests[slot]
	delete(s.requests, slot)
	news := wire.NewsOver
	if r != nil && l.flags&leasePreempted != 0 && worthRequeue(reason) && s.requeue(l, r) {
		news = wire.NewsRequeued
		s.log.requeued++
	}
	s.tellClient(l, &wire.Notice{News: news, Reason: reason})
}

// worthRequeue reports whether a preempted task did not come to its own end.
func worthRequeue(reason wire.Reason) bool {
	switch reason {
	case wire.ReasonPreempted, wire.ReasonRevoked, wire.ReasonRefused, wire.ReasonLost:
		return true
	}
	return false
}

// requeue puts the task of a lease that ends back into the queue. It reports
// false if its client is gone, or too many different needs wait. The limits of
// waiting tasks do not count: it was accepted before.
func (s *State) requeue(l *lease, r *kept) bool {
	from := s.clients.list[l.client].session
	if from == 0 {
		return false
	}
	m := &r.task
	b := s.bundled(m)
	c := s.classFor(b)
	if c == nil {
		return false
	}
	w := waiter{
		session: from, client: l.client, ttl: m.TTLMS, content: s.waitContent(b), over: s.now + wire.MaxWait,
		hash: s.waitHash(l.client, m.Task), preempt: m.Preempt, onPreempt: m.OnPreempt,
		Waiter: waitlist.Waiter{Number: r.number}, arrived: r.arrived, mute: true,
	}
	w.write(m)
	s.log.waited++
	s.queue.fresh = append(s.queue.fresh, s.add(w, m.Priority, c))
	return true
}

// notice is news for a client.
type notice struct {
	to   Session
	body *wire.Notice
}

// tellClient has the client of a lease told of it, if it is connected.
func (s *State) tellClient(l *lease, n *wire.Notice) {
	if to := s.clients.list[l.client].session; to != 0 {
		n.Lease, n.Task = l.id, string(l.task())
		s.notices = append(s.notices, notice{to, n})
	}
}

// sendNotices sends what clients are to be told.
func (s *State) sendNotices(out *Outbox) {
	for i := range s.notices {
		out.put(s.notices[i].to, 0, s.notices[i].body)
	}
	clear(s.notices)
	s.notices = s.notices[:0]
}
