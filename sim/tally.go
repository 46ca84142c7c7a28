package sim

import (
	"math/bits"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// The names of resources that devices have.
const (
	gpu    = "gpu"
	gpuMem = "gpu_mem"
)

// kit is what a worker says that it has.
type kit struct {
	tags      []string
	slots     uint32
	resources map[string]int64
	devices   []wire.Device
}

// share is what one task takes of a worker beside a slot.
type share struct {
	resources map[string]int64 // none is 0
	devices   uint64
	exclusive bool
}

// tally is what some leases take of a kit together, counted with nothing but
// sums.
type tally struct {
	kit       *kit
	leases    int
	exclusive int
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

// present is the mask of the devices that are not missing.
func (k *kit) present() (mask uint64) {
	for i, d := range k.devices {
		if !d.Missing {
			mask |= 1 << i
		}
	}
	return mask
}

func (k *kit) tally() *tally {
	return &tally{kit: k, amounts: map[string]int64{}, devices: make([]deviceTally, len(k.devices))}
}

func (t *tally) add(s *share) {
	t.leases++
	if s.exclusive {
		t.exclusive++
	}
	for name, n := range s.resources {
		if name == gpuMem || name == gpu && len(t.devices) > 0 {
			continue
		}
		if _, ok := t.kit.resources[name]; !ok {
			t.astray = true
			continue
		}
		t.amounts[name] += n
	}
	if bits.Len64(s.devices) > len(t.devices) {
		t.astray = true
		return
	}
	for i := range t.devices {
		d := &t.devices[i]
		switch {
		case s.devices>>i&1 == 0:
			continue
		case s.exclusive || s.resources[gpu] > 0:
			d.wholes++
		default:
			d.shares += s.resources[gpuMem]
		}
		d.leases++
	}
}

// over reports whether more is taken than there is, with so many tasks outside
// leases.
func (t *tally) over(external uint32) bool {
	if uint64(t.leases)+uint64(external) > uint64(t.kit.slots) || t.exclusive > 0 && t.leases > 1 || t.astray {
		return true
	}
	for name, n := range t.amounts {
		if n > t.kit.resources[name] {
			return true
		}
	}
	for i, d := range t.devices {
		if d.wholes > 0 && d.leases > 1 || d.shares > t.kit.devices[i].Memory {
			return true
		}
	}
	return false
}

// loadUnit is the load of a full worker.
const loadUnit = 1 << 31

// load is the dominant share, as a fraction of loadUnit, which means that
// nothing more may come.
func (t *tally) load(external uint32) uint64 {
	slots := uint64(t.leases) + uint64(external)
	if t.exclusive > 0 || slots >= uint64(t.kit.slots) || t.over(external) {
		return loadUnit
	}
	load := slots * loadUnit / uint64(t.kit.slots)
	for name, n := range t.amounts {
		if n > 0 {
			load = max(load, uint64(n)*loadUnit/uint64(t.kit.resources[name]))
		}
	}
	taken, all := int64(0), int64(0)
	for i, d := range t.devices {
		if t.kit.devices[i].Missing {
			continue
		}
		memory := max(t.kit.devices[i].Memory, 1)
		all += memory
		if d.wholes > 0 {
			taken += memory
		} else {
			taken += d.shares
		}
	}
	if taken > 0 {
		load = max(load, uint64(taken)*loadUnit/uint64(all))
	}
	return min(load, loadUnit-1)
}

// place returns the devices that a task would get; false if it does not fit
// beside what is taken. Slots and load are not its business.
func (t *tally) place(resources map[string]int64, exclusive bool) (mask uint64, ok bool) {
	for name, n := range resources {
		if name != gpuMem && (name != gpu || len(t.devices) == 0) {
			has, offered := t.kit.resources[name]
			if !offered || has-t.amounts[name] < n {
				return 0, false
			}
		}
	}
	count, memory := resources[gpu], resources[gpuMem]
	if len(t.devices) == 0 {
		return 0, memory == 0
	}
	if count == 0 && memory > 0 {
		mask, ok = t.placeShare(memory)
	} else {
		mask, ok = t.placeWhole(count, memory)
	}
	if exclusive {
		mask = t.kit.present()
	}
	return mask, ok
}

// placeShare is best fit: the device with the least left that is enough.
func (t *tally) placeShare(memory int64) (mask uint64, ok bool) {
	best := int64(0)
	for i, d := range t.devices {
		left := t.kit.devices[i].Memory - d.shares
		if !t.kit.devices[i].Missing && d.wholes == 0 && left >= memory && (!ok || left < best) {
			mask, best, ok = 1<<i, left, true
		}
	}
	return mask, ok
}

// placeWhole takes the smallest devices that are free and large enough.
func (t *tally) placeWhole(count, memory int64) (mask uint64, ok bool) {
	var free []int
	for i, d := range t.devices {
		if has := t.kit.devices[i]; !has.Missing && d.leases == 0 && has.Memory >= memory {
			free = append(free, i)
		}
	}
	if int64(len(free)) < count {
		return 0, false
	}
	slices.SortStableFunc(free, func(a, b int) int { return int(t.kit.devices[a].Memory - t.kit.devices[b].Memory) })
	for _, i := range free[:count] {
		mask |= 1 << i
	}
	return mask, true
}

// used is what is listed as taken: of each resource, and of the devices
// together.
func (t *tally) used() map[string]int64 {
	used := map[string]int64{}
	for name, has := range t.kit.resources {
		if used[name] = t.amounts[name]; t.exclusive > 0 {
			used[name] = max(used[name], has)
		}
	}
	if len(t.devices) > 0 {
		used[gpu], used[gpuMem] = 0, 0
	}
	for i := range t.devices {
		row := t.device(i)
		if row.Missing {
			continue
		}
		used[gpuMem] += row.Used
		if row.Whole {
			used[gpu]++
		}
	}
	return used
}

// device is what is listed of one device.
func (t *tally) device(i int) wire.DeviceInfo {
	d, has := t.devices[i], t.kit.devices[i]
	row := wire.DeviceInfo{Model: has.Model, Memory: has.Memory, UUID: has.UUID, Used: d.shares, Leases: uint32(d.leases), Missing: has.Missing}
	if row.Whole = d.wholes > 0; row.Whole {
		row.Used = has.Memory
	}
	return row
}

// lacks is the largest share of a dimension that is missing for a task, as a
// load.
func (t *tally) lacks(q *asked, external uint32) uint64 {
	used, slots := uint64(t.leases)+uint64(external), uint64(t.kit.slots)
	switch {
	case t.exclusive > 0 || t.over(external):
		return loadUnit
	case q.exclusive:
		return min(used*loadUnit/slots, loadUnit)
	}
	worst := uint64(0)
	part := func(lack, of int64) {
		if lack >= of {
			worst = loadUnit
		} else if lack > 0 {
			worst = max(worst, uint64(lack)*loadUnit/uint64(of))
		}
	}
	part(int64(used)+1-int64(slots), int64(slots))
	for name, n := range q.resources {
		if has, plain := t.kit.resources[name]; plain {
			part(n-(has-t.amounts[name]), has)
		}
	}
	count, memory := q.resources[gpu], q.resources[gpuMem]
	if len(t.devices) == 0 || count == 0 && memory == 0 {
		return worst
	}
	free, most := int64(0), int64(0)
	for i, d := range t.devices {
		if t.kit.devices[i].Missing {
			continue
		}
		if d.leases == 0 && t.kit.devices[i].Memory >= memory {
			free++
		}
		if d.wholes == 0 {
			most = max(most, t.kit.devices[i].Memory-d.shares)
		}
	}
	if count > 0 {
		part(count-free, int64(len(t.devices)))
	} else {
		part(memory-most, memory)
	}
	return worst
}

// holds is how many tasks that ask for something an idle worker runs at once.
func (k *kit) holds(q *asked) int64 {
	most := int64(k.slots)
	for name, n := range q.resources {
		if has, plain := k.resources[name]; plain {
			most = min(most, has/n)
		}
	}
	count, memory := q.resources[gpu], q.resources[gpuMem]
	if len(k.devices) > 0 && (count > 0 || memory > 0) {
		fit := int64(0)
		for _, d := range k.devices {
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
