package sched

import (
	"encoding/binary"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/wire"
)

// kind is what a worker offers as far as tasks can ask for it. Workers of one kind
// may have different kits: their devices have different UUIDs.
type kind struct {
	key      string
	tags     []string
	offer    *capacity.Offer // of one of its kits
	kits     int
	workers  int
	able     int           // workers that have slots
	services [services]int // of these, by what they are
	https    int           // of these, that speak HTTP
	place    int32         // in kindTable.list
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
		k = &kind{key: string(b), tags: c.tags, offer: &c.Offer}
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
