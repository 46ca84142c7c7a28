package sched

import (
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
)

// occupy adds what a lease takes to what its worker's leases take, or with -1
// subtracts it.
func (s *State) occupy(w *worker, l *lease, by int) {
	w.taken += uint32(by)
	if l.flags&leaseExclusive != 0 {
		w.exclusive += uint16(by)
	}
	if by < 0 && !w.isCounted(l) {
		w.uncounted--
		return
	}
	if l.demand != noDemand || l.flags&leaseDevices != 0 {
		s.occupyMore(w, l, by)
	}
}

// occupyMore is occupy for what a lease takes beside its slot.
func (s *State) occupyMore(w *worker, l *lease, by int) {
	if w.held == nil {
		w.held = capacity.NewUsed(&w.kit.Offer)
	}
	d := s.demands.at(l.demand)
	s.resolve(d)
	w.held.Add(&w.kit.Offer, &d.Demand, l.devices(), l.flags&leaseExclusive != 0, by)
}

// recount has what the leases of a worker take counted anew by the registration that
// changes its kit, unless nothing of it changes.
func (s *State) recount(w *worker, old *kit) {
	if old != nil && old.Dims == w.kit.Dims && len(old.devices) == len(w.kit.devices) {
		return
	}
	if w.held = nil; w.kit.dims != 0 {
		w.held = capacity.NewUsed(&w.kit.Offer)
	}
	w.parity, w.uncounted = !w.parity, w.taken
}

// overcommitted reports whether a worker holds more than it has room for: it
// shrank, or runs more outside leases than it has room left.
func (w *worker) overcommitted() bool {
	switch {
	case uint64(w.taken)+uint64(w.external) > uint64(w.slots), w.exclusive > 0 && w.taken > 1:
		return true
	case w.held == nil:
		return false
	}
	return w.held.Overbooked(&w.kit.Offer)
}

// load is the worker's load for the index: the dominant share (Ghodsi et al.,
// Dominant Resource Fairness, NSDI 2011) over its slots and resources. It is
// index.Full exactly when the worker may get nothing.
func (w *worker) load() uint32 {
	load := index.Load(uint64(w.taken)+uint64(w.external), uint64(w.slots))
	if w.exclusive > 0 {
		return index.Full
	}
	if w.held == nil || load == index.Full {
		return load
	}
	if w.overcommitted() {
		return index.Full
	}
	for i, o := range w.kit.Limits {
		if n := w.held.Amounts[i]; n > 0 {
			load = max(load, index.Load(uint64(n), uint64(o.Amount)))
		}
	}
	if len(w.held.Devices) > 0 {
		taken := int64(0)
		for i := range w.held.Devices {
			switch t, m := &w.held.Devices[i], &w.kit.Devices[i]; {
			case m.Missing:
			case t.Wholes > 0:
				taken += weight(m.MiB)
			default:
				taken += t.Shares
			}
		}
		if taken > 0 {
			load = max(load, index.Load(uint64(taken), uint64(w.kit.memory)))
		}
	}
	return min(load, index.Full-1)
}

// room returns what is free on a worker in each of its dimensions, for the
// index. It is valid until the next call.
func (s *State) room(w *worker) []int64 {
	if w.kit == nil || w.kit.dims == 0 {
		return nil
	}
	return s.roomOf(w, w.kit)
}

func (s *State) roomOf(w *worker, k *kit) []int64 {
	room := s.roomBuf[:0]
	if len(k.devices) > 0 {
		room = append(room, 0, 0, 0)
		w.deviceRoom((*[deviceRooms]int64)(room))
	}
	for i, o := range k.Limits {
		free := max(0, o.Amount-w.held.Amounts[i])
		if w.exclusive > 0 {
			free = 0
		}
		room = append(room, free)
	}
	s.roomBuf = room
	return room
}

// deviceRoom fills in the dimensions of the devices.
func (w *worker) deviceRoom(room *[deviceRooms]int64) {
	if w.exclusive > 0 {
		return
	}
	for i := range w.held.Devices {
		g, memory := &w.held.Devices[i], w.kit.Devices[i].MiB
		if w.kit.Devices[i].Missing {
			continue
		}
		if g.Leases == 0 {
			room[dimGPU]++
			room[dimWhole] = max(room[dimWhole], memory)
		}
		if g.Wholes == 0 {
			room[dimShare] = max(room[dimShare], memory-g.Shares)
		}
	}
}

// pick chooses the devices of a worker that a task takes; false if they do not
// fit.
func (s *State) pick(w *worker, d *demand, exclusive bool) (uint64, bool) {
	if exclusive {
		return w.kit.present, true
	}
	if w.held == nil {
		return 0, true
	}
	return w.held.Pick(&w.kit.Offer, &d.Demand, &s.deviceBuf)
}
