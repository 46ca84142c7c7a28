package sched

import "github.com/dtask/dtask-scheduler/capacity"

// The dimensions of a worker with devices. Their numbers are fixed and the
// smallest, so they lead the room that the index is told.
const (
	dimGPU      = 0 // devices that nothing is taken of; without devices a plain amount
	dimShare    = 1 // memory left on the device, not taken whole, that has most
	dimWhole    = 2 // memory of the largest device that nothing is taken of
	dimFirst    = 3 // the numbers from here on are given to names
	dimCount    = capacity.NoDim
	deviceDims  = 1<<dimGPU | 1<<dimShare | 1<<dimWhole
	deviceRooms = 3 // how many they are
)

// dimTable numbers the resource names that workers offer. A number is free
// again when no kit offers its name.
type dimTable struct {
	byName  map[string]uint8
	names   [dimCount]string
	refs    [dimCount]int
	changes uint64 // of byName
}

func newDimTable() dimTable {
	t := dimTable{byName: map[string]uint8{capacity.GPU: dimGPU}}
	t.names[dimGPU] = capacity.GPU
	return t
}

// hold returns the number of a name and counts one more kit that offers it;
// false if no number is free.
func (t *dimTable) hold(name string) (uint8, bool) {
	if d, ok := t.byName[name]; ok {
		t.refs[d]++
		return d, true
	}
	for d := uint8(dimFirst); d < dimCount; d++ {
		if t.refs[d] == 0 {
			t.byName[name], t.names[d], t.refs[d] = d, name, 1
			t.changes++
			return d, true
		}
	}
	return 0, false
}

// drop counts one kit less for a number.
func (t *dimTable) drop(d uint8) {
	if t.refs[d]--; t.refs[d] == 0 && d >= dimFirst {
		delete(t.byName, t.names[d])
		t.names[d] = ""
		t.changes++
	}
}
