package sched

import (
	"encoding/binary"

	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// kind is what a worker offers as far as tasks can ask for it. Workers of one kind
// may have different kits: their devices have different UUIDs.
type kind struct {
	key       string
	tags      []string
	devices   []wire.Device
	plain     []offer
	plainDims uint64
	kits      int
	workers   int
	able      int           // workers that have slots
	services  [services]int // of these, by what they are
	https     int           // of these, that speak HTTP
	place     int32         // in kindTable.list
}

// kindTable holds the kinds, by key and in a list.
type kindTable struct {
	byKey map[string]*kind
	list  ds.Chunks[*kind]
}

// classify gives a new kit its kind.
func (s *State) classify(c *kit) {
	b := append(wire.AppendTags(nil, c.tags), c.resources...)
	for _, d := range c.devices {
		size := uint64(d.Memory) << 1
		if d.Missing {
			size |= 1
		}
		b = binary.AppendUvarint(b, size)
	}
	k := s.kinds.byKey[string(b)]
	if k == nil {
		k = &kind{key: string(b), tags: c.tags, devices: c.devices, plain: c.plain, plainDims: c.plainDims}
		s.kinds.add(k)
	}
	k.kits++
	c.kind = k
}

func (t *kindTable) add(k *kind) {
	t.byKey[k.key] = k
	k.place = int32(t.list.Len())
	t.list.Grow(t.list.Len() + 1)
	*t.list.At(k.place) = k
}

// drop counts one kit less. The last kind of the list takes the place of one that
// goes.
func (t *kindTable) drop(k *kind) {
	if k.kits--; k.kits > 0 {
		return
	}
	delete(t.byKey, k.key)
	last := int32(t.list.Len() - 1)
	moved := *t.list.At(last)
	*t.list.At(k.place), moved.place = moved, k.place
	*t.list.At(last) = nil
	t.list.Truncate(int(last))
}

// most returns how much of one amount of a demand a worker of this kind has
// when it is idle; -1 if it does not offer it.
func (k *kind) most(d *demand, at int) int64 {
	if d.amounts[at].name == resource.GPU && len(k.devices) > 0 {
		n := int64(0)
		for i := range k.devices {
			if !k.devices[i].Missing {
				n++
			}
		}
		return n
	}
	dim := d.dims[at]
	if dim == noDim || k.plainDims&(1<<dim) == 0 {
		return -1
	}
	return k.plain[placeIn(k.plainDims, dim)].capacity
}

// memoryOn returns the most memory that so many devices of a kind have each; -1
// if it has fewer.
func (k *kind) memoryOn(devices int64) int64 {
	var sizes [wire.MaxDevices]int64 // the largest first
	n := 0
	for i := range k.devices {
		if k.devices[i].Missing {
			continue
		}
		at := n
		for ; at > 0 && sizes[at-1] < k.devices[i].Memory; at-- {
			sizes[at] = sizes[at-1]
		}
		sizes[at] = k.devices[i].Memory
		n++
	}
	if devices > int64(n) {
		return -1
	}
	return sizes[devices-1]
}
