package sched

import (
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file takes room away from tasks that run. A lease that is preempted and
// has begun stands in the wheel of timers: its worker is told first of the
// grace, when that is over to kill the task, and again every killEvery. The
// room returns with the worker's report alone.

// killEvery is how often a worker is told to kill a task that must be over, in
// milliseconds.
const killEvery = 10_000

// preempt wants the room of a live lease back. What has not begun is asked back
// from the worker; if it begins after all it gets its notice then.
func (s *State) preempt(slot int32, out *Outbox) {
	l := s.leases.slots.At(slot)
	if l.flags&leasePreempted != 0 || l.state == wire.StateAssumed {
		return // a worker that speaks HTTP cannot be told
	}
	l.flags |= leasePreempted
	switch l.state {
	case wire.StateGranted:
		s.askBack(slot, out)
	case wire.StateBegun:
		s.warnSoon(slot)
	}
}

// warnSoon has the next pulse, a millisecond later, tell the worker.
func (s *State) warnSoon(slot int32) { s.expiry.Set(slot, s.now+1) }

// warn is the timer of a preempted lease that has begun.
func (s *State) warn(slot int32, out *Outbox) {
	l := s.leases.slots.At(slot)
	if l.flags&leaseWarned == 0 {
		l.flags |= leaseWarned
		s.log.preempted++
		e := s.note(eventPreempted, s.workers.At(l.worker).id)
		e.lease = l.id
		e.reason, e.by = s.whyPreempted(l)
		s.expiry.Set(slot, s.now+max(s.cfg.PreemptGrace, 1))
		s.tellClient(l, &wire.Notice{News: wire.NewsPreempted, GraceMS: uint32(s.cfg.PreemptGrace)})
		s.pushPreempt(l, s.cfg.PreemptGrace, out)
		return
	}
	l.flags |= leaseKilled
	s.expiry.Set(slot, s.now+killEvery)
	s.pushPreempt(l, 0, out)
}

// whyPreempted says why a lease must make room, and who wants it.
func (s *State) whyPreempted(l *lease) (reason, by string) {
	if c := s.workers.At(l.worker).cordon; c != nil {
		return c.reason, c.by
	}
	if v := s.workers.At(l.worker).reserved; v != nil && v.cause == preemption {
		return "for " + string(clip([]byte(s.nameOf(v.waiter)))), strings.Clone(s.clients.list[s.queue.at(v.waiter).client].id)
	}
	return "", ""
}

// preemptFlags returns the flags of a lease that say what becomes of its task
// when it must make room.
func preemptFlags(o wire.OnPreempt, priority int32) (flags uint16) {
	if o.Preemptible(priority) {
		flags = leasePreemptible
	}
	if o == wire.OnPreemptRequeue {
		flags |= leaseRequeue
	}
	return flags
}

// countPreemptible counts a lease of a worker, or with -1 counts it no more, if
// a task of a higher priority may take its room.
func (s *State) countPreemptible(w *worker, l *lease, by int) {
	if l.flags&leasePreemptible != 0 {
		w.preemptible += uint32(by)
		s.leases.preemptible += by
	}
}

// outcome returns the reason for which a lease ends that its worker reports to
// have ended so.
func (l *lease) outcome(reported wire.Reason) wire.Reason {
	if l.flags&leaseWarned != 0 && (reported == wire.ReasonFailed || reported == wire.ReasonLost) {
		return wire.ReasonPreempted
	}
	return reported
}

// checkPreempt checks what a request says of making room.
func (s *State) checkPreempt(sess *session, m *wire.Schedule, gang bool) *wire.Error {
	switch {
	case !m.Preempt && m.OnPreempt != wire.OnPreemptRequeue:
	case gang && m.Preempt:
		return badField("preempt", "is not for gangs")
	case gang:
		return badField("on_preempt", "requeue is not for gangs")
	case m.Preempt && Time(m.WaitMS) < s.cfg.PreemptGrace:
		err := badField("wait_ms", "is less than the grace of preempted tasks")
		err.Limit = uint64(s.cfg.PreemptGrace)
		return err
	case m.OnPreempt == wire.OnPreemptRequeue && len(m.SpreadBy) > 0:
		return badField("on_preempt", "requeue does not go with the policy spread, which does not wait")
	case m.OnPreempt == wire.OnPreemptRequeue && sess.client == noClient:
		return badField("on_preempt", "requeue needs a connection with a client id, to tell the client of it")
	}
	return nil
}

// pushPreempt tells the lease's worker, if it is connected, how long the task
// may go on.
func (s *State) pushPreempt(l *lease, grace Time, out *Outbox) {
	w := s.workers.At(l.worker)
	if !w.isConnected() {
		return
	}
	reason, _ := s.whyPreempted(l)
	out.put(w.session, 0, &wire.Preempt{Handle: w.handle, Lease: l.id, GraceMS: uint32(max(grace, 0)), Reason: reason})
}
