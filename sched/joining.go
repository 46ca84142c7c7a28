package sched

import "github.com/dtask/dtask-scheduler/wire"

// This file makes the leases of a worker agree with the list of a registration. The
// list may have 8,192 leases, and the worker more, so this is done in turns. The
// worker gets nothing meanwhile: it promises after the answer.

// joining is a registration that is under way.
type joining struct {
	started bool // else something that came before must end first
	worker  int32
	fresh   bool // the incarnation is a new one
	step    joinStep
	begun   bool  // the step was
	next    int32 // the lease of the worker to look at next; slot + 1
	at      int   // the record of the list to look at next
	awaited int   // leases that the list may add, while other messages are handled

	confirmed bool
	over      bool // the worker is gone, or registered again, or its connection is gone
}

// joinStep is a step of a registration, in their order.
type joinStep uint8

const (
	joinCounts  joinStep = iota // what the leases of the worker take of its resources, if it offers others than before
	joinUnmarks                 // the leases, if something came between the registration before and its end
	joinMarks                   // the leases that the list has, and ends those that are over
	joinLoses                   // leases that the list has not
	joinAdopts                  // leases that were not known
	joinCarries                 // notes that the agent has been restarted
	joinConfirms
	joinPushes // again what may have been lost
	joinSteps  // how many there are
)

// join goes on with a registration. It reports false if the turn is over before the
// registration is.
func (s *State) join(j *joining, c *caller, m *wire.Register) bool {
	for ; j.step < joinSteps; j.step, j.begun = j.step+1, false {
		if !j.begun {
			j.begun, j.at, j.next = true, 0, s.workers.At(j.worker).head
		}
		if !s.joinSome(j, c, m) {
			return false
		}
	}
	return true
}

// joinSome does some of the present step, and reports whether it is done.
func (s *State) joinSome(j *joining, c *caller, m *wire.Register) bool {
	switch j.step {
	case joinCounts:
		return s.countHeld(j)
	case joinUnmarks:
		return s.unmark(j)
	case joinMarks:
		return s.mark(j, m.Leases)
	case joinLoses:
		return s.loseUnlisted(j)
	case joinAdopts:
		return s.adoptListed(j, m.Leases)
	case joinCarries:
		return !j.fresh || s.eachLease(j, lookWork, func(_ int32, l *lease) { l.flags |= leaseCarried })
	case joinConfirms:
		s.confirm(j, c, m)
		return true
	}
	return s.repeatPushes(j, c.out)
}

// suspend keeps a registration whose turn is over.
func (s *State) suspend(j *joining, m *wire.Register) {
	w := s.workers.At(j.worker)
	w.joining, w.seen = true, s.now // it is heard: no timer may remove it meanwhile
	switch {
	case j.step < joinAdopts:
		j.awaited = len(m.Leases)
	case j.step == joinAdopts:
		j.awaited = len(m.Leases) - j.at
	}
	s.leases.awaited += j.awaited
	s.joining[j.worker] = j
}

// resume takes up a registration that was kept.
func (s *State) resume(j *joining) {
	s.workers.At(j.worker).joining = false
	s.leases.awaited -= j.awaited
	j.awaited = 0
	delete(s.joining, j.worker)
}

// stopJoining ends the registration of a worker that is under way, if there is one.
// The count of what its leases take is left to clearWay.
func (s *State) stopJoining(n int32) {
	w := s.workers.At(n)
	if !w.joining {
		return
	}
	j := s.joining[n]
	j.over = true
	if s.leases.awaited -= j.awaited; w.uncounted > 0 {
		j.awaited = 0
		return
	}
	w.joining = false
	delete(s.joining, n)
}

// clearWay brings to its end what is still to be done for a worker before an
// incarnation may register under its id: its removal, or the registration before. It
// reports false if the turn is over before that.
func (s *State) clearWay(id string) bool {
	n, known := s.byID[id]
	if !known {
		return true
	}
	w := s.workers.At(n)
	if w.leaving {
		for w.head != 0 {
			if s.late() {
				return false
			}
			s.endLost(w.head - 1)
		}
		s.removeNow(n)
		return true
	}
	if s.stopJoining(n); !w.joining {
		return true
	}
	j := s.joining[n]
	if !s.countHeld(j) {
		return false
	}
	s.resume(j)
	return true
}

// joinOn goes on with the registration of a job. It reports whether that is over.
func (s *State) joinOn(c *caller, job *Job, m *wire.Register) bool {
	j := job.joining
	switch {
	case !j.started:
		job.joining = s.register(c, m)
		return job.joining == nil
	case j.over:
		s.tellOver(c, j, m)
		return true
	}
	s.resume(j)
	if s.join(j, c, m) {
		return true
	}
	s.suspend(j, m)
	return false
}

// tellOver answers a registration that something came between.
func (s *State) tellOver(c *caller, j *joining, m *wire.Register) {
	if j.confirmed {
		return
	}
	if n, known := s.numberOf(m.Worker); known && s.workers.At(n).incarnation == m.Incarnation {
		c.reply(notRegistered) // it has registered on another connection since
		return
	}
	s.tellSuperseded(c, c.request, m.Worker, m.Incarnation)
}

// eachLease visits the leases of the worker of a step. It reports false if the turn
// is over before it is through.
func (s *State) eachLease(j *joining, units int, visit func(slot int32, l *lease)) bool {
	for j.next != 0 {
		if s.late() {
			return false
		}
		s.spend(units)
		slot := j.next - 1
		l := s.leases.slots.At(slot)
		j.next = l.next
		visit(slot, l)
	}
	return true
}

// isCounted reports whether what a lease takes of its worker's resources is counted
// there. It is not for a while after the worker has changed what it offers.
func (w *worker) isCounted(l *lease) bool {
	return w.uncounted == 0 || (l.flags&leaseParity != 0) == w.parity
}

// stepOver has walks over the leases of a worker pass over one that leaves it.
func (s *State) stepOver(w *worker, slot int32, l *lease) {
	if s.emptying.next == slot+1 {
		s.emptying.next = l.next
	}
	if w.joining {
		if j := s.joining[l.worker]; j.next == slot+1 {
			j.next = l.next
		}
	}
}

// countHeld counts what the leases of a worker take that has changed what it offers.
func (s *State) countHeld(j *joining) bool {
	w := s.workers.At(j.worker)
	if w.uncounted == 0 {
		return true
	}
	done := s.eachLease(j, lookWork, func(_ int32, l *lease) {
		if !w.isCounted(l) {
			l.flags ^= leaseParity
			w.uncounted--
			if l.demand != noDemand || l.flags&leaseDevices != 0 {
				s.occupyMore(w, l, 1)
			}
		}
	})
	s.reindex(j.worker)
	return done
}

// unmark takes off the marks that a registration left which something came between.
func (s *State) unmark(j *joining) bool {
	w := s.workers.At(j.worker)
	if w.marked && !s.eachLease(j, lookWork, func(_ int32, l *lease) { l.flags &^= leaseListed }) {
		return false
	}
	w.marked = true
	return true
}

// mark marks the leases that the list has, and ends those that are over by it.
func (s *State) mark(j *joining, list []wire.Record) bool {
	for ; j.at < len(list); j.at++ {
		if s.late() {
			return false
		}
		s.spend(lookWork)
		r := &list[j.at]
		slot, ok := s.leases.findOn(r.Lease, j.worker)
		switch {
		case ok && r.Outcome == wire.ReasonNone:
			s.leases.slots.At(slot).flags |= leaseListed
		case ok:
			before := s.log.history.Last()
			s.countOutcome(slot, r.Outcome, j.fresh)
			s.end(slot, s.leases.slots.At(slot).outcome(r.Outcome))
			s.endedByWorker(before)
		}
	}
	return true
}

// loseUnlisted ends the leases that a registration does not list: all of them
// if the incarnation is fresh; else those that had begun, for a lease that has
// not begun survives a reconnect. The marks of the listed ones are taken off.
func (s *State) loseUnlisted(j *joining) bool {
	done := s.eachLease(j, lookWork, func(slot int32, l *lease) {
		if l.flags&leaseListed == 0 && (j.fresh || l.state == wire.StateBegun) {
			s.end(slot, wire.ReasonLost)
		}
		l.flags &^= leaseListed
	})
	if done {
		s.workers.At(j.worker).marked = false
	}
	return done
}

// adoptListed believes that the tasks of the list run.
func (s *State) adoptListed(j *joining, list []wire.Record) bool {
	for ; j.at < len(list); j.at++ {
		if s.late() {
			return false
		}
		if r := &list[j.at]; r.Outcome == wire.ReasonNone {
			s.spend(leaseWork)
			s.adopt(j.worker, r)
		}
	}
	return true
}

// confirm answers a registration.
func (s *State) confirm(j *joining, c *caller, m *wire.Register) {
	s.measure(j.worker, m.Slots, m.External)
	s.heard(j.worker)
	s.updateEligible(j.worker)
	s.workers.At(j.worker).unconfirmed, j.confirmed = false, true
	c.reply(&wire.Registered{Handle: s.workers.At(j.worker).handle, Grantor: s.Grantor(), HeartbeatMS: uint32(s.cfg.Heartbeat)})
}

// repeatPushes asks again for every lease of a worker that is asked back, and
// warns again of every one that must make room: the first push may have been
// lost with the old connection.
func (s *State) repeatPushes(j *joining, out *Outbox) bool {
	return s.eachLease(j, lookWork, func(slot int32, l *lease) {
		switch {
		case l.state == wire.StateAskedBack:
			s.pushRevoke(l, out)
		case l.flags&leaseKilled != 0:
			s.pushPreempt(l, 0, out)
		case l.flags&leaseWarned != 0:
			s.pushPreempt(l, s.expiry.At(slot)-s.now, out)
		}
	})
}
