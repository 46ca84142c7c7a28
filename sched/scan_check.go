package sched

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// What a scan checks is a part of Check that can be done worker by worker, in
// bounded time and without allocation, while the scheduler serves.

// Numbers of the invariants that a scan looks at; docs/architecture.md has
// their text.
const (
	violatedRoom     = iota // I1
	violatedEligible        // I4
	violatedDevices         // I5
	violatedIndex           // I6
	violatedLeases          // I9
	violatedDigest          // that of the begun leases, which datagrams are compared with
	invariants
)

// InvariantNames are the names of the invariants that a scan looks at, in the
// order of Observation.Violated.
var InvariantNames = [...]string{violatedRoom: "I1", violatedEligible: "I4", violatedDevices: "I5",
	violatedIndex: "I6", violatedLeases: "I9", violatedDigest: "digest"}

// violated counts a violation, and keeps the first of a scan.
func (s *State) violated(f *FleetScan, invariant int, w *worker, format string, args ...any) {
	s.log.violation[invariant]++
	if f.Fault == "" {
		f.Fault = fmt.Sprintf("%s: worker %q: ", InvariantNames[invariant], w.id) + fmt.Sprintf(format, args...)
	}
}

// recounted is what the leases of one worker take, counted anew.
type recounted struct {
	capacity.Used
	taken     uint32
	exclusive uint16
	digest    uint64
}

// blank returns the scratch recount, empty, for a worker with a kit.
func (s *State) blank(k *kit) *recounted {
	r := &s.recounted
	r.Amounts = append(r.Amounts[:0], make([]int64, len(k.Limits))...)
	r.Devices = append(r.Devices[:0], make([]capacity.Taken, len(k.devices))...)
	r.Astray, r.taken, r.exclusive, r.digest = 0, 0, 0, 0
	return r
}

// count adds a lease, as State.occupy does.
func (r *recounted) count(s *State, k *kit, l *lease) {
	r.taken++
	if l.flags&leaseExclusive != 0 {
		r.exclusive++
	}
	if l.state == wire.StateBegun {
		r.digest ^= l.id.Digest()
	}
	if l.demand == noDemand && l.flags&leaseDevices == 0 {
		return
	}
	d := s.demands.at(l.demand)
	s.resolve(d)
	r.Add(&k.Offer, &d.Demand, l.devices(), l.flags&leaseExclusive != 0, 1)
}

// inspect checks one worker and returns how many leases it visited. One with
// very many is not recounted.
func (s *State) inspect(f *FleetScan, n int32, w *worker) (visits int) {
	s.inspectPlace(f, n, w)
	if w.taken > ScanLeases {
		return 0
	}
	r, prev := s.blank(w.kit), int32(0)
	for e := w.head; e != 0; visits++ {
		l := s.leases.slots.At(e - 1)
		if !l.live() || l.worker != n || l.prev != prev {
			s.violated(f, violatedLeases, w, "it lists lease %v, which is in state %v of worker %d", l.id, l.state, l.worker)
			return visits
		}
		if visits > ScanLeases {
			break // more than are booked: the comparison says so
		}
		r.count(s, w.kit, l)
		prev, e = e, l.next
	}
	f.Leases += visits
	if w.tail != prev {
		s.violated(f, violatedLeases, w, "its list of leases ends at %d, not at %d", prev, w.tail)
	}
	s.compare(f, w, r)
	return visits
}

// inspectPlace compares a worker with what the index holds of it.
func (s *State) inspectPlace(f *FleetScan, n int32, w *worker) {
	i := index.Worker(n)
	if !s.index.Known(i) || s.index.LoadOf(i) != w.load() {
		s.violated(f, violatedIndex, w, "its load is %d in the index, and %d by what is booked", s.index.LoadOf(i), w.load())
	}
	want := w.usable() && w.reserved == nil && (w.http != nil || w.session != 0)
	if w.eligible != want || s.index.Eligible(i) != want {
		s.violated(f, violatedEligible, w, "it is eligible: %v, and should be: %v", w.eligible, want)
	}
}

// compare compares what is booked for a worker with what was counted.
func (s *State) compare(f *FleetScan, w *worker, r *recounted) {
	if w.taken != r.taken || w.exclusive != r.exclusive {
		s.violated(f, violatedRoom, w, "%d leases, %d of them exclusive, are booked, and it has %d and %d", w.taken, w.exclusive, r.taken, r.exclusive)
	}
	if w.digest != r.digest {
		s.violated(f, violatedDigest, w, "its digest is %x, and %x by its leases", w.digest, r.digest)
	}
	if w.uncounted > 0 {
		return // a registration that is under way counts the rest
	}
	booked := w.held
	if booked == nil {
		booked = &nothingHeld
	}
	if !sameOrNone(booked.Amounts, r.Amounts) || booked.Astray != r.Astray {
		s.violated(f, violatedRoom, w, "%v of %d leases astray are booked, and its leases take %v, %d astray", booked.Amounts, booked.Astray, r.Amounts, r.Astray)
	}
	if !sameOrNone(booked.Devices, r.Devices) {
		s.violated(f, violatedDevices, w, "%v are booked of its devices, and its leases take %v", booked.Devices, r.Devices)
	}
}

// nothingHeld is what is booked for a worker whose leases take slots alone.
var nothingHeld capacity.Used

// sameOrNone reports whether what is booked equals what was counted; nothing
// may be booked where nothing is taken.
func sameOrNone[T comparable](booked, counted []T) bool {
	if len(booked) == 0 {
		return !slices.ContainsFunc(counted, func(n T) bool { return n != *new(T) })
	}
	return slices.Equal(booked, counted)
}
