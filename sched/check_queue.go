package sched

import "fmt"

// checkQueue walks the queue: every waiter stands where it should, is counted
// once, and is found by its key (I14, I15); nobody waits for room that is there
// (I19).
func (s *State) checkQueue() error {
	q := &s.queue
	live, tasks, owners, classed := 0, 0, map[string]int{}, [classes]int{}
	for slot := range int32(q.waiters.n) {
		w := q.at(slot)
		if !w.live {
			continue
		}
		live, tasks = live+1, tasks+w.size()
		owners[string(w.owner())] += w.size()
		classed[classOf(w.line.turn.level.priority)] += w.size()
		if got, ok := s.waitingFor(w.client, w.key()); w.hash != 0 && (!ok || got != slot) {
			return fmt.Errorf("I15: the waiter %q is not found by its key", w.task())
		}
		if q.waits.at(slot) == Never {
			return fmt.Errorf("the wait of %q has no end", w.task())
		}
	}
	ended := uint64(0)
	for _, n := range s.count.waits {
		ended += n
	}
	if live != q.n || tasks != q.tasks || s.count.waited != uint64(tasks)+ended {
		return fmt.Errorf("I14: %d waiters, %d tasks; counted %d, %d, and %d that came, %d that went", live, tasks, q.n, q.tasks, s.count.waited, ended)
	}
	if classed != q.classed {
		return fmt.Errorf("I14: %v tasks of each class wait, %v are counted", classed, q.classed)
	}
	if len(owners) != len(q.owners) {
		return fmt.Errorf("I14: %d owners wait, %d are counted", len(owners), len(q.owners))
	}
	for owner, n := range owners {
		if q.owners[owner] != n {
			return fmt.Errorf("I14: %d tasks of %q wait, %d are counted", n, owner, q.owners[owner])
		}
	}
	if err := s.checkLines(); err != nil {
		return err
	}
	return s.checkNobodyWaits()
}

// checkLines walks levels, turns and lines in their order (I16).
func (s *State) checkLines() error {
	q, n, wants := &s.queue, 0, map[*want]int{}
	for i, l := range q.levels {
		if i > 0 && q.levels[i-1].priority <= l.priority {
			return fmt.Errorf("I16: the priority %d comes behind %d", l.priority, q.levels[i-1].priority)
		}
		turns := 0
		for t := l.first; t != nil; t = t.next {
			turns++
			last := uint64(0)
			for ln := t.first; ln != nil; ln = ln.next {
				if head := q.number(ln); head <= last {
					return fmt.Errorf("I16: a line with the head %d comes behind %d", head, last)
				}
				last = 0
				for e := ln.head; e != 0; e = q.at(e - 1).next {
					w := q.at(e - 1)
					if w.line != ln || w.number <= last {
						return fmt.Errorf("I16: the waiter %q stands in a wrong place", w.task())
					}
					last = w.number
					n++
					wants[ln.want]++
				}
				last = q.number(ln)
			}
		}
		if turns != len(l.byOwner) || turns == 0 {
			return fmt.Errorf("the priority %d has %d owners, %d are known", l.priority, turns, len(l.byOwner))
		}
	}
	if n != q.n || len(wants) != len(q.wants) || len(q.all) != len(q.wants) {
		return fmt.Errorf("%d waiters stand in lines of %d, for %d wants of %d", n, q.n, len(wants), len(q.wants))
	}
	for g, n := range wants {
		if g.n != n || q.all[g.place] != g {
			return fmt.Errorf("a want has %d waiters, %d are counted", n, g.n)
		}
	}
	return nil
}

// checkNobodyWaits looks for a worker with room that somebody waits for, unless
// it was freed just now and a pulse is due (I19). Whether a gang could be
// placed is not known by a look at one worker.
func (s *State) checkNobodyWaits() error {
	q := &s.queue
	if err := s.checkHolds(); err != nil {
		return err
	}
	for n := range int32(s.workers.n) {
		w := s.workers.at(n)
		if !w.known || w.freed || s.leases.live >= s.cfg.MaxLeases {
			continue
		}
		for _, g := range q.all {
			if !g.gang && s.hasRoomFor(g, n) {
				return fmt.Errorf("I19: worker %q has room for what %d tasks wait for", w.id, g.n)
			}
		}
	}
	return nil
}

// checkHolds looks whether workers are held for exactly those who are said to
// hold them (I19), and counts the waiters that preempt (I18).
func (s *State) checkHolds() error {
	q := &s.queue
	held, seeking := map[int32]bool{}, 0
	for _, n := range q.hold.workers {
		held[n] = true
	}
	for i, c := range q.claims {
		w := q.at(c.slot)
		if !w.live || !w.preempt || !w.claimed || held[c.worker] || i > 0 && q.claims[i-1].until > c.until {
			return fmt.Errorf("I18: the claim %+v of %q", c, w.task())
		}
		held[c.worker] = true
	}
	for slot := range int32(q.waiters.n) {
		if w := q.at(slot); w.live && w.preempt && !w.claimed {
			seeking++
		} else if w.live && w.claimed && q.claimOf(slot) < 0 {
			return fmt.Errorf("I18: the waiter %q claims no worker", w.task())
		}
	}
	if seeking != q.seeking {
		return fmt.Errorf("I18: %d waiters look for victims, counted %d", seeking, q.seeking)
	}
	for n := range int32(s.workers.n) {
		if w := s.workers.at(n); w.reserved != held[n] {
			return fmt.Errorf("I19: worker %q is held for nobody", w.id)
		}
	}
	return nil
}
