package sched

import (
	"math/bits"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file counts how the tasks of workers end: for each worker its last ones,
// for each failure among them whose task it was and which devices it had. What
// follows from it is in quarantine.go.

// recent is how the last tasks of a worker ended: the newest lowest, 1 for one
// that failed, and above the oldest a 1 that marks where they begin. 0 is none.
type recent uint16

// recentMost is how many outcomes of a worker are kept.
const recentMost = 15

// ended is how many outcomes there are.
func (r recent) ended() int { return max(bits.Len16(uint16(r))-1, 0) }

// failed is how many of them are failures.
func (r recent) failed() int { return max(bits.OnesCount16(uint16(r))-1, 0) }

// add returns r with one outcome more. It reports whether a failure was pushed
// out by it.
func (r recent) add(failed bool) (next recent, out bool) {
	const oldest recent = 1 << (recentMost - 1)
	if r == 0 {
		r = 1
	}
	if r.ended() == recentMost {
		out = r&oldest != 0
		r = r&(oldest-1) | oldest
	}
	r <<= 1
	if failed {
		r |= 1
	}
	return r, out
}

// failure is a task that failed on a worker.
type failure struct {
	party   uint64
	devices uint64 // as in wire.Placed
}

// party is an owner or group that has a failure among the recent outcomes of
// some worker.
type party struct {
	workers     int // that have one
	failed, oks int // lately: workers on which it failed anew, and tasks that went well anywhere
}

// partyMemory is up to how many outcomes of a party are counted before both
// counts are halved.
const partyMemory = 64

// age forgets some of what was long ago.
func (p *party) age() {
	if p.failed+p.oks > partyMemory {
		p.failed, p.oks = p.failed/2, p.oks/2
	}
}

// partyElsewhere is on how many other workers a party must have failed before
// it may be the cause itself.
const partyElsewhere = 2

// failsAnywhere reports whether a party that has failed on a worker does so on
// others as well, and on more than it has had successes lately: then its
// failures say nothing of that worker.
func (p *party) failsAnywhere() bool { return p.workers > partyElsewhere && p.failed > p.oks }

// partyOf returns whose task a lease is: that of an owner and group or, if it
// names neither, of its client.
func (s *State) partyOf(l *lease) uint64 {
	none := s.clients.list[noClient].hash
	switch {
	case l.ownerLen > 0 || l.groupLen > 0:
		return hashBytes(hashBytes(none, l.owner()), l.group())
	case l.client > httpClient:
		return s.clients.list[l.client].hash
	}
	return none
}

// leaseCarried marks a lease that the present incarnation of its worker took
// over from another: what was lost then was lost by a restart.
const leaseCarried = 1 << 15

// says reports whether an outcome that a worker reports says something of the
// worker. fresh is a report of the registration of a new incarnation. What had
// to make room says nothing, nor what was refused before it began, which is for
// want of room, nor what a restart of the agent lost.
func (l *lease) says(outcome wire.Reason, fresh bool) bool {
	if l.flags&(leasePreempted|leaseOrphan) != 0 {
		return false
	}
	switch outcome {
	case wire.ReasonOK, wire.ReasonFailed:
		return true
	case wire.ReasonRefused:
		return l.state == wire.StateBegun
	case wire.ReasonLost:
		return !fresh && l.flags&leaseCarried == 0
	}
	return false
}

// judge counts an outcome that a worker reports, before its lease ends.
func (s *State) judge(slot int32, outcome wire.Reason, fresh bool) {
	l := s.leases.slots.At(slot)
	if !s.cfg.Quarantine || !l.says(outcome, fresh) {
		return
	}
	w, q := s.workers.At(l.worker), &s.quarantine
	if w.quarantined() {
		if p, _ := s.suspectOf(w); p.probe == slot+1 {
			s.probed(l.worker, outcome)
		}
		return // what was there before the quarantine says nothing new
	}
	was, failed := w.recent, outcome != wire.ReasonOK
	var out bool
	w.recent, out = was.add(failed)
	q.ended += w.recent.ended() - was.ended()
	q.failed += w.recent.failed() - was.failed()
	if out {
		p, _ := s.suspectOf(w)
		s.forgive(p, 1)
	}
	if failed {
		s.suspect(w, failure{s.partyOf(l), l.devices()})
		s.blame(l.worker)
		return
	}
	if len(q.parties) > 0 {
		s.praise(l)
	}
	if out {
		s.trust(w)
	}
}

// praise counts a success of an owner or group that fails somewhere.
func (s *State) praise(l *lease) {
	if p := s.quarantine.parties[s.partyOf(l)]; p != nil {
		p.oks++
		p.age()
	}
}

// trust drops the record of a worker if it says nothing any more.
func (s *State) trust(w *worker) {
	if p, k := s.suspectOf(w); len(p.failures) == 0 && p.backoff == 0 {
		s.quarantine.drop(k)
		w.standing = clean
	}
}

// suspect notes a failure of a worker that is in service.
func (s *State) suspect(w *worker, f failure) {
	q := &s.quarantine
	if w.standing == clean {
		q.take(w.id)
		w.standing = suspected
	}
	p, k := s.suspectOf(w)
	if !p.names(f.party) {
		g := q.parties[f.party]
		if g == nil {
			g = &party{}
			q.parties[f.party] = g
		}
		g.workers++
		g.failed++
		g.age()
	}
	p.failures = append(p.failures, f)
	q.timers.Set(k, max(s.now+s.cfg.QuarantineMemory, p.forgiven))
}

// names reports whether a failure of a party is among those that are kept.
func (p *suspect) names(party uint64) bool {
	return slices.ContainsFunc(p.failures, func(f failure) bool { return f.party == party })
}

// forgive drops the oldest failures of a worker.
func (s *State) forgive(p *suspect, n int) {
	for ; n > 0; n-- {
		f := p.failures[0]
		p.failures = slices.Delete(p.failures, 0, 1)
		if p.names(f.party) {
			continue
		}
		g := s.quarantine.parties[f.party]
		if g.workers--; g.workers == 0 {
			delete(s.quarantine.parties, f.party)
		}
	}
}

// wipe forgets how the last tasks of a worker ended.
func (s *State) wipe(w *worker) {
	q := &s.quarantine
	q.ended -= w.recent.ended()
	q.failed -= w.recent.failed()
	w.recent = 0
	if p, _ := s.suspectOf(w); p != nil {
		s.forgive(p, len(p.failures))
	}
}

// onDevices counts the failures in which each device of a worker took part.
func (p *suspect) onDevices(counts *[wire.MaxDevices]uint32) {
	for _, f := range p.failures {
		for mask := f.devices; mask != 0; mask &= mask - 1 {
			counts[bits.TrailingZeros64(mask)]++
		}
	}
}

// redevice forgets which devices took part in failures when a worker has others
// now: their numbers mean something else.
func (s *State) redevice(w *worker, old *kit) {
	p, _ := s.suspectOf(w)
	if p == nil || old == nil || slices.Equal(old.devices, w.kit.devices) {
		return
	}
	for i := range p.failures {
		p.failures[i].devices = 0
	}
}
