package sched

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// gpuTable says which workers list each GPU that has a UUID. UUIDs are compared
// in lower case. A GPU is offered by one worker at most; others may list it as
// missing.
type gpuTable struct {
	offered map[string]int32   // the worker that lists it, and not as missing
	missing map[string][]int32 // the workers that list it as missing
}

func newGPUTable() gpuTable {
	return gpuTable{offered: map[string]int32{}, missing: map[string][]int32{}}
}

// replace brings the table up to date when worker n has kit k instead of old.
// Either may be nil.
func (t *gpuTable) replace(n int32, old, k *kit) {
	old.eachGPU(func(_ int, gpu string, missing bool) {
		switch {
		case missing:
			left := slices.DeleteFunc(t.missing[gpu], func(o int32) bool { return o == n })
			if t.missing[gpu] = left; len(left) == 0 {
				delete(t.missing, gpu)
			}
		case t.offered[gpu] == n:
			delete(t.offered, gpu)
		}
	})
	k.eachGPU(func(_ int, gpu string, missing bool) {
		if missing {
			t.missing[gpu] = append(t.missing[gpu], n)
		} else {
			t.offered[gpu] = n
		}
	})
}

// eachGPU visits the GPUs of a kit that have UUIDs.
func (k *kit) eachGPU(visit func(i int, gpu string, missing bool)) {
	if k == nil {
		return
	}
	for i := range k.devices {
		if d := &k.devices[i]; d.UUID != "" {
			visit(i, strings.ToLower(d.UUID), d.Missing)
		}
	}
}

// conflictRetry is how long an agent waits, in milliseconds, that was refused
// because of another one that lives.
const conflictRetry = 30_000

// contest looks whether a registration may offer its GPUs. It returns the
// workers that listed one of them and give way, because they are gone and have
// no lease; or the refusal, if another worker may still use one.
func (s *State) contest(m *wire.Register) (gone []int32, refusal *wire.Error) {
	running := uint64(0) // the devices that leases of the registration take
	for i := range m.Leases {
		if m.Leases[i].Outcome == wire.ReasonNone {
			running |= m.Leases[i].Devices
		}
	}
	for i := range m.Devices {
		d := &m.Devices[i]
		if d.UUID == "" {
			continue
		}
		if d.Missing { // nothing new gets it here, nor elsewhere while a task here uses it
			if n, listed := s.gpus.offered[strings.ToLower(d.UUID)]; listed && running>>i&1 != 0 && s.workers.At(n).id != m.Worker &&
				s.workers.At(n).head == 0 && !slices.Contains(gone, n) {
				gone = append(gone, n)
			}
			continue
		}
		for j := range i {
			if o := &m.Devices[j]; !o.Missing && strings.EqualFold(o.UUID, d.UUID) {
				return nil, &wire.Error{Code: wire.CodeBadRequest, Field: "devices", Message: "devices " + strconv.Itoa(j) + " and " +
					strconv.Itoa(i) + " are both the GPU " + strconv.Quote(d.UUID) + ": it would be given to two tasks; list it once"}
			}
		}
		gpu := strings.ToLower(d.UUID)
		n, listed := s.gpus.offered[gpu]
		if listed && s.workers.At(n).id == m.Worker {
			continue
		}
		for _, o := range s.gpus.missing[gpu] {
			if w := s.workers.At(o); w.id != m.Worker && w.runsOnMissing() {
				return nil, s.refuseGPU(m, i, o, conflictRetry)
			}
		}
		if !listed {
			continue
		}
		if wait := s.claimLasts(s.workers.At(n), running>>i&1 != 0); wait > 0 {
			return nil, s.refuseGPU(m, i, n, wait)
		}
		if !slices.Contains(gone, n) {
			gone = append(gone, n)
		}
	}
	return gone, nil
}

// giveWay removes workers that are gone and had a GPU which another one brings.
func (s *State) giveWay(gone []int32, to string) {
	for _, n := range gone {
		s.note(eventRemoved, s.workers.At(n).id).reason = "worker " + to + " has its GPUs"
		s.removeNow(n)
	}
}

// claimLasts returns after how many milliseconds a GPU of w may be claimed again
// by another worker; 0 is now. A worker keeps its GPUs while it has leases, is
// connected, or was heard lately. needed says that a task of the other worker
// runs on the GPU: then leases alone count.
func (s *State) claimLasts(w *worker, needed bool) Time {
	switch {
	case w.head != 0:
		return conflictRetry
	case needed:
		return 0
	case w.session != 0:
		return conflictRetry
	}
	return min(max(w.seen+s.goneAfter(w)-s.now, 0), conflictRetry)
}

// runsOnMissing reports whether a lease of w takes a device that is missing.
func (w *worker) runsOnMissing() bool {
	if w.uncounted > 0 {
		return true // it may
	}
	for i := range w.kit.devices {
		if w.kit.devices[i].Missing && w.held.Devices[i].Leases > 0 {
			return true
		}
	}
	return false
}

// refuseGPU refuses a registration because of its device i, which worker n lists.
func (s *State) refuseGPU(m *wire.Register, i int, n int32, wait Time) *wire.Error {
	w := s.workers.At(n)
	s.log.deviceConflicts++
	gpu := m.Devices[i].UUID
	state := "offered by"
	if at, ok := s.gpus.offered[strings.ToLower(gpu)]; !ok || at != n {
		state = "missing at, and used by a task of,"
	}
	holder := "worker " + w.id + " at " + w.address()
	s.noteConflict(eventDeviceInUse, m.Worker, "its GPU "+gpu+" belongs to "+holder)
	return &wire.Error{Code: wire.CodeDeviceInUse, Field: "devices", RetryAfterMS: uint32(wait),
		Message: "device " + strconv.Itoa(i) + ", the GPU " + gpu + ", is " + state + " " + holder +
			": a GPU belongs to one worker; stop one of the two agents or leave the GPU out of its --devices, and if " +
			w.id + " is gone for good, remove it: DELETE /api/v1/workers/" + w.id}
}
