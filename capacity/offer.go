package capacity

import "math/bits"

// NoDim is the number of a dimension that no worker offers. The caller numbers the
// others, below NoDim.
const NoDim = 64

// Amount is how much of one dimension a task demands.
type Amount struct {
	Name   string
	Amount int64 // above 0
	Dim    uint8 // NoDim if no worker offers the name
}

// Demand is what a task takes beside its slot.
type Demand struct {
	Amounts []Amount // by name; GPU among them, GPUMem not
	GPUs    int64    // whole devices
	Memory  int64    // MiB: of each of them, or without any of a share of one device
}

// devices reports whether a task takes devices.
func (d *Demand) devices() bool { return d.GPUs > 0 || d.Memory > 0 }

// Limit is how much there is of one dimension that is not counted by device.
type Limit struct {
	Dim    uint8
	Amount int64
}

// Memory is one device of a worker.
type Memory struct {
	MiB     int64 // 0 if it is not known
	Missing bool  // nothing new gets it
}

// Offer is what an idle worker has beside its slots.
type Offer struct {
	Limits  []Limit // by dimension
	Dims    uint64  // those of Limits
	Devices []Memory
}

// place returns where a dimension that is offered stands in Limits.
func (o *Offer) place(dim uint8) int { return bits.OnesCount64(o.Dims & (1<<dim - 1)) }

// byDevice reports whether an amount is counted by device on a worker.
func (o *Offer) byDevice(a *Amount) bool { return len(o.Devices) > 0 && a.Name == GPU }

// Most returns how much of an amount an idle worker has; -1 if it does not offer it.
func (o *Offer) Most(a *Amount) int64 {
	if o.byDevice(a) {
		return o.fitting(0)
	}
	if a.Dim == NoDim || o.Dims&(1<<a.Dim) == 0 {
		return -1
	}
	return o.Limits[o.place(a.Dim)].Amount
}

// fitting counts the devices with so much memory.
func (o *Offer) fitting(memory int64) (n int64) {
	for i := range o.Devices {
		if !o.Devices[i].Missing && o.Devices[i].MiB >= memory {
			n++
		}
	}
	return n
}

// MemoryOn returns the most memory that so many devices have each; -1 if there are
// fewer.
func (o *Offer) MemoryOn(devices int64) int64 {
	most := int64(-1)
	for i := range o.Devices {
		if m := o.Devices[i]; !m.Missing && m.MiB > most && o.fitting(m.MiB) >= devices {
			most = m.MiB
		}
	}
	return most
}

// CouldEver reports whether a worker with this offer takes a demand when it is idle.
func CouldEver(o *Offer, d *Demand) bool {
	for i := range d.Amounts {
		if a := &d.Amounts[i]; !o.byDevice(a) && o.Most(a) < a.Amount {
			return false
		}
	}
	if !d.devices() || len(o.Devices) == 0 {
		return d.Memory == 0 // without devices gpu is a plain amount
	}
	return o.fitting(d.Memory) >= max(d.GPUs, 1)
}

// Holds returns how many tasks with a demand an idle worker with so many slots runs
// at once, at least 1. It must be able to take one.
func (o *Offer) Holds(slots uint32, d *Demand) int64 {
	most := int64(slots)
	for i := range d.Amounts {
		if a := &d.Amounts[i]; !o.byDevice(a) {
			most = min(most, o.Most(a)/a.Amount)
		}
	}
	if len(o.Devices) > 0 && d.devices() {
		fit := o.fitting(d.Memory) / max(d.GPUs, 1)
		if d.GPUs == 0 {
			fit = 0
			for i := range o.Devices {
				if !o.Devices[i].Missing {
					fit += o.Devices[i].MiB / d.Memory
				}
			}
		}
		most = min(most, fit)
	}
	return max(most, 1)
}
