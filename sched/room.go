package sched

import (
	"math/bits"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// holding is what the leases of a worker take beside its slots.
type holding struct {
	amounts []int64 // in the order of kit.plain
	devices []gpu   // in the order of kit.devices
	astray  int     // leases that take what the worker does not offer: it shrank
}

// gpu is what leases take of one device.
type gpu struct {
	shares int64  // MiB
	leases uint32 // that take some of it
	wholes uint32 // of these, the ones that take all of it
}

func newHolding(k *kit) *holding {
	return &holding{amounts: make([]int64, len(k.plain)), devices: make([]gpu, len(k.devices))}
}

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
		w.held = newHolding(w.kit)
	}
	d := s.demands.at(l.demand)
	s.resolve(d)
	astray := w.held.addAmounts(w.kit, d, int64(by))
	if !w.held.addDevices(w.kit, l, d, by) {
		astray = true
	}
	if astray {
		w.held.astray += by
	}
}

// addAmounts reports whether the worker lacks one of the dimensions.
func (h *holding) addAmounts(k *kit, d *demand, by int64) (astray bool) {
	for i, a := range d.amounts {
		dim := d.dims[i]
		switch {
		case a.name == resource.GPU && len(k.devices) > 0:
		case dim == noDim || k.plainDims&(1<<dim) == 0:
			astray = true
		default:
			h.amounts[placeIn(k.plainDims, dim)] += by * a.amount
		}
	}
	return astray
}

// addDevices reports whether the worker has all the devices of a lease.
func (h *holding) addDevices(k *kit, l *lease, d *demand, by int) bool {
	whole := d.gpus > 0 || l.flags&leaseExclusive != 0
	mask := l.devices()
	if bits.Len64(mask) > len(h.devices) {
		return false
	}
	for ; mask != 0; mask &= mask - 1 {
		g := &h.devices[bits.TrailingZeros64(mask)]
		g.leases += uint32(by)
		if whole {
			g.wholes += uint32(by)
		} else {
			g.shares += int64(by) * d.memory
		}
	}
	return true
}

// used is what is taken of a device, in MiB.
func (g *gpu) used(d *wire.Device) int64 {
	switch {
	case d.Missing:
		return 0
	case g.wholes > 0:
		return weight(d.Memory)
	}
	return g.shares
}

// overbooked reports whether more is taken of a device than there is.
func (g *gpu) overbooked(d *wire.Device) bool {
	return g.wholes > 0 && g.leases > 1 || g.shares > d.Memory
}

// recount has what the leases of a worker take counted anew by the registration that
// changes its kit, unless nothing of it changes.
func (s *State) recount(w *worker, old *kit) {
	if old != nil && old.plainDims == w.kit.plainDims && len(old.devices) == len(w.kit.devices) {
		return
	}
	if w.held = nil; w.kit.dims != 0 {
		w.held = newHolding(w.kit)
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
	case w.held.astray > 0:
		return true
	}
	for i, o := range w.kit.plain {
		if w.held.amounts[i] > o.capacity {
			return true
		}
	}
	for i := range w.held.devices {
		if w.held.devices[i].overbooked(&w.kit.devices[i]) {
			return true
		}
	}
	return false
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
	for i, o := range w.kit.plain {
		if n := w.held.amounts[i]; n > 0 {
			load = max(load, index.Load(uint64(n), uint64(o.capacity)))
		}
	}
	if len(w.held.devices) > 0 {
		taken := int64(0)
		for i := range w.held.devices {
			taken += w.held.devices[i].used(&w.kit.devices[i])
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
	for i, o := range k.plain {
		free := max(0, o.capacity-w.held.amounts[i])
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
	for i := range w.held.devices {
		g, memory := &w.held.devices[i], w.kit.devices[i].Memory
		if w.kit.devices[i].Missing {
			continue
		}
		if g.leases == 0 {
			room[dimGPU]++
			room[dimWhole] = max(room[dimWhole], memory)
		}
		if g.wholes == 0 {
			room[dimShare] = max(room[dimShare], memory-g.shares)
		}
	}
}

// pick chooses the devices of a worker that a task takes; false if they do not
// fit.
func (s *State) pick(w *worker, d *demand, exclusive bool) (uint64, bool) {
	n := len(w.kit.devices)
	switch {
	case exclusive:
		return w.kit.present, true
	case n == 0 || d.gpus == 0 && d.memory == 0:
		return 0, true
	}
	list := s.deviceBuf[:0]
	for i := range w.held.devices {
		g, dev := &w.held.devices[i], &w.kit.devices[i]
		list = append(list, resource.Device{Memory: dev.Memory, Used: g.shares, Leases: g.leases, Whole: g.wholes > 0 || dev.Missing})
		if dev.Missing {
			list[i].Leases++ // nothing new gets it
		}
	}
	s.deviceBuf = list
	if d.gpus > 0 {
		return resource.TakeWhole(list, d.gpus, d.memory)
	}
	return resource.TakeShare(list, d.memory)
}
