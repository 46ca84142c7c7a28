package sched

import (
	"encoding/binary"
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// kit is what a worker offers beside its slots. Workers that offer the same
// share one.
type kit struct {
	capacity.Offer
	key       string
	tags      []string // as sent
	resources string   // raw msgpack map, sorted; empty for a worker that speaks HTTP
	devices   []wire.Device
	dims      uint64 // the dimensions in which the index is told of room
	memory    int64  // of the devices that are present, MiB; one whose memory is not known counts 1
	present   uint64 // the devices that are not missing
	refs      int
	able      int // workers that have slots
	native    int // of these, that speak leases
	web       int // workers that speak HTTP, as they are counted in State.text
	kind      *kind

	served waitlist.Offer
}

// kitTable shares kits between workers.
type kitTable map[string]*kit

// hold returns the kit of a worker's offer and counts a holder; nil if the
// fleet has too many distinct resource names.
func (s *State) holdKit(tags []string, resources string, devices []wire.Device) *kit {
	key := kitKey(tags, resources, devices)
	k := s.kits[key]
	if k == nil {
		k = &kit{key: key, tags: slices.Clone(tags), resources: resources, devices: slices.Clone(devices)}
		if !s.number(k) {
			return nil
		}
		s.kits[key] = k
		s.classify(k)
	}
	k.refs++
	k.kind.workers++
	return k
}

// kitKey joins everything that makes a kit.
func kitKey(tags []string, resources string, devices []wire.Device) string {
	b := append(wire.AppendTags(nil, tags), resources...)
	for _, d := range devices {
		size := uint64(d.Memory) << 1
		if d.Missing {
			size |= 1
		}
		b = binary.AppendUvarint(b, size)
		for _, text := range [...]string{d.Model, d.UUID} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	return string(b)
}

// number gives the resources of a new kit the numbers of their dimensions;
// false if there are not enough.
func (s *State) number(k *kit) bool {
	ok := true
	wire.EachResource([]byte(k.resources), func(name []byte, n int64) bool {
		var dim uint8
		if dim, ok = s.dims.hold(string(name)); ok {
			k.Limits = append(k.Limits, capacity.Limit{Dim: dim, Amount: n})
			k.Dims |= 1 << dim
		}
		return ok
	})
	if !ok {
		s.unnumber(k)
		return false
	}
	slices.SortFunc(k.Limits, func(a, b capacity.Limit) int { return int(a.Dim) - int(b.Dim) })
	k.dims = k.Dims
	if len(k.devices) > 0 {
		k.dims |= deviceDims
	}
	for i, d := range k.devices {
		k.Devices = append(k.Devices, capacity.Memory{MiB: d.Memory, Missing: d.Missing})
		if d.Missing {
			continue
		}
		k.memory += weight(d.Memory)
		k.present |= 1 << i
	}
	return true
}

// weight is what a whole device counts in the load.
func weight(memory int64) int64 { return max(memory, 1) }

func (s *State) unnumber(k *kit) {
	for _, o := range k.Limits {
		s.dims.drop(o.Dim)
	}
}

// dropKit counts one holder less; nil is allowed.
func (s *State) dropKit(k *kit) {
	if k == nil {
		return
	}
	k.kind.workers--
	if k.refs--; k.refs == 0 {
		s.unnumber(k)
		delete(s.kits, k.key)
		s.queue.list.Forget(&k.served)
		s.kinds.drop(k.kind)
	}
}
