package sched

import (
	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/index"
)

// fleet is the known workers, and what they offer.
type fleet struct {
	workers     ds.Chunks[worker]
	freeWorkers ds.Chunks[int32] // the first unused of them count
	unused      int
	byID        map[string]int32
	cordons     map[string]*cordon // by worker id, known or gone; at most MaxWorkers
	deadlines   deadlineHeap       // drains that wait for a time
	emptying    emptying
	draining    []int32 // workers that drain and were changed by this message
	order       ds.Order
	kits        kitTable
	gpus        gpuTable
	text        int // bytes that workers that speak HTTP have
	kinds       kindTable
	dims        dimTable
	index       *index.Index
	timers      ds.Wheel // of workers: their next silence
	leaving     []int32  // workers whose removal goes on in pulses
	mass        mass
	count       fleetCount
	offered     uint64 // changes with what idle workers could take
}

func newFleet(cfg *Config) fleet {
	return fleet{
		byID:    map[string]int32{},
		cordons: map[string]*cordon{},
		kits:    kitTable{},
		gpus:    newGPUTable(),
		kinds:   kindTable{byKey: map[string]*kind{}},
		dims:    newDimTable(),
		index:   index.New(index.Config{MaxTags: cfg.MaxTags, CacheSize: cfg.RequirementCache}),
		mass:    mass{due: Never},
		offered: 1,
	}
}

// fleetCount counts the known workers.
type fleetCount struct {
	presence     [3]int
	slotless     int   // that run no tasks at all
	outOfService int   // of those with slots
	slots, used  int64 // of workers online
}
