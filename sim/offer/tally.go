// Package offer is what a worker offers, a task asks for and leases take, in plain
// Go values and sums: the arithmetic of all judges of the simulator.
package offer

import (
	"math/bits"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// The names of resources that devices have.
const (
	GPU    = "gpu"
	GPUMem = "gpu_mem"
)

// Kit is what a worker says that it has.
type Kit struct {
	Tags      []string
	Slots     uint32
	Resources map[string]int64
	Devices   []wire.Device
}

// Share is what one task takes of a worker beside a slot.
type Share struct {
	Resources map[string]int64 // none is 0
	Devices   uint64
	Exclusive bool
}

// Tally is what some leases take of a kit together, counted with nothing but
// sums.
type Tally struct {
	kit       *Kit
	Leases    int
	Exclusive int
	amounts   map[string]int64
	devices   []deviceTally
	astray    bool // a lease takes what the kit does not have
}

// deviceTally is what they take of one device.
type deviceTally struct {
	shares int64
	leases int
	wholes int
}

// Present is the mask of the devices that are not missing.
func (k *Kit) Present() (mask uint64) {
	for i, d := range k.Devices {
		if !d.Missing {
			mask |= 1 << i
		}
	}
	return mask
}

// Tally returns the count of a kit of which nothing is taken.
func (k *Kit) Tally() *Tally {
	return &Tally{kit: k, amounts: map[string]int64{}, devices: make([]deviceTally, len(k.Devices))}
}

// Add counts what one more task takes.
func (t *Tally) Add(s *Share) {
	t.Leases++
	if s.Exclusive {
		t.Exclusive++
	}
	for name, n := range s.Resources {
		if name == GPUMem || name == GPU && len(t.devices) > 0 {
			continue
		}
		if _, ok := t.kit.Resources[name]; !ok {
			t.astray = true
			continue
		}
		t.amounts[name] += n
	}
	if bits.Len64(s.Devices) > len(t.devices) {
		t.astray = true
		return
	}
	for i := range t.devices {
		d := &t.devices[i]
		switch {
		case s.Devices>>i&1 == 0:
			continue
		case s.Exclusive || s.Resources[GPU] > 0:
			d.wholes++
		default:
			d.shares += s.Resources[GPUMem]
		}
		d.leases++
	}
}

// Over reports whether more is taken than there is, with so many tasks outside
// leases.
func (t *Tally) Over(external uint32) bool {
	if uint64(t.Leases)+uint64(external) > uint64(t.kit.Slots) || t.Exclusive > 0 && t.Leases > 1 || t.astray {
		return true
	}
	for name, n := range t.amounts {
		if n > t.kit.Resources[name] {
			return true
		}
	}
	for i, d := range t.devices {
		if d.wholes > 0 && d.leases > 1 || d.shares > t.kit.Devices[i].Memory {
			return true
		}
	}
	return false
}

// loadUnit is the load of a full worker.
const LoadUnit = 1 << 31

// Load is the dominant share, as a fraction of LoadUnit, which means that
// nothing more may come.
func (t *Tally) Load(external uint32) uint64 {
	slots := uint64(t.Leases) + uint64(external)
	if t.Exclusive > 0 || slots >= uint64(t.kit.Slots) || t.Over(external) {
		return LoadUnit
	}
	load := slots * LoadUnit / uint64(t.kit.Slots)
	for name, n := range t.amounts {
		if n > 0 {
			load = max(load, uint64(n)*LoadUnit/uint64(t.kit.Resources[name]))
		}
	}
	taken, all := int64(0), int64(0)
	for i, d := range t.devices {
		if t.kit.Devices[i].Missing {
			continue
		}
		memory := max(t.kit.Devices[i].Memory, 1)
		all += memory
		if d.wholes > 0 {
			taken += memory
		} else {
			taken += d.shares
		}
	}
	if taken > 0 {
		load = max(load, uint64(taken)*LoadUnit/uint64(all))
	}
	return min(load, LoadUnit-1)
}

// Place returns the devices that a task would get; false if it does not fit
// beside what is taken. Slots and load are not its business.
func (t *Tally) Place(resources map[string]int64, exclusive bool) (mask uint64, ok bool) {
	for name, n := range resources {
		if name != GPUMem && (name != GPU || len(t.devices) == 0) {
			has, offered := t.kit.Resources[name]
			if !offered || has-t.amounts[name] < n {
				return 0, false
			}
		}
	}
	count, memory := resources[GPU], resources[GPUMem]
	if len(t.devices) == 0 {
		return 0, memory == 0
	}
	if count == 0 && memory > 0 {
		mask, ok = t.placeShare(memory)
	} else {
		mask, ok = t.placeWhole(count, memory)
	}
	if exclusive {
		mask = t.kit.Present()
	}
	return mask, ok
}

// placeShare is best fit: the device with the least left that is enough.
func (t *Tally) placeShare(memory int64) (mask uint64, ok bool) {
	best := int64(0)
	for i, d := range t.devices {
		left := t.kit.Devices[i].Memory - d.shares
		if !t.kit.Devices[i].Missing && d.wholes == 0 && left >= memory && (!ok || left < best) {
			mask, best, ok = 1<<i, left, true
		}
	}
	return mask, ok
}

// placeWhole takes the smallest devices that are free and large enough.
func (t *Tally) placeWhole(count, memory int64) (mask uint64, ok bool) {
	var free []int
	for i, d := range t.devices {
		if has := t.kit.Devices[i]; !has.Missing && d.leases == 0 && has.Memory >= memory {
			free = append(free, i)
		}
	}
	if int64(len(free)) < count {
		return 0, false
	}
	slices.SortStableFunc(free, func(a, b int) int { return int(t.kit.Devices[a].Memory - t.kit.Devices[b].Memory) })
	for _, i := range free[:count] {
		mask |= 1 << i
	}
	return mask, true
}

// Used is what is listed as taken: of each resource, and of the devices
// together.
func (t *Tally) Used() map[string]int64 {
	used := map[string]int64{}
	for name, has := range t.kit.Resources {
		if used[name] = t.amounts[name]; t.Exclusive > 0 {
			used[name] = max(used[name], has)
		}
	}
	if len(t.devices) > 0 {
		used[GPU], used[GPUMem] = 0, 0
	}
	for i := range t.devices {
		row := t.device(i)
		if row.Missing {
			continue
		}
		used[GPUMem] += row.Used
		if row.Whole {
			used[GPU]++
		}
	}
	return used
}

// device is what is listed of one device.
func (t *Tally) device(i int) wire.DeviceInfo {
	d, has := t.devices[i], t.kit.Devices[i]
	row := wire.DeviceInfo{Model: has.Model, Memory: has.Memory, UUID: has.UUID, Used: d.shares, Leases: uint32(d.leases), Missing: has.Missing}
	if row.Whole = d.wholes > 0; row.Whole {
		row.Used = has.Memory
	}
	return row
}

// Lacks is the largest share of a dimension that is missing for a task, as a
// load.
func (t *Tally) Lacks(q *Asked, external uint32) uint64 {
	used, slots := uint64(t.Leases)+uint64(external), uint64(t.kit.Slots)
	switch {
	case t.Exclusive > 0 || t.Over(external):
		return LoadUnit
	case q.Exclusive:
		return min(used*LoadUnit/slots, LoadUnit)
	}
	worst := uint64(0)
	part := func(lack, of int64) {
		if lack >= of {
			worst = LoadUnit
		} else if lack > 0 {
			worst = max(worst, uint64(lack)*LoadUnit/uint64(of))
		}
	}
	part(int64(used)+1-int64(slots), int64(slots))
	for name, n := range q.Resources {
		if has, plain := t.kit.Resources[name]; plain {
			part(n-(has-t.amounts[name]), has)
		}
	}
	count, memory := q.Resources[GPU], q.Resources[GPUMem]
	if len(t.devices) == 0 || count == 0 && memory == 0 {
		return worst
	}
	free, most := int64(0), int64(0)
	for i, d := range t.devices {
		if t.kit.Devices[i].Missing {
			continue
		}
		if d.leases == 0 && t.kit.Devices[i].Memory >= memory {
			free++
		}
		if d.wholes == 0 {
			most = max(most, t.kit.Devices[i].Memory-d.shares)
		}
	}
	if count > 0 {
		part(count-free, int64(len(t.devices)))
	} else {
		part(memory-most, memory)
	}
	return worst
}

// Holds is how many tasks that ask for something an idle worker runs at once.
func (k *Kit) Holds(q *Asked) int64 {
	most := int64(k.Slots)
	for name, n := range q.Resources {
		if has, plain := k.Resources[name]; plain {
			most = min(most, has/n)
		}
	}
	count, memory := q.Resources[GPU], q.Resources[GPUMem]
	if len(k.Devices) > 0 && (count > 0 || memory > 0) {
		fit := int64(0)
		for _, d := range k.Devices {
			switch {
			case d.Missing, d.Memory < memory:
			case count == 0:
				fit += d.Memory / memory
			default:
				fit++
			}
		}
		most = min(most, fit/max(count, 1))
	}
	return max(most, 1)
}

// BitsOf lists the numbers of the devices of a mask.
func BitsOf(mask uint64) (numbers []int) {
	for i := range 64 {
		if mask>>i&1 != 0 {
			numbers = append(numbers, i)
		}
	}
	return numbers
}
