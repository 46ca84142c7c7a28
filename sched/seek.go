package sched

import "github.com/dtask/dtask-scheduler/sched/waitlist"

// This file decides when waiters that preempt look for victims, and in which
// order. They look in pulses alone: when such a waiter comes or loses its claim,
// and from time to time, for what runs may have changed. A look at a large fleet
// takes several pulses, so that it never holds others up for long.

const (
	// seekEvery is how often, in milliseconds, waiters that preempt and found no
	// victims look again; seekGap is how far apart two looks are at least.
	seekEvery Time = 1_000
	seekGap   Time = 50
	// seekVisits bounds the workers and leases that one pulse visits for it; the
	// next goes on from there. seekBuckets bounds the buckets of waiters of one look.
	seekVisits  = 4096
	seekBuckets = 4096
)

// seekFor notes that a waiter that preempts has no victims.
func (q *queue) seekFor(w *waiter, now Time) {
	if !w.preempt {
		return
	}
	if q.list.Seeking() == 0 {
		q.seekAt = Never
	}
	q.list.SetSeeks(&w.Waiter, true)
	q.seekAt = min(q.seekAt, max(now, q.soughtAt+seekGap))
}

// nextSeek returns when waiters look for victims, or give up a preemption.
func (s *State) nextSeek() Time {
	q, next := &s.queue, Never
	switch {
	case q.list.Seeking() > 0 && q.looking:
		next = q.soughtAt // there is more to look at
	case q.list.Seeking() > 0:
		next = q.seekAt
	}
	if t := &s.reservations; t.preemptions > 0 {
		next = min(next, t.list[0].until)
	}
	return next
}

// seek looks for victims for the waiters that preempt and have none, in the
// order of the queue, or goes on with it. What has no victims at a priority has
// none at a lower one. It reports whether it looked.
func (s *State) seek(out *Outbox) bool {
	q := &s.queue
	if q.list.Seeking() == 0 || !q.looking && q.seekAt > s.now || !q.settled() {
		return false
	}
	if !q.looking {
		q.looking = true
		q.soughtAt, q.seekAt = s.now, s.now+seekEvery
		q.look++
	}
	q.looking = !s.seekAll(out)
	return true
}

// seekAll looks for victims for as many waiters as one pulse can. It reports
// whether that was all.
func (s *State) seekAll(out *Outbox) bool {
	q := &s.queue
	left, buckets := seekVisits, seekBuckets
	for _, band := range q.list.Bands() {
		for o := band.First(); o != nil && band.Seeking > 0; o = o.Next() {
			for b := o.First(); b != nil && o.Seeking > 0; b = b.Next() {
				if b.Seeking == 0 || q.needsOf(b).failed == q.look {
					continue
				}
				if buckets--; buckets < 0 || s.leases.preemptible == 0 || s.reservations.preemptions >= maxPreemptions {
					return true
				}
				if s.seekBucket(b, &left, out); left <= 0 {
					return false // there may be more
				}
			}
		}
	}
	return true
}

// seekBucket looks for victims for the waiters of one bucket, until there are none for
// one of them, or their owner may not have what would be free then.
func (s *State) seekBucket(b *waitlist.Bucket, left *int, out *Outbox) {
	q, o := &s.queue, b.Queue.Owner
	for e := b.Head(); e != nil && *left > 0 && b.Seeking > 0 && s.reservations.preemptions < maxPreemptions && o.Reserved < q.list.Left(o); e = e.Next() {
		w := q.at(e.Slot)
		if *left--; w.preempt && !w.claimed {
			p, done := s.victims(e.Slot, left)
			switch {
			case !done:
				return
			case p.found:
				s.preemptFor(e.Slot, p.worker, p.victims, out)
			default:
				q.needsOf(b).failed = q.look
				return
			}
		}
	}
}
