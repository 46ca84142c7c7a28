package sched

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
	// next goes on from there. seekLines bounds the lines of waiters of one look.
	seekVisits = 4096
	seekLines  = 4096
)

// soughtOn notes that a waiter that preempts has no victims, soughtOff that it
// has, or is gone.
func (q *queue) soughtOn(w *waiter, now Time) {
	if !w.preempt {
		return
	}
	if q.seeking == 0 {
		q.seekAt = Never
	}
	w.line.seeks(q, 1)
	q.seekAt = min(q.seekAt, max(now, q.soughtAt+seekGap))
}

func (q *queue) soughtOff(w *waiter) {
	if w.preempt {
		w.line.seeks(q, -1)
	}
}

// seeks counts waiters of a line that preempt and have no victims.
func (l *line) seeks(q *queue, by int) {
	q.seeking += by
	l.seeking += by
	l.turn.seeking += by
	if l.turn.in {
		l.turn.level.seeking += by
	}
}

// nextSeek returns when waiters look for victims, or give up a preemption.
func (s *State) nextSeek() Time {
	q, next := &s.queue, Never
	switch {
	case q.seeking > 0 && q.looking:
		next = q.soughtAt // there is more to look at
	case q.seeking > 0:
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
	if q.seeking == 0 || !q.looking && q.seekAt > s.now || !q.settled() {
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
	left, lines := seekVisits, seekLines
	for _, l := range q.levels {
		for t := l.first; t != nil && l.seeking > 0; t = t.next {
			for ln := t.first; ln != nil && t.seeking > 0; ln = ln.next {
				if ln.seeking == 0 || ln.want.failed == q.look {
					continue
				}
				if lines--; lines < 0 || s.leases.preemptible == 0 || s.reservations.preemptions >= maxPreemptions {
					return true
				}
				if s.seekLine(ln, &left, out); left <= 0 {
					return false // there may be more
				}
			}
		}
	}
	return true
}

// seekLine looks for victims for the waiters of one line, until there are none
// for one of them, or their owner may not have what would be free then.
func (s *State) seekLine(ln *line, left *int, out *Outbox) {
	q, o := &s.queue, ln.turn.owner
	for e := ln.head; e != 0 && *left > 0 && ln.seeking > 0 && s.reservations.preemptions < maxPreemptions && o.claims < q.owners.left(o); {
		w := q.at(e - 1)
		if *left--; w.preempt && !w.claimed {
			p, done := s.victims(e-1, left)
			switch {
			case !done:
				return
			case p.found:
				s.preemptFor(e-1, p.worker, p.victims, out)
			default:
				ln.want.failed = q.look
				return
			}
		}
		e = w.next
	}
}
