package sched

import (
	"fmt"
	"strings"

	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file takes workers that fail their tasks out of service, and back.
//
//	in service ──▶ kept out ──▶ on probe ──▶ in service
//	    clearly worse    ▲  back-off  │   its task went well
//	                     └────────────┘
//	               it failed: twice the back-off
//
// The state belongs to the worker's id, as a cordon does: nobody escapes by
// leaving and coming back.

// quarantine is what is known of workers that fail tasks. A record is made with
// a worker's first failure, and dropped when none of its recent outcomes is one
// and it has not been kept out lately. The record of one that was kept out
// outlives the worker for a while.
type quarantine struct {
	suspects ds.Chunks[suspect]
	unused   []int32
	timers   ds.Wheel          // by record
	byID     map[string]int32  // of known workers, and of those that are gone; at most 3 * MaxWorkers
	parties  map[uint64]*party // at most recentMost for each record

	ended, failed int    // recent outcomes of all known workers
	out           int    // known workers that are kept out, or on probe
	times         uint64 // how often a worker was kept out
}

// phase is how far a quarantine is.
type phase uint8

const (
	inService phase = iota
	keptOut         // until its timer
	onProbe         // one task is let onto it
)

// standing is what a worker's record says of it.
type standing uint8

const (
	clean     standing = iota // it has no record
	suspected                 // it has one
	probing                   // one task may come
	barred                    // nothing may
)

// quarantined reports whether a worker is kept out or on probe.
func (w *worker) quarantined() bool { return w.standing >= probing }

// takesMore reports whether tasks may come to a worker, as far as it has room,
// and not just one.
func (w *worker) takesMore() bool {
	return w.eligible && w.exclusive == 0 && w.standing != probing
}

// suspect is a worker that has failed tasks lately.
type suspect struct {
	worker   string
	failures []failure // of the recent outcomes, the oldest first
	phase    phase
	probe    int32  // the slot of the task that is let onto it, + 1
	backoff  Time   // the last one; 0: it was never kept out
	forgiven Time   // the next one is the first again from then on
	reason   string // of the quarantine
	since    Time
}

// Limits of quarantines.
const (
	// leastFleet is how many workers must be online for one to be kept out.
	leastFleet = 2
	// forgiveAfter is how many times its last back-off a worker must have been in
	// service until that back-off is forgotten.
	forgiveAfter = 10
)

// take makes a record for a worker.
func (q *quarantine) take(worker string) {
	var k int32
	if n := len(q.unused); n > 0 {
		k, q.unused = q.unused[n-1], q.unused[:n-1]
	} else {
		k = int32(q.suspects.Len())
		q.suspects.Grow(q.suspects.Len() + 1)
	}
	*q.suspects.At(k) = suspect{worker: worker}
	q.byID[worker] = k
}

// drop frees a record that has no failures.
func (q *quarantine) drop(k int32) {
	p := q.suspects.At(k)
	q.timers.Remove(k)
	delete(q.byID, p.worker)
	*p = suspect{}
	q.unused = append(q.unused, k)
}

// suspectOf returns the record of a worker and its number, nil if there is none.
func (s *State) suspectOf(w *worker) (*suspect, int32) {
	if w.standing == clean {
		return nil, 0
	}
	k := s.quarantine.byID[w.id]
	return s.quarantine.suspects.At(k), k
}

// acquit drops the record of a known worker, whatever it holds, and forgets how
// its last tasks ended.
func (s *State) acquit(w *worker) {
	s.wipe(w)
	if p, k := s.suspectOf(w); p != nil {
		if p.phase != inService {
			s.quarantine.out--
		}
		s.quarantine.drop(k)
		w.standing = clean
	}
}

// evidence is what speaks against a worker.
type evidence struct {
	failed, ended        int // of its recent outcomes, without failures whose owner fails anywhere
	parties              int // of the failures
	device, onDevice     int // the device that took part in most of them, -1 if there is no such one
	others, othersFailed int // recent outcomes of all other workers, and what runs there
}

// weigh gathers what speaks against a worker, but for the others.
func (s *State) weigh(w *worker) evidence {
	q := &s.quarantine
	p, _ := s.suspectOf(w)
	e := evidence{ended: w.recent.ended(), device: -1}
	var counts [wire.MaxDevices]uint32
	told := suspect{}
	for _, f := range p.failures {
		if q.parties[f.party].failsAnywhere() {
			e.ended--
			continue
		}
		if !told.names(f.party) {
			e.parties++
		}
		told.failures = append(told.failures, f)
	}
	e.failed = len(told.failures)
	told.onDevices(&counts)
	for i, n := range counts {
		if int(n) > e.onDevice {
			e.device, e.onDevice = i, int(n)
		} else if int(n) == e.onDevice {
			e.device = -1
		}
	}
	return e
}

// weighOthers adds what is known of the other workers.
func (s *State) weighOthers(w *worker, e *evidence) {
	q := &s.quarantine
	e.others, e.othersFailed = q.ended-w.recent.ended()+s.runsElsewhere(w), q.failed-w.recent.failed()
}

// runsElsewhere counts the tasks that run on other workers. Where a task takes
// long nothing else tells for long that it does not fail.
func (s *State) runsElsewhere(w *worker) int {
	n := s.count.states[wire.StateBegun]
	for e := w.head; e != 0; {
		l := s.leases.slots.At(e - 1)
		if l.state == wire.StateBegun {
			n--
		}
		e = l.next
	}
	return n
}

// worse reports whether the worker succeeds less than half as often as the
// others do, of whom enough is known and most of whose tasks go well.
func (e *evidence) worse(least int) bool {
	went := e.others - e.othersFailed
	return e.others >= least && 2*went >= e.others && 2*(e.ended-e.failed)*e.others < went*e.ended
}

// String is the reason that people are shown.
func (e *evidence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "failed %d of its last %d tasks, of %d owners or groups", e.failed, e.ended, e.parties)
	if e.device >= 0 {
		fmt.Fprintf(&b, ", %d of them on device %d", e.onDevice, e.device)
	}
	fmt.Fprintf(&b, "; the others fail %d %%", 100*e.othersFailed/e.others)
	return b.String()
}

// blame takes a worker that has just failed a task out of service if it fails
// clearly more than the fleet. What fails while a large part of the fleet is
// silent may be the network.
func (s *State) blame(n int32) {
	w := s.workers.At(n)
	if w.cordon != nil || s.mass.on || w.recent.failed() < s.cfg.QuarantineFailures {
		return
	}
	e := s.weigh(w)
	if e.failed < s.cfg.QuarantineFailures || e.parties < s.cfg.QuarantineOwners {
		return
	}
	if s.weighOthers(w, &e); e.worse(s.cfg.QuarantineFailures) && s.spares() {
		s.keepOut(n, e.String())
	}
}

// spares reports whether the fleet can do without one more worker.
func (s *State) spares() bool {
	q, fleet := &s.quarantine, s.count.presence[online]
	return fleet >= leastFleet && len(q.byID) <= 2*s.cfg.MaxWorkers && (q.out == 0 || 100*(q.out+1) <= s.cfg.QuarantineShare*fleet)
}

// keepOut lets nothing onto a worker for a while, a longer one each time.
func (s *State) keepOut(n int32, reason string) {
	w, q := s.workers.At(n), &s.quarantine
	s.wipe(w)
	p, k := s.suspectOf(w)
	if p.phase == inService {
		q.out++
		if s.now >= p.forgiven {
			p.backoff = 0
		}
	}
	p.backoff = min(max(2*p.backoff, s.cfg.QuarantineFirst), s.cfg.QuarantineMost)
	p.phase, p.probe, p.reason, p.since = keptOut, 0, reason, s.now
	q.timers.Set(k, s.now+p.backoff)
	q.times++
	s.noteQuarantine(eventQuarantined, p)
	s.rank(n, barred)
}

func (s *State) noteQuarantine(what string, p *suspect) {
	e := s.note(what, p.worker)
	e.reason, e.by = p.reason, byScheduler
}

// rank changes what may come to a worker.
func (s *State) rank(n int32, to standing) {
	s.workers.At(n).standing = to
	s.settle(n)
}

// suspectDue is the timer of a record: a back-off is over, or nothing has
// happened for long.
func (s *State) suspectDue(k int32) {
	p := s.quarantine.suspects.At(k)
	n, known := s.byID[p.worker]
	switch {
	case p.phase == keptOut && known:
		p.phase = onProbe
		s.noteQuarantine(eventProbing, p)
		s.rank(n, probing)
	case p.phase == keptOut:
		p.phase = onProbe
		s.awaitReturn(k)
	case known:
		s.acquit(s.workers.At(n))
	default:
		s.quarantine.drop(k)
	}
}

// awaitReturn forgets a worker that is gone, and would be probed, after a while.
func (s *State) awaitReturn(k int32) {
	s.quarantine.timers.Set(k, s.now+forgiveAfter*s.quarantine.suspects.At(k).backoff)
}

// probes notes that a worker was granted a lease: one that is on probe gets no
// second one.
func (s *State) probes(slot int32) {
	n := s.leases.slots.At(slot).worker
	if w := s.workers.At(n); w.standing == probing {
		p, _ := s.suspectOf(w)
		p.probe = slot + 1
		s.rank(n, barred)
	}
}

// probed is the outcome of the task that was let onto a worker.
func (s *State) probed(n int32, outcome wire.Reason) {
	w, q := s.workers.At(n), &s.quarantine
	if outcome != wire.ReasonOK {
		s.keepOut(n, "its probe ended as "+outcome.String())
		return
	}
	p, k := s.suspectOf(w)
	q.out--
	p.phase, p.probe, p.forgiven = inService, 0, s.now+forgiveAfter*p.backoff
	q.timers.Set(k, p.forgiven)
	p.reason = "its probe ended as " + outcome.String()
	s.noteQuarantine(eventRecovered, p)
	s.rank(n, suspected)
}

// unprobe notes that a lease ends. If it was the task of a probe, and said
// nothing, another one may come.
func (s *State) unprobe(slot int32) {
	n := s.leases.slots.At(slot).worker
	if w := s.workers.At(n); w.standing == barred {
		if p, _ := s.suspectOf(w); p.probe == slot+1 {
			p.probe = 0
			s.rank(n, probing)
		}
	}
}

// undoProbe is unprobe for a grant that nobody was told of: nobody gets room by
// it that was not there before.
func (s *State) undoProbe(slot int32) {
	n := s.leases.slots.At(slot).worker
	w := s.workers.At(n)
	if p, _ := s.suspectOf(w); p != nil && p.probe == slot+1 {
		p.probe, w.standing = 0, probing
		s.serviceOf(w)
		w.eligible = w.usable() && !w.reserved
		s.index.SetEligible(index.Worker(n), w.eligible, s.room(w)...)
	}
}

// returns gives a worker that becomes known the quarantine that its id is in.
func (s *State) returns(w *worker) {
	q := &s.quarantine
	k, ok := q.byID[w.id]
	if !ok {
		return
	}
	switch q.suspects.At(k).phase {
	case inService:
		w.standing = suspected
		return
	case keptOut:
		w.standing = barred
	case onProbe:
		w.standing = probing
		q.timers.Remove(k)
	}
	q.out++
}

// departs forgets what is known of a worker that is removed, but for its
// quarantine.
func (s *State) departs(w *worker) {
	s.wipe(w)
	p, k := s.suspectOf(w)
	switch {
	case p == nil:
		return
	case p.phase == inService && p.backoff == 0:
		s.acquit(w)
		return
	case p.phase == onProbe:
		s.awaitReturn(k)
	}
	if p.phase != inService {
		s.quarantine.out--
	}
	w.standing = clean
}

// absolve is an operator's word, which counts more than all that is known of a
// worker.
func (s *State) absolve(id string) {
	if n, known := s.byID[id]; known {
		s.acquit(s.workers.At(n))
	} else if k, ok := s.quarantine.byID[id]; ok {
		s.quarantine.drop(k)
	}
}

// quarantined reports whether a worker, known or gone, is kept out or on probe.
func (s *State) quarantined(id string) bool {
	k, ok := s.quarantine.byID[id]
	return ok && s.quarantine.suspects.At(k).phase != inService
}

// informOutcomes describes how the last tasks of a worker ended, and its
// quarantine.
func (s *State) informOutcomes(w *worker, info *wire.WorkerInfo) {
	info.Recent, info.RecentFailed = uint32(w.recent.ended()), uint32(w.recent.failed())
	p, k := s.suspectOf(w)
	if p == nil {
		return
	}
	var counts [wire.MaxDevices]uint32
	p.onDevices(&counts)
	for i := range info.Devices {
		info.Devices[i].Failed = counts[i]
	}
	if p.phase == inService {
		return
	}
	if w.cordon == nil {
		info.Flags = append(info.Flags, "cordoned")
		info.CordonReason, info.CordonBy, info.CordonMS = p.reason, byScheduler, age(s.now, p.since)
	}
	info.Flags = append(info.Flags, "quarantined")
	if p.phase == onProbe {
		info.Flags = append(info.Flags, "probing")
		return
	}
	info.ProbeMS = uint64(max(s.quarantine.timers.At(k)-s.now, 0))
}
