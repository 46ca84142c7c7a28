package sched

import (
	"github.com/dtask/dtask-scheduler/index"
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
	target      []byte // id and address as Placed carries them; replaced, never changed
	kit         *kit
	incarnation uint64 // 0: speaks HTTP
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
	taken       uint32 // slots taken by leases
	head, tail  int32  // its leases, oldest first; slot + 1
	presence    presence
	known       bool
	promised    bool  // on the present connection
	eligible    bool  // what the index was told
	differs     uint8 // datagrams in a row whose digest differed
}

// kit is what a worker offers beside its slots. Workers that offer the same
// share one.
type kit struct {
	key       string
	tags      []string // as sent
	resources string   // raw msgpack map, sorted
	refs      int
}

// address returns the worker's address.
func (w *worker) address() string {
	_, a := wire.ReadTarget(w.target)
	return a
}

// load is the worker's load for the index: the dominant share.
func (w *worker) load() uint32 {
	return index.Load(uint64(w.taken)+uint64(w.external), uint64(w.slots))
}

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

// newWorker makes room for a worker that is not known yet. It must be dressed
// next, or forgotten.
func (s *State) newWorker(now Time, id string) (int32, *wire.Error) {
	if len(s.byID) >= s.cfg.MaxWorkers {
		return 0, &wire.Error{Code: wire.CodeWorkerLimit, Message: "the fleet has reached its limit of workers",
			Field: "worker", Limit: uint64(s.cfg.MaxWorkers)}
	}
	var n int32
	if k := len(s.freeWorkers); k > 0 {
		n, s.freeWorkers = s.freeWorkers[k-1], s.freeWorkers[:k-1]
	} else {
		n = int32(s.workers.n)
		s.workers.grow(s.workers.n + 1)
	}
	w := s.workers.at(n)
	*w = worker{id: id, known: true, seen: now, cordon: s.cordons[id]}
	s.tally(w, 1)
	s.byID[id] = n
	s.order.add(id)
	s.timers.set(n, now+s.cfg.Suspicious)
	return n, nil
}

// dress gives a worker its address, tags and resources. Nothing changes on an
// error.
func (s *State) dress(n int32, address string, tags []string, resources string) *wire.Error {
	w := s.workers.at(n)
	if w.kit == nil || w.kit.resources != resources || !sameStrings(w.kit.tags, tags) {
		if err := s.index.Put(index.Worker(n), tags); err != nil {
			return &wire.Error{Code: wire.CodeTagLimit, Message: err.Error(), Field: "tags", Limit: uint64(s.cfg.MaxTags)}
		}
		old := w.kit
		w.kit = s.kits.hold(tags, resources)
		s.kits.drop(old)
	}
	if w.target == nil || w.address() != address {
		w.target = wire.AppendTarget(nil, w.id, address)
	}
	return nil
}

// forget undoes newWorker.
func (s *State) forget(n int32) {
	w := s.workers.at(n)
	s.timers.remove(n)
	s.tally(w, -1)
	delete(s.byID, w.id)
	s.order.remove(w.id)
	*w = worker{}
	s.freeWorkers = append(s.freeWorkers, n)
}

// remove ends everything of a worker and forgets it.
func (s *State) remove(n int32) {
	w := s.workers.at(n)
	for w.head != 0 {
		s.end(w.head-1, wire.ReasonLost)
	}
	s.index.Remove(index.Worker(n))
	s.kits.drop(w.kit)
	s.forget(n)
	s.count.removed++
}

// measure sets how many tasks a worker may run and how many it runs outside
// any lease.
func (s *State) measure(n int32, slots, external uint32) {
	w := s.workers.at(n)
	if w.slots == slots && w.external == external {
		return
	}
	s.tally(w, -1)
	w.slots, w.external = slots, external
	s.tally(w, 1)
	s.index.SetLoad(index.Worker(n), w.load())
}

// tally adds a worker to the totals of the fleet, or with -1 takes it out.
func (s *State) tally(w *worker, by int) {
	s.count.presence[w.presence] += by
	if w.slots == 0 {
		s.count.slotless += by
	}
	if w.presence == online {
		s.count.slots += int64(by) * int64(w.slots)
		s.count.used += int64(by) * (int64(w.taken) + int64(w.external))
	}
}

// settle tells the index whether a worker may get anything.
func (s *State) settle(n int32) {
	w := s.workers.at(n)
	ok := w.presence == online && (w.promised || w.http != nil) && w.cordon == nil
	if ok != w.eligible {
		w.eligible = ok
		s.index.SetEligible(index.Worker(n), ok)
	}
}

// heard notes a report of a worker.
func (s *State) heard(n int32, now Time) {
	w := s.workers.at(n)
	w.seen = now
	if w.presence != online {
		s.setPresence(n, online)
		s.timers.set(n, now+s.quiet(w))
	}
}

func (s *State) setPresence(n int32, p presence) {
	w := s.workers.at(n)
	s.tally(w, -1)
	w.presence = p
	s.tally(w, 1)
	switch p {
	case online:
		s.note(eventBack, w.id)
	case suspicious:
		s.note(eventSuspicious, w.id)
	case offline:
		s.note(eventOffline, w.id)
	}
	s.settle(n)
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
// and the timer moves on. No report ever moves a timer.
func (s *State) silence(n int32, now Time) {
	w := s.workers.at(n)
	if w.seen+s.patience(w) <= now {
		switch w.presence {
		case online:
			s.setPresence(n, suspicious)
		case suspicious:
			s.setPresence(n, offline)
		case offline:
			s.note(eventRemoved, w.id)
			s.remove(n)
			return
		}
	}
	s.timers.set(n, w.seen+s.patience(w))
}

func sameStrings(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// kitTable shares kits between workers.
type kitTable map[string]*kit

// hold returns the kit of these tags and resources and counts a holder.
func (t kitTable) hold(tags []string, resources string) *kit {
	key := string(wire.AppendTags(nil, tags)) + resources
	k := t[key]
	if k == nil {
		k = &kit{key: key, tags: append([]string(nil), tags...), resources: resources}
		t[key] = k
	}
	k.refs++
	return k
}

// drop counts one holder less; nil is allowed.
func (t kitTable) drop(k *kit) {
	if k == nil {
		return
	}
	if k.refs--; k.refs == 0 {
		delete(t, k.key)
	}
}
