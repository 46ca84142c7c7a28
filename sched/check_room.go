package sched

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// checkRoom adds up what each worker's leases take and compares it with what is
// kept (I1, I2), and what the index was told of the rest (I6).
func (s *State) checkRoom() error {
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known {
			continue
		}
		if err := s.checkHeld(w); err != nil {
			return fmt.Errorf("worker %q: %w", w.id, err)
		}
		if room := s.index.Room(index.Worker(n)); w.eligible && !slices.Equal(room, s.room(w)) {
			return fmt.Errorf("I6: worker %q: the index knows room %v, and there is %v", w.id, room, s.room(w))
		}
	}
	return nil
}

// checkHeld counts the leases of one worker.
func (s *State) checkHeld(w *worker) error {
	sums, exclusive := map[string]int64{}, uint16(0)
	shares := make([]int64, wire.MaxDevices)
	wholes := make([]int, wire.MaxDevices)
	for e := w.head; e != 0; e = s.leases.slots.At(e - 1).next {
		l := s.leases.slots.At(e - 1)
		d := s.demands.at(l.demand)
		for _, a := range d.Amounts {
			sums[a.Name] += a.Amount
		}
		whole := d.GPUs > 0
		if l.flags&leaseExclusive != 0 {
			exclusive, whole = exclusive+1, true
		}
		if bits.Len64(l.devices()) > len(w.kit.devices) {
			continue // it counts as astray
		}
		for i := range w.kit.devices {
			switch taken := l.devices()>>i&1 != 0; {
			case taken && whole:
				wholes[i]++
			case taken:
				shares[i] += d.Memory
			}
		}
	}
	if exclusive != w.exclusive {
		return fmt.Errorf("I1: %d exclusive leases, counted %d", exclusive, w.exclusive)
	}
	if w.uncounted > 0 {
		return nil // a registration that is under way counts them
	}
	for i, o := range w.kit.Limits {
		if name := s.dims.names[o.Dim]; w.held.Amounts[i] != sums[name] {
			return fmt.Errorf("I1: leases take %d of %s, counted %d", sums[name], name, w.held.Amounts[i])
		}
	}
	for i := range w.kit.devices {
		if g := &w.held.Devices[i]; g.Shares != shares[i] || int(g.Wholes) != wholes[i] {
			return fmt.Errorf("I5: leases take %d MiB and %d times all of device %d, counted %d and %d",
				shares[i], wholes[i], i, g.Shares, g.Wholes)
		}
	}
	return nil
}

// checkDemands counts the leases of each demand and the kits of each dimension.
func (s *State) checkDemands() error {
	refs := make([]int, len(s.demands.list))
	for slot := range int32(s.leases.slots.Len()) {
		if l := s.leases.slots.At(slot); l.live() {
			refs[l.demand]++
		}
	}
	for _, c := range s.queue.list.Classes() {
		g := s.queue.needs.At(c.Slot)
		for i := range g.members {
			refs[g.members[i].demand]++
		}
	}
	for n, d := range s.demands.list {
		if d.refs != refs[n] {
			return fmt.Errorf("%d leases and groups of waiters have the demand %q, counted %d", refs[n], d.raw, d.refs)
		}
		if d.refs > 0 && n != int(noDemand) && s.demands.byRaw[d.raw] != uint32(n) {
			return fmt.Errorf("the demand %q is not found", d.raw)
		}
	}
	var dims [dimCount]int
	for _, k := range s.kits {
		for _, o := range k.Limits {
			dims[o.Dim]++
		}
	}
	if dims != s.dims.refs {
		return fmt.Errorf("kits offer dimensions %v, counted %v", dims, s.dims.refs)
	}
	return nil
}
