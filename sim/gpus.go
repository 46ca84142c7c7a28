package sim

import (
	"slices"
	"strconv"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// gpuRack is the GPUs of the machine of an agent. A task uses GPUs by what its
// agent calls them: by UUID, or by number, which counts what a process finds.
type gpuRack struct {
	gpus    []wire.Device
	visible []int          // those that a process finds, in this order
	known   []ledger.Known // what the agent calls them, in the order in which leases name them
}

// install puts GPUs into a machine, all of which are found.
func (r *gpuRack) install(gpus []wire.Device) {
	r.gpus, r.visible = gpus, nil
	for i := range gpus {
		r.visible = append(r.visible, i)
	}
	r.known = r.found()
}

// found is what a new process finds.
func (r *gpuRack) found() []ledger.Known {
	var all []ledger.Known
	for n, g := range r.visible {
		k := ledger.Known{Device: r.gpus[g], Name: r.gpus[g].UUID}
		if k.Name == "" {
			k.Name = strconv.Itoa(n)
		}
		all = append(all, k)
	}
	return all
}

// used returns the GPUs that a task uses which is told the devices of a mask.
func (r *gpuRack) used(mask uint64) (gpus []int) {
	for _, i := range offer.BitsOf(mask) {
		if i >= len(r.known) {
			continue
		}
		name := r.known[i].Name
		if g := slices.IndexFunc(r.gpus, func(d wire.Device) bool { return d.UUID == name && name != "" }); g >= 0 {
			gpus = append(gpus, g)
		} else if n, err := strconv.Atoi(name); err == nil && n < len(r.visible) {
			gpus = append(gpus, r.visible[n])
		}
	}
	return gpus
}

// arrange lets a new process find its GPUs while some leases of the one before
// may run on.
func (a *agent) arrange(keep bool) {
	held := uint64(0)
	for r := range a.book.All() {
		if keep && r.Outcome == wire.ReasonNone {
			held |= r.Devices
		}
	}
	a.known = ledger.Arrange(a.known, a.found(), held)
	a.Devices = nil
	for i, k := range a.known {
		a.Devices = append(a.Devices, k.Device)
		if k.Missing && held>>i&1 != 0 {
			a.w.counts[fault.GPUMissing]++
		}
	}
}

// loseGPUs lets the next process of an agent find some of its GPUs, or all.
// Those with UUIDs come in another order; without, the order is that of the bus.
func (a *agent) loseGPUs() bool {
	w := a.w
	if len(a.gpus) == 0 {
		return false
	}
	order := w.rng.Perm(len(a.gpus))
	if w.chance(1, 2) {
		order = order[:w.rng.IntN(len(order))]
	}
	if slices.ContainsFunc(a.gpus, func(d wire.Device) bool { return d.UUID == "" }) {
		slices.Sort(order)
	}
	a.visible = order
	w.say("%s: finds the GPUs %v", a.name(), order)
	return true
}

// judgeGPUs is told that a lease has begun. No GPU of the machine is given to
// two tasks, but for shares of its memory.
func (a *agent) judgeGPUs(l *lease) {
	l.gpus = a.used(l.takes.Devices)
	for _, g := range l.gpus {
		whole, shares := 0, int64(0)
		users := slices.DeleteFunc(slices.Clone(a.open), func(o *lease) bool { return o != l && !o.running || !slices.Contains(o.gpus, g) })
		for _, o := range users {
			if o.takes.Exclusive || o.takes.Resources[offer.GPU] > 0 {
				whole++
			} else {
				shares += o.takes.Resources[offer.GPUMem]
			}
		}
		if whole > 0 && len(users) > 1 || shares > a.gpus[g].Memory {
			a.w.fail("I29: %v begins on the GPU %d of %s, which %d tasks use", l.id, g, a.name(), len(users))
		}
	}
}
