package sched

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// Check tests every invariant that can be seen on one state and returns the
// first violation. It visits everything. The numbers are those of the list of
// invariants in docs/architecture.md.
func (s *State) Check() error {
	for _, test := range []func() error{s.checkWorkers, s.checkRoom, s.checkDemands, s.checkLeases, s.checkKeys, s.checkTotals, s.checkQueue, s.checkCordons, s.checkText, s.checkHealth, s.checkGPUs, s.index.Check} {
		if err := test(); err != nil {
			return err
		}
	}
	return nil
}

// checkWorkers walks each worker's leases: the room taken is the room of its
// live leases (I1, I2), and the index knows what the worker is (I4, I6).
func (s *State) checkWorkers() error {
	known := 0
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known {
			continue
		}
		known++
		if m, ok := s.byID[w.id]; !ok || m != n {
			return fmt.Errorf("worker %q: its id leads to %d, not %d", w.id, m, n)
		}
		count, prev, digest, preemptible := uint32(0), int32(0), uint64(0), uint32(0)
		for e := w.head; e != 0; e = s.leases.slots.At(e - 1).next {
			l := s.leases.slots.At(e - 1)
			if !l.live() || l.worker != n || l.prev != prev {
				return fmt.Errorf("I9: worker %q lists lease %v, which is in state %d of worker %d", w.id, l.id, l.state, l.worker)
			}
			if (l.state == wire.StateAssumed) != (w.http != nil) {
				return fmt.Errorf("worker %q: lease %v in state %d is of the other kind of worker", w.id, l.id, l.state)
			}
			if l.state == wire.StateBegun {
				digest ^= l.id.Digest()
			}
			if l.flags&leasePreemptible != 0 {
				preemptible++
			}
			if r := s.requests[e-1]; r != nil && l.flags&leaseRequeue == 0 {
				return fmt.Errorf("I18: the request of lease %v is kept for nothing", l.id)
			}
			count, prev = count+1, e
		}
		if preemptible != w.preemptible {
			return fmt.Errorf("I18: worker %q: %d of its leases may be preempted, counted %d", w.id, preemptible, w.preemptible)
		}
		if digest != w.digest {
			return fmt.Errorf("worker %q: digest %x, and %x by its leases", w.id, w.digest, digest)
		}
		if count != w.taken || w.tail != prev {
			return fmt.Errorf("I1: worker %q: %d slots taken by %d leases", w.id, w.taken, count)
		}
		if err := s.checkPlace(n, w); err != nil {
			return err
		}
	}
	if known != len(s.byID) {
		return fmt.Errorf("%d workers known, %d ids", known, len(s.byID))
	}
	return nil
}

// checkPlace compares a worker with what the index and the timers hold of it.
func (s *State) checkPlace(n int32, w *worker) error {
	load, eligible := s.index.LoadOf(index.Worker(n)), s.index.Eligible(index.Worker(n))
	want := !w.leaving && w.presence == online && w.cordon == nil && w.admits != health.Closed && w.reserved == nil && (w.http != nil || (w.promised && w.session != 0))
	switch {
	case !s.index.Known(index.Worker(n)) || load != w.load():
		return fmt.Errorf("I6: worker %q: load %d in the index, %d by its leases", w.id, load, w.load())
	case eligible != want || w.eligible != want:
		return fmt.Errorf("I4: worker %q is eligible: %v, and should be: %v", w.id, eligible, want)
	case s.timers.At(n) == Never && !w.leaving:
		return fmt.Errorf("worker %q: no timer watches its silence", w.id)
	}
	if w.session != 0 {
		sess := s.sessions[w.session]
		if sess == nil && slices.ContainsFunc(s.closings, func(c closing) bool { return c.id == w.session }) {
			return nil
		}
		if sess == nil || int(w.handle) >= len(sess.links) || sess.links[w.handle].worker != n {
			return fmt.Errorf("worker %q: its session does not know it", w.id)
		}
	}
	return nil
}

// checkLeases looks at every slot: a live lease belongs to a worker and has a
// timer exactly while its client must keep it, or it must make room (I9, I18).
func (s *State) checkLeases() error {
	live := 0
	for slot := range int32(s.leases.slots.Len()) {
		l := s.leases.slots.At(slot)
		timed := s.expiry.At(slot) != Never
		wantTimed := l.state == wire.StateGranted || l.state == wire.StateAssumed || l.state == wire.StateBegun && l.flags&leasePreempted != 0
		if timed != wantTimed {
			return fmt.Errorf("lease %v in state %d has a timer: %v", l.id, l.state, timed)
		}
		if !l.live() {
			continue
		}
		live++
		if w := s.workers.At(l.worker); !w.known {
			return fmt.Errorf("I9: lease %v is of a worker that is gone", l.id)
		}
		if got, ok := s.leases.findOn(l.id, l.worker); !ok || got != slot {
			return fmt.Errorf("I9: lease %v is not found by its id", l.id)
		}
	}
	free := s.leases.nended
	for e := s.leases.free; e != 0; e = s.leases.slots.At(e - 1).next {
		if free++; s.leases.slots.At(e - 1).live() {
			return fmt.Errorf("I9: slot %d is free and holds a live lease", e-1)
		}
	}
	if live != s.leases.live || free != s.leases.nfree || live+free != s.leases.slots.Len() {
		return fmt.Errorf("I9: %d leases live, %d counted, %d free, %d counted, of %d", live, s.leases.live, free, s.leases.nfree, s.leases.slots.Len())
	}
	return nil
}

// checkKeys looks up every keyed lease by its key (I15).
func (s *State) checkKeys() error {
	keyed := 0
	for slot := range int32(s.leases.slots.Len()) {
		l := s.leases.slots.At(slot)
		if l.flags&leaseKeyed == 0 {
			continue
		}
		keyed++
		if got, ok := s.findKey(l.client, l.keyHash, l.key()); !ok || got != slot {
			return fmt.Errorf("I15: lease %v is not found by its key %q", l.id, l.key())
		}
	}
	if keyed != s.keys.n {
		return fmt.Errorf("I15: %d leases have keys, %d counted", keyed, s.keys.n)
	}
	return s.keys.check()
}

// checkTotals recounts what Stats reports (I14 for leases).
func (s *State) checkTotals() error {
	c, states, gone := fleetCount{}, s.leases.states, 0
	clear(states[:])
	for n := range int32(s.workers.Len()) {
		if w := s.workers.At(n); w.known {
			c.presence[w.presence]++
			if w.lost {
				gone++
			}
			if w.lost && w.presence != offline {
				return fmt.Errorf("worker %q: lost, and not offline", w.id)
			}
			if w.slots == 0 {
				c.slotless++
			}
			if w.presence == online {
				c.slots += int64(w.slots)
				c.used += int64(w.takenSlots()) + int64(w.external)
			}
		}
	}
	if err := s.checkServices(); err != nil {
		return err
	}
	claims := len(s.leases.adopted)
	for _, r := range s.leases.rivals {
		claims += len(r)
	}
	for slot := range int32(s.leases.slots.Len()) {
		if l := s.leases.slots.At(slot); l.live() {
			states[l.state]++
			if l.flags&leaseAdopted != 0 {
				claims--
			}
		}
	}
	if c.presence != s.count.presence || c.slotless != s.count.slotless || c.slots != s.count.slots || c.used != s.count.used || states != s.leases.states {
		return fmt.Errorf("totals: counted %v %d %d %v, kept %v %d %d %v", c.presence, c.slots, c.used, states,
			s.count.presence, s.count.slots, s.count.used, s.leases.states)
	}
	if gone != s.mass.gone {
		return fmt.Errorf("totals: %d workers became offline in a mass loss, kept %d", gone, s.mass.gone)
	}
	if claims != 0 {
		return fmt.Errorf("%d adopted leases are kept that do not live", claims)
	}
	return nil
}

// checkCordons looks whether workers and cordons know each other, and whether
// the drains with a deadline stand in order of it.
func (s *State) checkCordons() error {
	waiting := 0
	for id, c := range s.cordons {
		if n, known := s.byID[id]; known && s.workers.At(n).cordon != c {
			return fmt.Errorf("worker %q: it does not know its cordon", id)
		}
		if c.deadline != Never && c.deadline > s.now {
			waiting++
		}
		if c.worker != id || c.drained && !c.drain {
			return fmt.Errorf("the cordon of %q: %+v", id, c)
		}
	}
	h := &s.deadlines
	for i := range int32(h.Len()) {
		c := *h.At(i)
		if above := *h.At(max(i-1, 0) / 2); s.cordons[c.worker] != c || c.place != i+1 || c.sooner(above) {
			return fmt.Errorf("the deadline of %q, in place %d as %d: %d, the one above is %d", c.worker, i, c.place-1, c.deadline, above.deadline)
		}
	}
	if h.Len() < waiting {
		return fmt.Errorf("%d drains have a deadline, %d are waited for", waiting, h.Len())
	}
	return nil
}
