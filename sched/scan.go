package sched

import "github.com/dtask/dtask-scheduler/capacity"

// Bounds of one slice of a scan: whoever waits for the State waits no longer
// than these visits take, whatever the size of the fleet.
const (
	// ScanVisits is after how many workers and leases a slice ends.
	ScanVisits = 1024
	// ScanLeases is how many leases a worker may have to be recounted; the
	// slice that ends with it visits so many more.
	ScanLeases = 4096
)

// Flags names the flags of workers that FleetScan counts.
var Flags = [...]string{flagConnecting: "connecting", flagCordoned: "cordoned", flagDraining: "draining",
	flagDrained: "drained", flagQuarantined: "quarantined", flagOvercommitted: "overcommitted"}

const (
	flagConnecting = iota // online, and has not promised yet
	flagCordoned
	flagDraining
	flagDrained
	flagQuarantined
	flagOvercommitted
)

// Slots is the name of the slots among the resources of a scan.
const Slots = "slots"

// Amount is what the fleet has of a resource: all of it and what is taken over
// the workers that are online, and what may be given now, which is less than
// their difference where workers get nothing new. GPU memory is in MiB, as all
// amounts are in the units of the protocol.
type Amount struct {
	Capacity, Taken, Free float64
}

// FleetScan is a walk over all workers in slices. The zero value is a scan that
// has not begun. The totals are of no single moment: workers change between
// two slices.
type FleetScan struct {
	Workers   int               // workers seen
	Leases    int               // leases recounted
	Flags     [len(Flags)]int   // workers, by flag
	Resources map[string]Amount // by name
	Fault     string            // the first violation of an invariant, "" if none was found

	next  int32
	slots Amount
	sums  [dimCount]Amount // of the slice: numbers of dimensions may change their names between two
	gpus  [2]Amount        // devices, and their memory
}

// ScanFleet does the next slice of a scan and reports whether it was the last.
// It changes nothing but the counts of violations: each worker's leases are
// recounted and compared with what is booked for it, and with the index.
func (s *State) ScanFleet(f *FleetScan) (done bool) {
	if f.Resources == nil {
		f.Resources = map[string]Amount{}
	}
	for visits := 0; visits < ScanVisits && int(f.next) < s.workers.Len(); f.next++ {
		visits++
		w := s.workers.At(f.next)
		if !w.known || w.kit == nil {
			continue
		}
		f.Workers++
		f.flag(w)
		if w.presence == online {
			f.add(w)
		}
		visits += s.inspect(f, f.next, w)
	}
	s.fold(f)
	return int(f.next) >= s.workers.Len()
}

// flag counts the flags of a worker.
func (f *FleetScan) flag(w *worker) {
	if w.presence == online && w.http == nil && !w.promised {
		f.Flags[flagConnecting]++
	}
	if w.overcommitted() {
		f.Flags[flagOvercommitted]++
	}
	if w.quarantined() {
		f.Flags[flagQuarantined]++
	}
	switch c := w.cordon; {
	case c == nil && !w.quarantined():
		return
	case c == nil:
	case c.drained:
		f.Flags[flagDrained]++
	case c.drain:
		f.Flags[flagDraining]++
	}
	f.Flags[flagCordoned]++
}

// add adds what a worker has and what is taken of it.
func (f *FleetScan) add(w *worker) {
	used := uint64(w.takenSlots()) + uint64(w.external)
	gives := w.takesMore()
	f.slots.add(int64(w.slots), int64(used), gives)
	for i, o := range w.kit.Limits {
		taken := w.held.Amounts[i]
		if w.exclusive > 0 {
			taken = max(taken, o.Amount)
		}
		f.sums[o.Dim].add(o.Amount, taken, gives)
	}
	for i, d := range w.kit.devices {
		g := &w.held.Devices[i]
		if d.Missing {
			continue
		}
		whole, memory := int64(0), g.Shares
		if g.Wholes > 0 {
			whole, memory = 1, d.Memory
		}
		f.gpus[0].add(1, whole, gives && g.Leases == 0) // nobody can have the whole of one in shares
		f.gpus[1].add(d.Memory, memory, gives)
	}
}

// add adds to an amount; what is left counts as free if the worker gives it.
func (a *Amount) add(capacity, taken int64, gives bool) {
	a.Capacity += float64(capacity)
	a.Taken += float64(taken)
	if gives && taken < capacity {
		a.Free += float64(capacity - taken)
	}
}

// fold adds the sums of the slice to the totals, by name.
func (s *State) fold(f *FleetScan) {
	f.put(Slots, &f.slots)
	f.put(capacity.GPU, &f.gpus[0])
	f.put(capacity.GPUMem, &f.gpus[1])
	for dim, name := range s.dims.names {
		if name == Slots {
			name += " (resource)" // no name of a resource has a blank
		}
		f.put(name, &f.sums[dim])
	}
}

func (f *FleetScan) put(name string, sum *Amount) {
	if *sum == (Amount{}) && name != Slots {
		return
	}
	a := f.Resources[name]
	f.Resources[name] = Amount{a.Capacity + sum.Capacity, a.Taken + sum.Taken, a.Free + sum.Free}
	*sum = Amount{}
}
