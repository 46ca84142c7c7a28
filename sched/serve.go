package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// serveWork bounds the work of one event, or pulse, for those who wait. What is
// left over is done by the next pulses, which are due at once: they go on where it
// stopped.
const serveWork = TurnWork

// gotRoom notes that a worker may have room that it had not.
func (s *State) gotRoom(n int32) {
	if s.queue.n > 0 {
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
		if !w.live || s.leases.live >= s.cfg.MaxLeases || w.line.aside || !w.line.turn.in {
			continue
		}
		if s.lookAround(w.line, w.line) {
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
		if w := s.queue.at(slot); w.live && s.leases.live < s.cfg.MaxLeases && !w.line.aside && w.line.turn.in {
			s.lookAround(w.line, w.line)
		}
	}
}

// lookAround looks for a worker that fits each of some lines of a turn, and frees
// these workers. It reports whether there are any. When it is exhausted it stops, and
// goes on behind the lines it has looked at.
func (s *State) lookAround(first, last *line) (found bool) {
	for l := first; l != last.next && !s.exhausted(); l = l.next {
		if first != last && l.looked == l.turn.returns {
			continue
		}
		s.spend(taskWork)
		l.looked = l.turn.returns
		if n, ok := s.findFor(l); ok {
			s.gotRoom(n)
			found = true
		}
	}
	return found
}

// findFor returns a worker that fits one of the tasks of a line.
func (s *State) findFor(l *line) (int32, bool) {
	g := l.want
	for i := range g.members {
		ask := g.members[i].ask
		ask.Prefer, ask.Policy, ask.SpreadBy = nil, nil, nil
		a := s.alone(nil, nil)
		r := &a.request
		r.rank = l.rank()
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
// back with its lease. It is nobody's turn.
func (s *State) answerFound(out *Outbox) {
	q := &s.queue
	for _, slot := range q.found {
		w := q.at(slot)
		if !w.live || w.gang != nil || s.sessions[w.session] == nil {
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
// next pulse goes on with the wants that are left.
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
	marked := s.markWants(freed)
	for i := 0; marked && i < len(q.levels) && s.goesOn(freed); {
		l := q.levels[i]
		due = s.servePreemptions(due, l.priority, out)
		if _, found := q.findLevel(l.priority); found {
			s.handLevel(l, freed, out)
		}
		found := false
		if i, found = q.findLevel(l.priority); found {
			i++ // else nobody is left in its round, and it is gone
		}
	}
	if s.isCut(); q.cut || len(q.freed) != freed {
		return
	}
	for _, n := range q.freed {
		s.workers.At(n).freed, s.workers.At(n).passedBy = false, false
	}
	q.freed = q.freed[:0]
}

// isCut notes whether the walk through the queue stops for lack of time. The
// workers that it may have passed by are freed once more if they get room.
func (s *State) isCut() {
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
	return (q.left > 0 || q.owners.back > 0) && len(q.freed) == freed && !s.exhausted()
}

// handLevel goes round the owners of a priority. Those that it has passed have
// nothing that fits, and never will in this walk: room only shrinks.
func (s *State) handLevel(l *level, freed int, out *Outbox) {
	for t := l.first; t != nil && s.goesOn(freed); {
		slot := s.firstThatFits(t, freed)
		if slot == 0 {
			t = t.next
			continue
		}
		next := t.next
		s.spend(taskWork)
		ln := s.queue.at(slot - 1).line
		served := s.serveHead(slot-1, out)
		if served && !s.anyRoom() {
			s.queue.left = 0
			s.queue.round++ // no want is marked any more
		}
		if served {
			ln.looked = 0 // there may be room for the next as well
			s.queue.isOver(t)
		}
		switch {
		case !t.in:
			t = next
		case served:
			if t = next; t == nil {
				t = l.last // alone, or the last of the round
			}
		}
	}
}

// settled reports whether nobody may have room of whom it is not known.
func (q *queue) settled() bool { return len(q.freed) == 0 && q.owners.back == 0 }

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

// markWants marks the wants that one of the first of the freed workers could serve,
// and counts them. It reports false if it is exhausted before it is through.
func (s *State) markWants(freed int) bool {
	q := &s.queue
	for ; q.marked < freed; q.marked++ {
		f := q.freed[q.marked]
		if s.spend(1); s.exhausted() {
			return false
		}
		if !s.servesAny(f) {
			continue
		}
		wants, ok := s.wantsOf(f)
		if !ok {
			return false
		}
		s.spend(len(wants) / 8)
		for _, g := range wants {
			if g.round == q.round || g.lines == 0 {
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

// firstThatFits returns the head of the first line of a turn for which there is
// room, as slot + 1; 0 if there is none.
func (s *State) firstThatFits(t *turn, freed int) int32 {
	q := &s.queue
	if t.back {
		if s.lookAround(t.first, t.last); len(q.freed) > freed || s.exhausted() {
			return 0 // the walk begins again, or goes on here
		}
	}
	for l := t.first; l != nil; l = l.next {
		g, k := l.want, l.rank()
		if g.round != q.round {
			continue
		}
		for g.at < len(q.freed) && !s.fitsAny(g, q.freed[g.at], &k) {
			g.at++
			if s.spend(1); s.exhausted() {
				return 0
			}
		}
		if g.at < len(q.freed) {
			if !s.prepared(g) {
				return 0
			}
			return l.head
		}
		g.round = 0
		q.left--
	}
	q.isBack(t)
	return 0
}

// prepared brings what a want requires up to date, so that placing one of its tasks
// takes no long search. It reports false if it is exhausted before that.
func (s *State) prepared(g *want) bool {
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

// rank returns the rank of the waiters of a line, without what is reserved for one
// of them.
func (l *line) rank() rank {
	return rank{reach: together, queued: true, priority: l.turn.level.priority}
}

// serveHead places a waiter, the head of its line, and answers it. It reports
// false if there was no room for it after all, or nobody to tell.
func (s *State) serveHead(slot int32, out *Outbox) bool {
	q := &s.queue
	w := q.at(slot)
	g := w.line.want
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
		m = w.message()
		a.member = &s.membersOf(w.line.want)[0]
		b, results[0] = s.bundled(&m), wire.BatchResult{}
	}
	a.request.rank = rank{together, true, slot + 1, w.priority()}
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

// message is the request of a waiter that is no gang.
func (w *waiter) message() wire.Schedule {
	m := w.line.want.members[0].ask
	m.Task, m.Owner, m.Group, m.Key = w.task(), w.owner(), w.group(), w.idempotency()
	m.Priority, m.TTLMS, m.Preempt, m.OnPreempt = w.priority(), w.ttl, w.preempt, w.onPreempt
	return m
}
