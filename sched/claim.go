package sched

import "slices"

// This file keeps the room that tasks of a lower priority make for a waiter:
// the worker is held for it from the first notice on, so that nobody else takes
// what one victim leaves before the next has left. Waiters of a higher priority
// go first, there as everywhere.

const (
	// maxClaims bounds the preemptions that are under way at once.
	maxClaims = 256
	// claimPatience is how long, in milliseconds, a waiter that preempts waits for
	// room after its victims were told to be killed; then it chooses again.
	claimPatience Time = 10_000
)

// claim is a worker that is held for a waiter, because tasks there make room
// for it.
type claim struct {
	slot   int32 // of the waiter
	worker int32
	owner  *owner // of the waiter
	until  Time   // the waiter chooses again then
}

// claim has victims on a worker make room for a waiter, and holds the worker
// for it.
func (s *State) claim(slot, n int32, victims []int32, out *Outbox) {
	q := &s.queue
	if q.hold.slot == slot+1 {
		s.letGo() // it needs no other room any more
	}
	w := q.at(slot)
	w.claimed = true
	w.line.turn.owner.claims++
	q.soughtOff(w)
	q.claims = append(q.claims, claim{slot, n, w.line.turn.owner, s.now + max(s.cfg.PreemptGrace, 1) + claimPatience})
	s.reserve(n)
	for _, v := range victims {
		s.preempt(v, out)
	}
}

// claimOf returns the place of the claim of a waiter in the list, -1 for none.
func (q *queue) claimOf(slot int32) int {
	return slices.IndexFunc(q.claims, func(c claim) bool { return c.slot == slot })
}

// claimOn returns the place of the claim on a worker in the list, -1 for none.
func (q *queue) claimOn(n int32) int {
	return slices.IndexFunc(q.claims, func(c claim) bool { return c.worker == n })
}

// dropClaim gives up a claim. Victims that were not told yet stay; those that
// were must go all the same. The waiter looks for others if it is still there.
func (s *State) dropClaim(i int) {
	q := &s.queue
	c := q.claims[i]
	c.owner.claims--
	q.claims = slices.Delete(q.claims, i, i+1)
	if w := q.at(c.slot); w.live {
		w.claimed = false
		q.soughtOn(w, s.now)
	}
	s.spare(c.worker)
	s.unreserve(c.worker)
}

// spare lets tasks of a worker go on that were to make room and do not know it.
func (s *State) spare(n int32) {
	if s.mustEmpty(s.workers.At(n)) {
		return
	}
	for e := s.workers.At(n).head; e != 0; {
		l := s.leases.slots.At(e - 1)
		if l.flags&(leasePreempted|leaseWarned) == leasePreempted {
			l.flags &^= leasePreempted
			s.expiry.Remove(e - 1)
		}
		e = l.next
	}
}

// makesRoom reports whether a task on a worker is about to make room.
func (s *State) makesRoom(n int32) bool {
	for e := s.workers.At(n).head; e != 0; {
		l := s.leases.slots.At(e - 1)
		if l.flags&leasePreempted != 0 {
			return true
		}
		e = l.next
	}
	return false
}

// keepClaims gives up the claims from which no room is to be hoped for any more:
// the worker cannot be used, nobody there is about to make room, or that has
// taken too long. Their waiters choose again. So they do if their owner may have
// nothing now.
func (s *State) keepClaims() {
	q := &s.queue
	if len(q.claims) == 0 || !q.shaken && q.claims[0].until > s.now {
		return
	}
	q.shaken = false
	for i := len(q.claims) - 1; i >= 0; i-- {
		if c := q.claims[i]; c.until <= s.now || q.owners.full(c.owner) || !s.workers.At(c.worker).usable() || !s.makesRoom(c.worker) {
			s.dropClaim(i)
		}
	}
}

// openClaims lets waiters use the freed workers that are claimed, until
// closeClaims. It returns these workers: all that are claimed while a gang waits,
// which may need one of them beside the worker that was freed.
func (s *State) openClaims() (opened []int32) {
	q := &s.queue
	if len(q.claims) == 0 {
		return nil
	}
	for _, c := range q.claims {
		if s.workers.At(c.worker).freed || q.gangs > 0 {
			s.unreserve(c.worker)
			opened = append(opened, c.worker)
		}
	}
	return opened
}

// closeClaims gives workers that were opened to the waiters that claim them, as
// far as those are of a priority or a higher one, and holds them again for who
// finds no room yet. It returns the workers that stay open, for waiters of a
// higher priority than those that claim them.
func (s *State) closeClaims(priority int32, opened []int32, out *Outbox) (open []int32) {
	q := &s.queue
	open = opened[:0]
	for _, n := range opened {
		i := q.claimOn(n)
		if i < 0 {
			continue // its waiter found room already
		}
		slot := q.claims[i].slot
		w := q.at(slot)
		switch {
		case w.priority() < priority:
			open = append(open, n)
		case !s.hasRoomFor(w.line.want, n) || !s.serveClaimant(slot, out):
			s.shutClaim(n)
		}
	}
	return open
}

// shutClaim holds a worker again that was open, if it is claimed still.
func (s *State) shutClaim(n int32) {
	if s.queue.claimOn(n) >= 0 {
		s.reserve(n)
	}
}

// serveClaimant places a waiter for which tasks have made room. Its turn is
// over then.
func (s *State) serveClaimant(slot int32, out *Outbox) bool {
	t := s.queue.at(slot).line.turn
	served := s.serveHead(slot, out)
	if served {
		s.queue.isOver(t)
	}
	return served
}

// lookAround looks for a worker with room for each of some lines of a turn, also
// where it is claimed for a lower priority, and frees these workers. It reports
// whether there are any. When it is exhausted it stops, and goes on behind the lines
// it has looked at.
func (s *State) lookAround(first, last *line) (found bool) {
	opened := s.claimedBelow(nil, first.turn.level.priority)
	s.unreserve(opened...)
	for l := first; l != last.next && !s.exhausted(); l = l.next {
		if first != last && l.looked == l.turn.returns {
			continue
		}
		s.spend(taskWork)
		l.looked = l.turn.returns
		if n, ok := s.roomFor(l.want); ok {
			s.gotRoom(n)
			found = true
		}
	}
	s.reserve(opened...)
	return found
}

// heldFor returns the slot of the waiter that a reserved worker is held for.
func (s *State) heldFor(n int32) int32 {
	q := &s.queue
	if i := q.claimOn(n); i >= 0 {
		return q.claims[i].slot
	}
	return q.hold.slot - 1
}

// loseHeld gives up what is held on a worker that goes.
func (s *State) loseHeld(n int32) {
	if i := s.queue.claimOn(n); i >= 0 {
		s.dropClaim(i)
		return
	}
	s.letGo()
}

// nameOf is how a waiter is named where others are told of it.
func (s *State) nameOf(slot int32) string {
	w := s.queue.at(slot)
	return s.clients.list[w.client].id + "/" + string(w.task())
}
