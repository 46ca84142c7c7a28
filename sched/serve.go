package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// serveWork bounds the work of one event, or pulse, for those who wait. What is
// left over is done by the next pulses, which are due at once: they go on where it
// stopped.
const serveWork = TurnWork

// gotRoom notes that the free capacity of a worker may have grown.
func (s *State) gotRoom(n int32) {
	if s.queue.list.Len() > 0 {
		s.noteRoom(n)
	}
}

func (s *State) noteRoom(n int32) {
	if w := s.workers.At(n); (!w.freed || w.passedBy) && w.usable() && w.load() != index.Full {
		w.freed, w.passedBy = true, false
		s.queue.freed = append(s.queue.freed, n)
	}
}

// serve gives the room that has come to those who wait. Every event that may
// make room ends with it: afterwards nobody waits for room that is there,
// unless it is held.
func (s *State) serve(out *Outbox) {
	q := &s.queue
	if q.cut && !s.pulsing {
		return // it would be in the way of the pulse that goes on
	}
	q.until = s.turnLeft - q.work
	s.answerFound(out)
	if holder, ok := s.reservations.holder(); ok && !s.holderIsFirst() {
		s.unreserveAll(holder)
	}
	if !q.settled() {
		s.lookForAllFresh()
	}
	for !s.exhausted() { // else the next pulse goes on
		if q.settled() {
			s.expirePreemptions()
			s.expireBypass()
		}
		if q.settled() {
			s.lookForFresh()
		}
		if q.settled() {
			s.reserveForFirst()
		}
		if q.settled() {
			return
		}
		s.hand(out)
	}
}

// exhausted reports whether the present event has done enough for those who wait.
func (s *State) exhausted() bool {
	s.spend(s.index.TakeWork())
	return s.turnLeft <= s.queue.until
}

// lookForFresh looks for a worker with room for a waiter that came without a
// look at any. Who gets that room is decided as always.
func (s *State) lookForFresh() {
	q := &s.queue
	for ; len(q.fresh) > 0 && !s.exhausted(); q.fresh = q.fresh[:len(q.fresh)-1] {
		w := q.at(q.fresh[len(q.fresh)-1])
		if !w.waits() || s.leases.live >= s.cfg.MaxLeases || !w.Bucket.CanBeServed() {
			continue
		}
		if s.lookAround(w.Bucket, w.Bucket) {
			if w.gang != nil {
				q.fresh = q.fresh[:len(q.fresh)-1] // one worker says little of a gang
			}
			return
		}
	}
}

// lookForAllFresh is lookForFresh before anybody is given room. What an owner may
// have is for the first of its waiters, and that may be one who has just come. And
// one who has come may find room elsewhere, before claims are given up here.
func (s *State) lookForAllFresh() {
	for _, slot := range s.queue.fresh {
		if s.exhausted() {
			return
		}
		if w := s.queue.at(slot); w.waits() && s.leases.live < s.cfg.MaxLeases && w.Bucket.CanBeServed() {
			s.lookAround(w.Bucket, w.Bucket)
		}
	}
}

// lookAround looks for a worker that fits each of some buckets of an owner queue, and
// frees these workers. It reports whether there are any. When it is exhausted it
// stops, and goes on behind the buckets it has looked at.
func (s *State) lookAround(first, last *waitlist.Bucket) (found bool) {
	for b := first; b != last.Next() && !s.exhausted(); b = b.Next() {
		if first != last && b.Sought() {
			continue
		}
		s.spend(taskWork)
		b.SetSought(true)
		if n, ok := s.findFor(b); ok {
			s.gotRoom(n)
			found = true
		}
	}
	return found
}

// findFor returns a worker that fits one of the tasks of a bucket.
func (s *State) findFor(b *waitlist.Bucket) (int32, bool) {
	g := s.queue.needsOf(b)
	for i := range g.members {
		ask := g.members[i].ask
		ask.Prefer, ask.Policy, ask.SpreadBy = nil, nil, nil
		a := s.alone(nil, nil)
		r := &a.request
		r.rank = rankOf(b)
		if err := s.read(a, &ask); err != nil || s.unknown(r) {
			continue
		}
		n, outcome := s.find(r, r.req)
		switch outcome {
		case index.Found:
			return n, true
		case index.Limited: // the worker is there, or not: look at each
			walk := s.index.Matching(r.req, 0)
			for n, matches, ok := walk.Next(); ok; n, matches, ok = walk.Next() {
				if matches && s.fitsAny(g, int32(n), &r.rank) {
					return int32(n), true
				}
			}
		}
	}
	return 0, false
}

// answerFound answers the waiters whose task turned out to run: a worker came
// back with its lease. It takes no owner's turn.
func (s *State) answerFound(out *Outbox) {
	q := &s.queue
	for _, slot := range q.found {
		w := q.at(slot)
		if !w.waits() || w.gang != nil || s.sessions[w.session] == nil {
			continue
		}
		if results, ok := s.tryWaiter(s.sessions[w.session], slot); ok {
			s.log.placedWaiter(w.class(), s.now-w.arrived, w.size())
			s.answerWaiter(slot, results, out)
		}
	}
	q.found = q.found[:0]
}

// hand goes through the waiters in their order, and gives room to those for
// which one of the freed workers has it. It stops early when workers are freed
// meanwhile: those who were passed may have room now. When it is exhausted, the
// next pulse goes on with the classes that are left.
func (s *State) hand(out *Outbox) {
	q := &s.queue
	s.spend(1)
	q.undecided = false
	due := s.duePreemptions()
	if s.holderIsFirst() {
		due = s.servePreemptions(due, s.reservations.bypassed()[0].priority, out)
		s.serveHolder(out)
	}
	if s.exhausted() || s.turnLeft-q.until < q.work/2 {
		q.until = s.turnLeft - q.work/2 // else a walk might never come further
	}
	if !q.cut {
		q.round++
		q.marked, q.left = 0, 0
	}
	freed := len(q.freed)
	marked := s.markClasses(freed)
	for b := q.list.FirstBand(); marked && b != nil && s.goesOn(freed); b = q.list.After(b.Priority) {
		due = s.servePreemptions(due, b.Priority, out)
		s.handBand(b, freed, out)
	}
	if s.noteCut(); q.cut || len(q.freed) != freed {
		return
	}
	for _, n := range q.freed {
		s.workers.At(n).freed, s.workers.At(n).passedBy = false, false
	}
	q.freed = q.freed[:0]
}

// noteCut notes whether the walk through the queue stops for lack of time. The
// workers that it may have passed by are freed once more if they get room.
func (s *State) noteCut() {
	q := &s.queue
	was := q.cut
	if q.cut = s.exhausted() || q.undecided; !q.cut {
		return
	}
	if !was {
		q.flagged = 0
	}
	for ; q.flagged < len(q.freed); q.flagged++ {
		s.workers.At(q.freed[q.flagged]).passedBy = true
	}
}

// goesOn reports whether a walk that began with so many freed workers goes on.
func (s *State) goesOn(freed int) bool {
	q := &s.queue
	return (q.left > 0 || q.list.Unsought() > 0) && len(q.freed) == freed && !s.exhausted()
}

// handBand goes round the owners of a priority. Those that it has passed have nothing
// that fits, and never will in this walk: capacity only shrinks.
func (s *State) handBand(band *waitlist.Band, freed int, out *Outbox) {
	for o := band.First(); o != nil && s.goesOn(freed); {
		b := s.firstThatFits(o, freed)
		if b == nil {
			o = o.Next()
			continue
		}
		next := o.Next()
		s.spend(taskWork)
		served := s.serveHead(b.Head().Slot, out)
		if served && !s.anyRoom() {
			s.queue.left = 0
			s.queue.round++ // no class is marked any more
		}
		if served {
			b.SetSought(false) // there may be capacity for the next as well
			s.queue.list.EndTurn(o)
		}
		switch {
		case !o.InTurn():
			o = next
		case served:
			if o = next; o == nil {
				o = band.Last() // alone, or the last of the band
			}
		}
	}
}

// settled reports whether every worker and owner queue was looked at whose waiters may
// fit now.
func (q *queue) settled() bool { return len(q.freed) == 0 && q.list.Unsought() == 0 }

// anyRoom reports whether a freed worker may still get something.
func (s *State) anyRoom() bool {
	q := &s.queue
	if len(q.freed) > 8 {
		return true // it is not worth a look at all of them each time
	}
	return slices.ContainsFunc(q.freed, func(n int32) bool {
		return s.servesAny(n)
	})
}

// servesAny reports whether a worker may serve some waiter: it is not full, and not
// reserved for a bypassed one, who is served by itself.
func (s *State) servesAny(n int32) bool {
	w := s.workers.At(n)
	return (w.eligible || w.reserved != nil && w.reserved.cause == preemption && w.usable()) && s.index.LoadOf(index.Worker(n)) != index.Full
}

// markClasses marks the classes that one of the first of the freed workers could serve,
// and counts them. It reports false if it is exhausted before it is through.
func (s *State) markClasses(freed int) bool {
	q := &s.queue
	for ; q.marked < freed; q.marked++ {
		f := q.freed[q.marked]
		if s.spend(1); s.exhausted() {
			return false
		}
		if !s.servesAny(f) {
			continue
		}
		classes, ok := s.classesFor(f)
		if !ok {
			return false
		}
		s.spend(len(classes) / 8)
		for _, c := range classes {
			g := q.needs.At(c.Slot)
			if g.round == q.round || !c.Servable() {
				continue
			}
			if g.round, g.at = q.round, 0; q.cut {
				g.at = q.marked // those before had no room for it
			}
			q.left++
		}
	}
	return true
}

// firstThatFits returns the first bucket of an owner queue for whose head a freed
// worker has capacity, nil if there is none.
func (s *State) firstThatFits(o *waitlist.OwnerQueue, freed int) *waitlist.Bucket {
	q := &s.queue
	if o.Unsought() {
		if s.lookAround(o.First(), o.Last()); len(q.freed) > freed || s.exhausted() {
			return nil // the walk begins again, or goes on here
		}
	}
	for b := o.First(); b != nil; b = b.Next() {
		g, k := q.needsOf(b), rankOf(b)
		if g.round != q.round {
			continue
		}
		for g.at < len(q.freed) && !s.fitsAny(g, q.freed[g.at], &k) {
			g.at++
			if s.spend(1); s.exhausted() {
				return nil
			}
		}
		if g.at < len(q.freed) {
			if !s.prepared(g) {
				return nil
			}
			return b
		}
		g.round = 0
		q.left--
	}
	q.list.SetSought(o)
	return nil
}

// prepared brings what a class requires up to date, so that placing one of its tasks
// takes no long search. It reports false if it is exhausted before that.
func (s *State) prepared(g *needs) bool {
	for i := range s.membersOf(g) {
		for _, req := range [...]*index.Requirement{g.members[i].req, g.members[i].preferred} {
			if req == nil || s.index.Ready(req) {
				continue
			}
			left := s.turnLeft - s.queue.until
			done := s.index.Bring(req, &left)
			if s.turnLeft = s.queue.until + left; !done {
				s.turnLeft = min(s.turnLeft, s.queue.until)
				return false
			}
		}
	}
	return true
}

// rankOf returns the rank of the waiters of a bucket, without what is reserved for one
// of them.
func rankOf(b *waitlist.Bucket) rank {
	return rank{reach: together, queued: true, priority: b.Queue.Band.Priority}
}

// serveHead places a waiter, the head of its bucket, and answers it. It reports
// false if there was no room for it after all, or nobody to tell.
func (s *State) serveHead(slot int32, out *Outbox) bool {
	q := &s.queue
	w := q.at(slot)
	g := s.queue.needsOf(w.Bucket)
	sess := s.sessions[w.session]
	if sess == nil {
		s.log.waitEnded(waitClosed, w.size())
		s.leave(slot)
		return false
	}
	q.serving = slot + 1
	results, ok := s.tryWaiter(sess, slot)
	q.serving = 0
	if !ok {
		if w.gang != nil && len(w.gang.plan.workers) > 0 {
			q.undecided = true // the next pulse goes on with it
			return false
		}
		g.at++
		return false
	}
	g.rate.add(s.now, w.size())
	s.log.placedWaiter(w.class(), s.now-w.arrived, w.size())
	s.answerWaiter(slot, results, out)
	return true
}

// tryWaiter places the task of a waiter, or all of its gang. It reports false
// if that has to wait on.
func (s *State) tryWaiter(sess *session, slot int32) ([]wire.BatchResult, bool) {
	w := s.queue.at(slot)
	var m wire.Schedule
	a, b, results := s.alone(sess, nil), bundle{}, s.queue.one[:]
	if w.gang != nil {
		a.batch, a.gang, a.plan = true, true, &w.gang.plan
		b, results = bundle{tasks: w.gang.tasks, gang: true, distinct: w.gang.distinct}, make([]wire.BatchResult, len(w.gang.tasks))
	} else {
		m = s.queue.messageOf(w)
		a.member = &s.membersOf(s.queue.needsOf(w.Bucket))[0]
		b, results[0] = s.bundled(&m), wire.BatchResult{}
	}
	a.request.rank = rank{together, true, slot + 1, w.Priority()}
	failed, err := s.placeAll(a, b, results)
	if err == nil {
		return results, true
	}
	if err == planUndecided || mayWait(err.Code) || err.Code == wire.CodeInfeasible {
		return nil, false
	}
	for i := range results {
		results[i] = wire.BatchResult{Code: wire.CodeAllOrNone}
	}
	results[failed].Code = err.Code
	return results, true
}

// mayWait reports whether a task that is refused may be placed later.
func mayWait(c wire.Code) bool {
	return c == wire.CodeUnavailable || c == wire.CodeSearchLimit || c == wire.CodeLeaseLimit || c == wire.CodeOwnerLimit
}

// messageOf returns the request of a waiter that is no gang.
func (q *queue) messageOf(w *waiter) wire.Schedule {
	m := q.needsOf(w.Bucket).members[0].ask
	m.Task, m.Owner, m.Group, m.Key = w.task(), w.owner(), w.group(), w.idempotency()
	m.Priority, m.TTLMS, m.Preempt, m.OnPreempt = w.Priority(), w.ttl, w.preempt, w.onPreempt
	return m
}
