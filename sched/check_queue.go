package sched

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/sched/waitlist"
)

// checkQueue walks the queue: every waiter stands where it should, is counted
// once, and is found by its key (I14, I15); nobody waits for room that is there
// (I19).
func (s *State) checkQueue() error {
	q := &s.queue
	live, tasks, gangs, classed := 0, 0, 0, [classes]int{}
	for slot := range int32(q.waiters.Len()) {
		w := q.at(slot)
		if !w.waits() {
			continue
		}
		if live, tasks = live+1, tasks+w.size(); w.gang != nil {
			gangs++
		}
		classed[w.class()] += w.size()
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
	if live != q.list.Len() || tasks != q.list.Tasks() || gangs != q.gangs || s.log.waited != uint64(tasks)+ended {
		return fmt.Errorf("I14: %d waiters, %d tasks; counted %d, %d, and %d that came, %d that went", live, tasks, q.list.Len(), q.list.Tasks(), s.log.waited, ended)
	}
	if classed != q.classed {
		return fmt.Errorf("I14: %v tasks of each class wait, %v are counted", classed, q.classed)
	}
	for _, test := range []func() error{q.list.Check, s.checkOwners, s.checkOffers, s.checkNobodyWaits} {
		if err := test(); err != nil {
			return err
		}
	}
	return nil
}

// checkOwners compares the owners of waiters and leases with what the list has.
func (s *State) checkOwners() error {
	leases := map[string]int{}
	for slot := range int32(s.leases.slots.Len()) {
		if l := s.leases.slots.At(slot); l.live() {
			leases[string(l.owner())]++
		}
	}
	for slot := range int32(s.queue.waiters.Len()) {
		if w := s.queue.at(slot); w.waits() && (w.Slot != slot || w.Bucket.Queue.Owner.Name != string(w.owner()) || w.Bucket.Class.Size != w.size()) {
			return fmt.Errorf("I14: the waiter %q of %q, %d tasks, stands for %q", w.task(), w.owner(), w.size(), w.Bucket.Queue.Owner.Name)
		}
	}
	return s.queue.list.CheckLeases(leases)
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
		if !w.known || w.freed || q.cut || len(q.fresh) > 0 || s.leases.live >= s.cfg.MaxLeases || q.list.Unsought() > 0 {
			continue
		}
		for _, c := range q.list.Classes() {
			if !c.Gang && c.Servable() && s.fitsAny(q.needs.At(c.Slot), n, &rank{}) {
				return fmt.Errorf("I19: worker %q has room for what %d tasks wait for", w.id, c.Waiters())
			}
		}
	}
	return nil
}

// checkReservations looks whether workers are reserved for exactly those who are
// said to have them (I19), and counts the waiters that preempt (I18).
func (s *State) checkReservations() error {
	q, t := &s.queue, &s.reservations
	reserved, preempting, seeking := map[int32]*reservation{}, map[*waitlist.Owner]int{}, 0
	has := map[int32]bool{}
	for i, v := range t.list {
		w := q.at(v.waiter)
		switch {
		case !w.waits() || reserved[v.worker] != nil || v.priority != w.Priority() || (v.cause == preemption) != (i < t.preemptions):
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
	for _, o := range q.list.Owners() {
		if o.Reserved != preempting[o] {
			return fmt.Errorf("I18: waiters of %q have %d preemptions, counted %d", o.Name, preempting[o], o.Reserved)
		}
	}
	for slot := range int32(q.waiters.Len()) {
		if w := q.at(slot); w.waits() && w.preempt && !w.claimed {
			seeking++
		} else if w.waits() && w.claimed && !has[slot] {
			return fmt.Errorf("I18: the waiter %q has no reservation", w.task())
		}
	}
	if seeking != q.list.Seeking() {
		return fmt.Errorf("I18: %d waiters look for victims, counted %d", seeking, q.list.Seeking())
	}
	for n := range int32(s.workers.Len()) {
		if w := s.workers.At(n); w.reserved != reserved[n] {
			return fmt.Errorf("I19: worker %q is reserved for nobody", w.id)
		}
	}
	return nil
}

// checkOffers compares what each kit remembers of the classes that its workers could
// serve with a look at all classes.
func (s *State) checkOffers() error {
	kits, remembered := map[*kit]bool{}, 0
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known || kits[w.kit] {
			continue
		}
		kits[w.kit] = true
		classes, err := s.queue.list.CheckOffer(&w.kit.served, s.dims.changes, func(c *waitlist.Class) bool { return s.serves(n, c) })
		if err != nil {
			return fmt.Errorf("the kit of worker %q: %w", w.id, err)
		}
		remembered += classes
	}
	return s.queue.list.CheckRemembered(remembered)
}
