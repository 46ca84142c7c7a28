package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// presence is what the scheduler believes of a worker from its reports.
type presence uint8

const (
	online presence = iota
	suspicious
	offline
)

func (p presence) String() string { return [...]string{"online", "suspicious", "offline"}[p] }

// supersededMemory is how many superseded incarnations of a worker are known.
// Those that were promised to this instance are recognised without it.
const supersededMemory = 4

// worker is a machine that runs tasks.
type worker struct {
	id          string
	target      []byte         // id and address as Placed carries them; replaced, never changed
	held        *capacity.Used // nil: its leases take slots alone, and it offers nothing else
	kit         *kit
	incarnation uint64 // 0: speaks HTTP
	machine     uint64 // of its agent; 0: not known
	since       Time   // when the present incarnation first registered
	superseded  *[supersededMemory]uint64
	http        *httpWorker
	cordon      *cordon
	digest      uint64  // XOR over the begun leases; see wire.LeaseID.Digest
	session     Session // 0: not connected
	seen        Time    // last report
	handle      uint32  // in session
	seq         uint32  // last report of this incarnation
	beatSeq     uint32  // last datagram of this incarnation
	slots       uint32
	external    uint32 // tasks outside any lease; for HTTP the reported number
	taken       uint32 // leases
	head, tail  int32  // its leases, oldest first; slot + 1
	exclusive   uint16 // leases that take the whole worker
	presence    presence
	known       bool
	promised    bool             // on the present connection
	eligible    bool             // what the index was told
	differs     uint8            // datagrams in a row whose digest differed
	reserved    *reservation     // nil: for nobody
	freed       bool             // stands in queue.freed
	leaving     bool             // its removal goes on in pulses
	passedBy    bool             // there, the walk through the queue may be past it
	lost        bool             // became offline in a mass loss
	joining     bool             // a registration is under way, in State.joining
	unconfirmed bool             // and has not been answered yet: nothing is pushed
	marked      bool             // some of its leases may be leaseListed
	parity      bool             // of its leases that are counted, as leaseParity
	uncounted   uint32           // leases of which held has nothing yet
	admits      health.Admission // what may be placed on it after its last outcomes
	service     service          // or what keeps it from getting anything, as its kit counts it
	preemptible uint32           // leases whose room a task of a higher priority may take
}

// address returns the worker's address.
func (w *worker) address() string {
	_, a := wire.ReadTarget(w.target)
	return a
}

// isConnected reports whether messages reach a worker: its registration has been
// answered on a connection that is there.
func (w *worker) isConnected() bool { return w.session != 0 && !w.unconfirmed }

// quiet is the silence after which w is suspicious.
func (s *State) quiet(w *worker) Time {
	if w.http != nil {
		return s.cfg.Suspicious
	}
	return max(s.cfg.Suspicious, s.cfg.Heartbeat*33/10)
}

// goneAfter is the silence after which w is offline.
func (s *State) goneAfter(w *worker) Time {
	if w.http != nil {
		return max(s.cfg.Offline, s.cfg.Suspicious)
	}
	return max(s.cfg.Offline, 2*s.quiet(w))
}

// newWorker makes room for a worker that is not known yet. It must get its offer
// next, or forgotten.
func (s *State) newWorker(id string) (int32, *wire.Error) {
	if len(s.byID) >= s.cfg.MaxWorkers {
		return 0, &wire.Error{Code: wire.CodeWorkerLimit, Message: "the fleet has reached its limit of workers",
			Field: "worker", Limit: uint64(s.cfg.MaxWorkers)}
	}
	var n int32
	if s.unused > 0 {
		s.unused--
		n = *s.freeWorkers.At(int32(s.unused))
	} else {
		n = int32(s.workers.Len())
		s.workers.Grow(s.workers.Len() + 1)
	}
	w := s.workers.At(n)
	*w = worker{id: id, known: true, seen: s.now, cordon: s.cordons[id]}
	w.admits = s.health.Join(n, id)
	s.tally(w, 1)
	s.byID[id] = n
	s.order.Add(id)
	s.timers.Set(n, s.now+s.cfg.Suspicious)
	return n, nil
}

// setOffer gives a worker its address, tags, resources and devices. Nothing
// changes on an error.
func (s *State) setOffer(n int32, address string, tags []string, resources string, devices []wire.Device) *wire.Error {
	w := s.workers.At(n)
	if w.kit == nil || w.kit.resources != resources || !slices.Equal(w.kit.tags, tags) || !slices.Equal(w.kit.devices, devices) {
		k := s.holdKit(tags, resources, devices)
		if k == nil {
			return &wire.Error{Code: wire.CodeResourceLimit, Message: "the fleet has too many distinct resource names",
				Field: "resources", Limit: dimCount - dimFirst}
		}
		if err := s.index.Put(index.Worker(n), tags, k.dims); err != nil {
			s.dropKit(k)
			return &wire.Error{Code: wire.CodeTagLimit, Message: err.Error(), Field: "tags", Limit: uint64(s.cfg.MaxTags)}
		}
		s.change(n, k)
	}
	if w.target == nil || w.address() != address {
		w.target = wire.AppendTarget(nil, w.id, address)
	}
	return nil
}

// change gives a worker another kit, which is held for it.
func (s *State) change(n int32, k *kit) {
	w := s.workers.At(n)
	old := w.kit
	s.tally(w, -1)
	s.enable(w, -1)
	w.kit = k
	s.devicesChanged(n, old)
	s.enable(w, 1)
	s.recount(w, old)
	s.tally(w, 1)
	s.gpus.replace(n, old, k)
	s.why.shape++
	s.dropKit(old)
	s.reindex(n)
}

// enable counts a worker with slots for its kit. When a kit gets its first such worker
// or loses its last, of all or of those that speak leases, what is infeasible may
// change.
func (s *State) enable(w *worker, by int) {
	if w.kit == nil || w.slots == 0 {
		return
	}
	s.countService(w, by)
	s.offered++
	k := w.kit
	k.able += by
	changes := k.able == 0 || k.able == by
	if w.http == nil { // the others take no exclusive task
		k.native += by
		changes = changes || k.native == 0 || k.native == by
	}
	if changes {
		clear(s.verdicts)
	}
}

// reindex brings the index up to date with what a worker's leases take.
func (s *State) reindex(n int32) {
	w := s.workers.At(n)
	s.index.SetLoad(index.Worker(n), w.load(), s.room(w)...)
	s.gotRoom(n)
	s.watchDrain(n)
}

// forget undoes newWorker.
func (s *State) forget(n int32) {
	w := s.workers.At(n)
	if w.joining {
		s.joining[n].over = true
		s.resume(s.joining[n])
	}
	s.health.Leave(s.now, n)
	s.timers.Remove(n)
	s.tally(w, -1)
	s.lose(w, false)
	delete(s.byID, w.id)
	s.order.Remove(w.id)
	*w = worker{}
	s.freeWorkers.Grow(s.unused + 1)
	*s.freeWorkers.At(int32(s.unused)) = n
	s.unused++
}

// removeLeases is how many leases the removal of a worker ends at once. Of a worker
// with more the pulses behind it, which are due at once, end the others, and forget
// it then.
const removeLeases = 512

// remove ends everything of a worker and forgets it.
func (s *State) remove(n int32) {
	w := s.workers.At(n)
	switch {
	case w.leaving:
	case w.taken <= removeLeases:
		s.removeNow(n)
	default:
		s.stopJoining(n)
		w.leaving, w.session, w.promised = true, 0, false
		s.updateEligible(n)
		s.leaving = append(s.leaving, n)
		for i := 0; i < removeLeases && w.head != 0; i++ {
			s.endLost(w.head - 1)
		}
	}
}

// takeLeave goes on with the removal of workers that have many leases, as far as the
// budget allows, and returns what is left of it.
func (s *State) takeLeave(budget int) int {
	for budget > 0 && len(s.leaving) > 0 {
		n := s.leaving[0]
		for ; budget > 0 && s.workers.At(n).head != 0; budget-- {
			s.endLost(s.workers.At(n).head - 1)
		}
		if s.workers.At(n).head == 0 {
			s.removeNow(n)
		}
	}
	return budget
}

// endLost ends a lease whose worker is removed. Nothing proves that its task is
// over: it is not requeued.
func (s *State) endLost(slot int32) {
	s.leases.slots.At(slot).flags &^= leasePreempted
	s.end(slot, wire.ReasonLost)
}

// numberOf returns the number of a worker that is known and not about to be removed.
func (s *State) numberOf(id string) (n int32, known bool) {
	if n, known = s.byID[id]; known && s.workers.At(n).leaving {
		return 0, false
	}
	return n, known
}

// removeNow is remove in one step.
func (s *State) removeNow(n int32) {
	w := s.workers.At(n)
	if w.leaving {
		s.leaving = slices.DeleteFunc(s.leaving, func(l int32) bool { return l == n })
	}
	if w.cordon != nil && w.cordon.own {
		s.forgetDeadline(w.cordon)
		delete(s.cordons, w.id)
	}
	for w.head != 0 {
		s.endLost(w.head - 1)
	}
	if w.reserved != nil {
		s.loseReserved(w.reserved)
	}
	if w.freed && !s.queue.cut { // else its number is passed over
		s.queue.freed = slices.DeleteFunc(s.queue.freed, func(f int32) bool { return f == n })
	}
	s.index.Remove(index.Worker(n))
	s.enable(w, -1)
	s.gpus.replace(n, w.kit, nil)
	s.why.shape++ // also if it had no slots
	s.dropText(w)
	s.dropKit(w.kit)
	s.forget(n)
	s.log.removed++
}

// measure sets how many tasks a worker may run and how many it runs outside
// any lease.
func (s *State) measure(n int32, slots, external uint32) {
	w := s.workers.At(n)
	if w.slots == slots && w.external == external {
		return
	}
	s.tally(w, -1)
	if w.slots == 0 || slots == 0 {
		s.enable(w, -1)
		w.slots = slots
		s.enable(w, 1)
	}
	w.slots, w.external = slots, external
	s.tally(w, 1)
	s.reindex(n)
}

// tally adds a worker to the totals of the fleet, or with -1 takes it out.
func (s *State) tally(w *worker, by int) {
	s.count.presence[w.presence] += by
	if w.slots == 0 {
		s.count.slotless += by
	}
	if w.presence == online {
		s.count.slots += int64(by) * int64(w.slots)
		s.count.used += int64(by) * (int64(w.takenSlots()) + int64(w.external))
	}
}

// takenSlots is how many slots the leases of a worker take.
func (w *worker) takenSlots() uint32 {
	if w.exclusive > 0 {
		return max(w.taken, w.slots)
	}
	return w.taken
}

// usable reports whether a worker may get anything, were it not held.
func (w *worker) usable() bool {
	return w.known && !w.leaving && w.presence == online && (w.promised || w.http != nil) && w.cordon == nil && w.admits != health.Closed
}

// updateEligible tells the index whether a worker may get anything.
func (s *State) updateEligible(n int32) {
	w := s.workers.At(n)
	s.serviceOf(w)
	ok := w.usable() && w.reserved == nil
	s.queue.shaken = s.queue.shaken || w.reserved != nil && !w.usable()
	if ok != w.eligible {
		w.eligible = ok
		s.index.SetEligible(index.Worker(n), ok, s.room(w)...)
		s.gotRoom(n)
	}
}

// heard notes a report of a worker.
func (s *State) heard(n int32) {
	w := s.workers.At(n)
	s.log.gap, w.seen = s.now-w.seen, s.now
	s.watchDrain(n)
	if w.presence != online {
		s.setPresence(n, online)
		s.timers.Set(n, s.now+s.quiet(w))
	}
}

func (s *State) setPresence(n int32, p presence) {
	w := s.workers.At(n)
	was := w.presence
	s.tally(w, -1)
	w.presence = p
	s.tally(w, 1)
	lost := w.lost
	s.lose(w, p == offline && s.mass.on)
	s.watchMass()
	if s.tellsOfEach(was, p, lost) {
		switch p {
		case online:
			s.note(eventBack, w.id)
		case suspicious:
			s.note(eventSuspicious, w.id)
		case offline:
			s.note(eventOffline, w.id)
		}
	}
	s.updateEligible(n)
}

// patience is the silence that w's present state allows.
func (s *State) patience(w *worker) Time {
	switch w.presence {
	case online:
		return s.quiet(w)
	case suspicious:
		return s.goneAfter(w)
	}
	return s.goneAfter(w) + s.cfg.Retention
}

// silence handles the timer of a worker: it is late, or it has spoken since
// and the timer moves on. No report ever moves a timer. A pulse that comes late
// handles what it missed in the order of the moments at which it was due.
func (s *State) silence(n int32) {
	s.spend(workerWork)
	w := s.workers.At(n)
	if w.seen+s.patience(w) <= s.timers.Now() {
		switch w.presence {
		case online:
			s.setPresence(n, suspicious)
		case suspicious:
			s.setPresence(n, offline)
		case offline:
			if s.mass.on && s.now < s.mass.until {
				s.timers.Set(n, s.mass.until)
				return
			}
			s.note(eventRemoved, w.id)
			s.remove(n)
			return
		}
	}
	s.timers.Set(n, w.seen+s.patience(w))
}
