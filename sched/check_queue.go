package sched

import (
	"fmt"
	"slices"
)

// checkQueue walks the queue: every waiter stands where it should, is counted
// once, and is found by its key (I14, I15); nobody waits for room that is there
// (I19).
func (s *State) checkQueue() error {
	q := &s.queue
	live, tasks, gangs, classed := 0, 0, 0, [classes]int{}
	for slot := range int32(q.waiters.Len()) {
		w := q.at(slot)
		if !w.live {
			continue
		}
		if live, tasks = live+1, tasks+w.size(); w.gang != nil {
			gangs++
		}
		classed[classOf(w.priority())] += w.size()
		if got, ok := s.waitingFor(w.client, w.key()); w.hash != 0 && (!ok || got != slot) {
			return fmt.Errorf("I15: the waiter %q is not found by its key", w.task())
		}
		if q.waits.At(slot) == Never {
			return fmt.Errorf("the wait of %q has no end", w.task())
		}
	}
	ended := uint64(0)
	for _, n := range s.log.waitEnds {
		ended += n
	}
	if live != q.n || tasks != q.tasks || gangs != q.gangs || s.log.waited != uint64(tasks)+ended {
		return fmt.Errorf("I14: %d waiters, %d tasks; counted %d, %d, and %d that came, %d that went", live, tasks, q.n, q.tasks, s.log.waited, ended)
	}
	if classed != q.classed {
		return fmt.Errorf("I14: %v tasks of each class wait, %v are counted", classed, q.classed)
	}
	if err := s.checkOwners(); err != nil {
		return err
	}
	if err := s.checkRounds(); err != nil {
		return err
	}
	if err := s.checkTurns(); err != nil {
		return err
	}
	if err := s.checkServed(); err != nil {
		return err
	}
	return s.checkNobodyWaits()
}

// checkRounds walks the levels in their order, and the turns in each round.
func (s *State) checkRounds() error {
	q, back, lines := &s.queue, 0, map[*want]int{}
	for i, l := range q.levels {
		if i > 0 && q.levels[i-1].priority <= l.priority {
			return fmt.Errorf("I16: the priority %d comes behind %d", l.priority, q.levels[i-1].priority)
		}
		if l.first == nil {
			return fmt.Errorf("the priority %d has no turns", l.priority)
		}
		seeking := 0
		for t := l.first; t != nil; t = t.next {
			if !t.in || t.level != l || t.prev != nil && t.prev.stamp >= t.stamp {
				return fmt.Errorf("the turn of %q stands in a wrong place of the round", t.owner.name)
			}
			if seeking += t.seeking; t.back {
				back++
			}
			for ln := t.first; ln != nil; ln = ln.next {
				lines[ln.want]++
			}
		}
		if seeking != l.seeking {
			return fmt.Errorf("I18: %d waiters of the priority %d look for victims, counted %d", seeking, l.priority, l.seeking)
		}
	}
	if back != q.owners.back {
		return fmt.Errorf("%d turns have come back, %d are counted", back, q.owners.back)
	}
	for _, g := range q.all {
		if g.lines != lines[g] {
			return fmt.Errorf("a want has %d lines, %d are counted", lines[g], g.lines)
		}
	}
	return nil
}

// checkTurns walks the lines of every owner in their order (I16).
func (s *State) checkTurns() error {
	q, n, wants := &s.queue, 0, map[*want]int{}
	for _, o := range q.owners.byName {
		for i, t := range o.turns {
			if i > 0 && o.turns[i-1].level.priority <= t.level.priority || t.owner != o || t.in != (t.first != nil && !q.owners.full(o)) {
				return fmt.Errorf("a turn of %q stands in a wrong place, in the round: %v", o.name, t.in)
			}
			head := uint64(0)
			for ln := t.first; ln != nil; ln = ln.next {
				if q.number(ln) <= head {
					return fmt.Errorf("I16: a line with the head %d comes behind %d", q.number(ln), head)
				}
				head = q.number(ln)
			}
			for _, ln := range t.byWant {
				waiters, err := s.checkLine(ln)
				if err != nil {
					return err
				}
				n += waiters
				wants[ln.want] += waiters
			}
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

// checkLine walks the waiters of a line and counts them.
func (s *State) checkLine(ln *line) (n int, err error) {
	q, last := &s.queue, uint64(0)
	for e := ln.head; e != 0; e = q.at(e - 1).next {
		w := q.at(e - 1)
		if w.line != ln || w.number <= last {
			return 0, fmt.Errorf("I16: the waiter %q stands in a wrong place", w.task())
		}
		last = w.number
		n++
	}
	o := ln.turn.owner
	if n == 0 || ln.aside != (q.owners.most > 0 && ln.want.gang && ln.want.size > q.owners.left(o)) {
		return 0, fmt.Errorf("a line of %q with %d waiters of %d tasks is aside: %v", o.name, n, ln.want.size, ln.aside)
	}
	return n, nil
}

// checkOwners counts the leases and the waiting tasks of each owner, and the
// gangs that its limit concerns.
func (s *State) checkOwners() error {
	t, leases, waiting, gangs, full := &s.queue.owners, map[string]int{}, map[string]int{}, map[string]int{}, 0
	for slot := range int32(s.leases.slots.Len()) {
		if l := s.leases.slots.At(slot); l.live() && t.most > 0 {
			leases[string(l.owner())]++
		}
	}
	for slot := range int32(s.queue.waiters.Len()) {
		if w := s.queue.at(slot); w.live {
			waiting[string(w.owner())] += w.size()
			if t.most > 0 && w.gang != nil && w.prev == 0 {
				gangs[string(w.owner())]++
			}
		}
	}
	for name, o := range t.byName {
		if o.name != name || o.leases != leases[name] || o.waiting != waiting[name] || len(o.gangs) != gangs[name] {
			return fmt.Errorf("I14: the owner %q has %d leases, %d waiting tasks, %d lines of gangs, counted %d, %d, %d",
				name, leases[name], waiting[name], gangs[name], o.leases, o.waiting, len(o.gangs))
		}
		if t.most > 0 && o.seated != t.left(o) {
			return fmt.Errorf("the owner %q has %d leases left, its turns are seated for %d", name, t.left(o), o.seated)
		}
		if t.full(o) {
			full++
		}
		delete(leases, name)
		delete(waiting, name)
	}
	if len(leases)+len(waiting) > 0 || full != t.fulls {
		return fmt.Errorf("I14: owners are not known: of leases %v, of waiting tasks %v; %d are at their limit, %d are counted", leases, waiting, full, t.fulls)
	}
	return nil
}

// checkNobodyWaits looks for a worker with room that somebody waits for, unless
// it was freed just now and a pulse is due (I19). Whether a gang could be
// placed is not known by a look at one worker.
func (s *State) checkNobodyWaits() error {
	q := &s.queue
	if err := s.checkReservations(); err != nil {
		return err
	}
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known || w.freed || q.cut || len(q.fresh) > 0 || s.leases.live >= s.cfg.MaxLeases || q.owners.back > 0 {
			continue
		}
		for _, g := range q.all {
			if !g.gang && g.lines > 0 && s.fitsAny(g, n, &rank{}) {
				return fmt.Errorf("I19: worker %q has room for what %d tasks wait for", w.id, g.n)
			}
		}
	}
	return nil
}

// checkReservations looks whether workers are reserved for exactly those who are
// said to have them (I19), and counts the waiters that preempt (I18).
func (s *State) checkReservations() error {
	q, t := &s.queue, &s.reservations
	reserved, preempting, seeking := map[int32]*reservation{}, map[*owner]int{}, 0
	has := map[int32]bool{}
	for i, v := range t.list {
		w := q.at(v.waiter)
		switch {
		case !w.live || reserved[v.worker] != nil || v.priority != w.priority() || (v.cause == preemption) != (i < t.preemptions):
			return fmt.Errorf("I19: the reservation %+v of %q", v, w.task())
		case v.cause == bypass && v.waiter != t.bypassed()[0].waiter:
			return fmt.Errorf("I19: two bypassed waiters have reservations")
		case v.cause == preemption && (!w.preempt || !w.claimed || i > 0 && t.list[i-1].until > v.until):
			return fmt.Errorf("I18: the reservation %+v of %q", v, w.task())
		case v.cause == preemption:
			preempting[v.owner]++
			has[v.waiter] = true
		}
		reserved[v.worker] = v
	}
	for _, o := range q.owners.byName {
		if o.claims != preempting[o] {
			return fmt.Errorf("I18: waiters of %q have %d preemptions, counted %d", o.name, preempting[o], o.claims)
		}
	}
	for slot := range int32(q.waiters.Len()) {
		if w := q.at(slot); w.live && w.preempt && !w.claimed {
			seeking++
		} else if w.live && w.claimed && !has[slot] {
			return fmt.Errorf("I18: the waiter %q has no reservation", w.task())
		}
	}
	if seeking != q.seeking {
		return fmt.Errorf("I18: %d waiters look for victims, counted %d", seeking, q.seeking)
	}
	for n := range int32(s.workers.Len()) {
		if w := s.workers.At(n); w.reserved != reserved[n] {
			return fmt.Errorf("I19: worker %q is reserved for nobody", w.id)
		}
	}
	return nil
}

// checkServed compares what each kit remembers of the wants that its workers could
// serve with a look at all wants.
func (s *State) checkServed() error {
	q, kits, remembered := &s.queue, map[*kit]bool{}, 0
	for n := range int32(s.workers.Len()) {
		k := s.workers.At(n).kit
		if !s.workers.At(n).known || kits[k] {
			continue
		}
		kits[k] = true
		remembered += len(k.served.wants)
		if k.served.dims != s.dims.changes+1 {
			continue
		}
		wants := slices.DeleteFunc(slices.Clone(k.served.wants), func(g *want) bool { return g.gone })
		for _, g := range q.log.list {
			switch {
			case g.gone || g.number > k.served.upTo || !s.serves(n, g):
			case len(wants) == 0 || wants[0] != g:
				return fmt.Errorf("I19: the kit of worker %q does not know the want %d, which it could serve", s.workers.At(n).id, g.number)
			default:
				wants = wants[1:]
			}
		}
		if len(wants) > 0 {
			return fmt.Errorf("I19: the kit of worker %q cannot serve the want %d", s.workers.At(n).id, wants[0].number)
		}
	}
	if remembered > q.remembered {
		return fmt.Errorf("kits remember %d wants, %d are counted", remembered, q.remembered)
	}
	return nil
}
