package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/waitlist"
)

// This file reserves workers for waiters. A reserved worker is not eligible in the
// index, so the search of a request passes it over. A request that may use it, as
// its rank says, looks at the reservations as well: they are few.

const (
	// maxPreemptions bounds the preemptions that are under way at once.
	maxPreemptions = 256
	// preemptPatience is how long, in milliseconds, a waiter that preempts waits
	// after its victims were told to be killed; then it chooses again.
	preemptPatience Time = 10_000
)

// cause says why a worker is reserved.
type cause uint8

const (
	preemption cause = iota // tasks there are preempted for the waiter
	bypass                  // the waiter is the first of all, and was passed over too often
)

// reservation is a worker that is kept for a waiter.
type reservation struct {
	waiter   int32 // slot
	worker   int32
	priority int32 // of the waiter
	cause    cause
	owner    *waitlist.Owner // of the waiter
	until    Time            // of a preemption: the waiter chooses again then
	order    uint64          // grows with each reservation
}

// reservationTable holds all reservations: those of preemptions, in the order in
// which their waiters choose again, then those of the one waiter that was bypassed.
type reservationTable struct {
	list        []*reservation
	preemptions int    // the first of list
	last        uint64 // order that was given

	scratch, due []*reservation
}

// bypassed returns the reservations of the waiter that was bypassed.
func (t *reservationTable) bypassed() []*reservation { return t.list[t.preemptions:] }

// holder returns the slot of the waiter that was bypassed and has reservations.
func (t *reservationTable) holder() (slot int32, ok bool) {
	if held := t.bypassed(); len(held) > 0 {
		return held[0].waiter, true
	}
	return 0, false
}

// rank says which reserved workers a request may use. The zero rank may use none.
type rank struct {
	reach    reach
	queued   bool  // it comes from the queue
	waiter   int32 // the slot of the waiter it comes from, + 1
	priority int32
}

// reach says when a request looks at reserved workers.
type reach uint8

const (
	unreserved reach = iota // never
	lastResort              // if no other worker fits
	together                // as at all others: the best of both is chosen
)

// uses reports whether a request of this rank may use a reserved worker: its own,
// or one of a lower priority. What a bypassed waiter has no other waiter may use:
// it is the first of them.
func (k *rank) uses(v *reservation) bool {
	if k.reach == unreserved {
		return false
	}
	return k.waiter == v.waiter+1 || k.priority > v.priority && !(k.queued && v.cause == bypass)
}

// usesAny reports whether there is a reserved worker that a request of this rank
// may use.
func (t *reservationTable) usesAny(k *rank) bool {
	return slices.ContainsFunc(t.list, k.uses)
}

// mayUse reports whether a worker is eligible, or would be were it not reserved,
// for a request of a rank.
func (s *State) mayUse(n int32, k *rank) bool {
	w := s.workers.At(n)
	return w.eligible || w.reserved != nil && k.uses(w.reserved) && w.usable()
}

// bestReserved returns the best of the reserved workers that a request may use and
// of the worker that was found elsewhere, if there is one.
func (s *State) bestReserved(r *request, req *index.Requirement, n int32, found bool) (int32, bool) {
	var least index.Query
	q := &r.query
	if r.plain {
		q = &least
	}
	for _, v := range s.reservations.list {
		if !r.rank.uses(v) || s.index.LoadOf(index.Worker(v.worker)) == index.Full {
			continue
		}
		w := s.workers.At(v.worker)
		if !w.usable() || !s.fitsNow(w, r.demand, r.m.Exclusive) || s.excludes(r, v.worker) || !s.index.Matches(req, index.Worker(v.worker)) {
			continue
		}
		if !found || s.index.Before(index.Worker(v.worker), index.Worker(n), q) {
			n, found = v.worker, true
		}
	}
	return n, found
}

// reserve keeps a worker for a waiter.
func (s *State) reserve(slot, n int32, why cause) {
	t, w := &s.reservations, s.queue.at(slot)
	t.last++
	v := &reservation{waiter: slot, worker: n, priority: w.Priority(), cause: why, owner: w.Bucket.Queue.Owner, order: t.last}
	if why == preemption {
		v.until = s.now + max(s.cfg.PreemptGrace, 1) + preemptPatience
		w.claimed = true
		v.owner.Reserved++
		s.queue.list.SetSeeks(&w.Waiter, false)
		t.list = slices.Insert(t.list, t.preemptions, v)
		t.preemptions++
	} else {
		t.list = append(t.list, v)
	}
	s.workers.At(n).reserved = v
	s.updateEligible(n)
}

// unreserve gives up a reservation. Victims of a preemption that were not told yet
// go on; those that were must go all the same. The waiter looks for others if it
// is still there.
func (s *State) unreserve(v *reservation) {
	t := &s.reservations
	i := slices.Index(t.list, v)
	t.list = slices.Delete(t.list, i, i+1)
	if v.cause == preemption {
		t.preemptions--
		v.owner.Reserved--
		if w := s.queue.at(v.waiter); w.waits() {
			w.claimed = false
			s.queue.seekFor(w, s.now)
		}
		s.cancelVictims(v.worker)
	}
	s.workers.At(v.worker).reserved = nil
	s.updateEligible(v.worker)
}

// reservedFor returns the reservations of a waiter. They are valid until the next
// call.
func (s *State) reservedFor(slot int32) []*reservation {
	t := &s.reservations
	t.scratch = t.scratch[:0]
	if holder, ok := t.holder(); !s.queue.at(slot).claimed && !(ok && holder == slot) {
		return nil
	}
	for _, v := range t.list {
		if v.waiter == slot {
			t.scratch = append(t.scratch, v)
		}
	}
	return t.scratch
}

// unreserveAll gives up the reservations of a waiter.
func (s *State) unreserveAll(slot int32) {
	for _, v := range s.reservedFor(slot) {
		s.unreserve(v)
	}
}

// loseReserved gives up what a waiter has reserved on a worker that goes: all that
// a bypassed waiter has.
func (s *State) loseReserved(v *reservation) {
	if v.cause == bypass {
		s.unreserveAll(v.waiter)
	} else {
		s.unreserve(v)
	}
}

// expirePreemptions gives up the preemptions that are hopeless: the worker cannot
// be used, no task there is being preempted, the time is over, or the owner of the
// waiter may have no further lease.
func (s *State) expirePreemptions() {
	t, q := &s.reservations, &s.queue
	if t.preemptions == 0 || !q.shaken && q.takenOut == q.list.TakenOut() && t.list[0].until > s.now {
		return
	}
	q.shaken, q.takenOut = false, q.list.TakenOut()
	for i := t.preemptions - 1; i >= 0; i-- {
		if v := t.list[i]; v.until <= s.now || q.list.Left(v.owner) <= 0 || !s.workers.At(v.worker).usable() || !s.anyPreempted(v.worker) {
			s.unreserve(v)
		}
	}
}

// holderIsFirst reports whether the bypassed waiter is the first of all. It is not
// any more when one of a higher priority was requeued, or an owner came back from
// its limit.
func (s *State) holderIsFirst() bool {
	slot, any := s.head()
	holder, ok := s.reservations.holder()
	return any && ok && holder == slot
}

// expireBypass gives up what is reserved for a bypassed waiter that is not the
// first any more, or has a worker that cannot be used.
func (s *State) expireBypass() {
	t := &s.reservations
	holder, ok := t.holder()
	if ok && (!s.holderIsFirst() || slices.ContainsFunc(t.bypassed(), func(v *reservation) bool { return !s.workers.At(v.worker).usable() })) {
		s.unreserveAll(holder)
	}
}

// preemptFor preempts tasks on a worker for a waiter, and reserves the worker from
// the first notice on: nobody else takes what one victim leaves before the next has
// left.
func (s *State) preemptFor(slot, n int32, victims []int32, out *Outbox) {
	if holder, ok := s.reservations.holder(); ok && holder == slot {
		s.unreserveAll(slot) // it needs no other worker any more
	}
	s.reserve(slot, n, preemption)
	for _, v := range victims {
		s.preempt(v, out)
	}
}

// cancelVictims lets tasks of a worker go on that were to be preempted and were
// not told.
func (s *State) cancelVictims(n int32) {
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

// anyPreempted reports whether a task on a worker is being preempted.
func (s *State) anyPreempted(n int32) bool {
	for e := s.workers.At(n).head; e != 0; {
		l := s.leases.slots.At(e - 1)
		if l.flags&leasePreempted != 0 {
			return true
		}
		e = l.next
	}
	return false
}

// nameOf is how a waiter is named where others are told of it.
func (s *State) nameOf(slot int32) string {
	w := s.queue.at(slot)
	return s.clients.list[w.client].id + "/" + string(w.task())
}
