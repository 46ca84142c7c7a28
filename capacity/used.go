package capacity

import "math/bits"

// Used is what tasks take of an offer.
type Used struct {
	Amounts []int64 // in the order of Offer.Limits
	Devices []Taken // in the order of Offer.Devices
	Astray  int     // tasks that take what is not offered: the worker shrank
}

// Taken is what tasks take of one device.
type Taken struct {
	Shares int64  // MiB
	Leases uint32 // that take some of it
	Wholes uint32 // of these, the ones that take all of it
}

// NewUsed returns the use of an idle worker.
func NewUsed(o *Offer) *Used {
	return &Used{Amounts: make([]int64, len(o.Limits)), Devices: make([]Taken, len(o.Devices))}
}

// Add adds a task that takes the devices of a mask, all of each if whole, or with -1
// subtracts it.
func (u *Used) Add(o *Offer, d *Demand, mask uint64, whole bool, by int) {
	astray := bits.Len64(mask) > len(u.Devices)
	for i := range d.Amounts {
		switch a := &d.Amounts[i]; {
		case o.byDevice(a):
		case a.Dim == NoDim || o.Dims&(1<<a.Dim) == 0:
			astray = true
		default:
			u.Amounts[o.place(a.Dim)] += int64(by) * a.Amount
		}
	}
	if bits.Len64(mask) <= len(u.Devices) {
		u.addDevices(d, mask, whole, by)
	}
	if astray {
		u.Astray += by
	}
}

// addDevices is Add for the devices.
func (u *Used) addDevices(d *Demand, mask uint64, whole bool, by int) {
	whole = whole || d.GPUs > 0
	for ; mask != 0; mask &= mask - 1 {
		t := &u.Devices[bits.TrailingZeros64(mask)]
		t.Leases += uint32(by)
		if whole {
			t.Wholes += uint32(by)
		} else {
			t.Shares += int64(by) * d.Memory
		}
	}
}

// Overbooked reports whether more is taken than there is.
func (u *Used) Overbooked(o *Offer) bool {
	if u.Astray > 0 {
		return true
	}
	for i := range o.Limits {
		if u.Amounts[i] > o.Limits[i].Amount {
			return true
		}
	}
	for i := range u.Devices {
		if t := &u.Devices[i]; t.Wholes > 0 && t.Leases > 1 || t.Shares > o.Devices[i].MiB {
			return true
		}
	}
	return false
}

// left is how much of an amount, not counted by device, is free.
func (u *Used) left(o *Offer, a *Amount) int64 {
	at := o.place(a.Dim)
	return o.Limits[at].Amount - u.Amounts[at]
}

// MaxDevices is the number of devices of a worker at most.
const MaxDevices = 64

// FitsNow reports whether a demand is free on a worker. scratch is as in Pick.
func FitsNow(o *Offer, u *Used, d *Demand, scratch *[MaxDevices]Device) bool {
	for i := range d.Amounts {
		switch a := &d.Amounts[i]; {
		case o.byDevice(a):
		case a.Dim == NoDim || o.Dims&(1<<a.Dim) == 0 || u.left(o, a) < a.Amount:
			return false
		}
	}
	if len(o.Devices) == 0 {
		return d.Memory == 0
	}
	_, ok := u.Pick(o, d, scratch)
	return ok
}

// Pick chooses the devices that a task takes; false if they are not free. It
// overwrites scratch.
func (u *Used) Pick(o *Offer, d *Demand, scratch *[MaxDevices]Device) (mask uint64, ok bool) {
	if len(o.Devices) == 0 || !d.devices() {
		return 0, true
	}
	list := scratch[:len(u.Devices)]
	for i := range u.Devices {
		t, m := &u.Devices[i], &o.Devices[i]
		list[i] = Device{Memory: m.MiB, Used: t.Shares, Leases: t.Leases, Whole: t.Wholes > 0 || m.Missing}
		if m.Missing {
			list[i].Leases++
		}
	}
	if d.GPUs > 0 {
		return TakeWhole(list, d.GPUs, d.Memory)
	}
	return TakeShare(list, d.Memory)
}

// Shortfall is how much of one dimension is missing on a worker, of what there is in
// all, or for the memory of a device of what is demanded: the dimension of which the
// largest part is missing, 0 of 1 if nothing is. The worker must be able to take the
// demand when it is idle.
func Shortfall(o *Offer, u *Used, d *Demand) (lack, of int64) {
	lack, of = 0, 1
	larger := func(l, o int64) {
		if hi, lo := bits.Mul64(uint64(max(l, 0)), uint64(of)); l > 0 {
			if h, k := bits.Mul64(uint64(lack), uint64(o)); hi > h || hi == h && lo > k {
				lack, of = l, o
			}
		}
	}
	for i := range d.Amounts {
		if a := &d.Amounts[i]; !o.byDevice(a) {
			larger(a.Amount-u.left(o, a), o.Limits[o.place(a.Dim)].Amount)
		}
	}
	if len(o.Devices) == 0 || !d.devices() {
		return lack, of
	}
	free, most := int64(0), int64(0)
	for i := range o.Devices {
		t, m := &u.Devices[i], &o.Devices[i]
		if m.Missing {
			continue
		}
		if t.Leases == 0 && m.MiB >= d.Memory {
			free++
		}
		if t.Wholes == 0 {
			most = max(most, m.MiB-t.Shares)
		}
	}
	if d.GPUs > 0 {
		larger(d.GPUs-free, int64(len(o.Devices)))
	} else {
		larger(d.Memory-most, d.Memory)
	}
	return lack, of
}
