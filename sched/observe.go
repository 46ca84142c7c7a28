package sched

import "github.com/dtask/dtask-scheduler/wire"

// This file is what a State tells of itself for monitoring: copies of its
// counters, and durations by bounds. What takes a walk over the fleet is in
// scan.go.

// Transport is how a heartbeat came.
type Transport uint8

// The transports.
const (
	OverTCP Transport = iota
	OverUDP
	OverHTTP
	transports
)

// String returns the transport's name, such as udp.
func (t Transport) String() string { return [...]string{"tcp", "udp", "http"}[t] }

// BeatResult is what became of a heartbeat.
type BeatResult uint8

// The results of heartbeats.
const (
	BeatOK      BeatResult = iota // it counted
	BeatStale                     // late, repeated, or of a connection that is not the worker's any more
	BeatUnknown                   // of a worker, an incarnation or a handle that is not known
	beatResults
)

// String returns the result's name, such as stale.
func (r BeatResult) String() string { return [...]string{"ok", "stale", "unknown"}[r] }

// EventJoined is what Observation.Events calls a worker that came for the first
// time.
const EventJoined = "joined"

// The names of the places in the arrays of Observation.
var (
	Presences = [...]string{online: "online", suspicious: "suspicious", offline: "offline"}
	Classes   = [...]string{classLow: "low", classNormal: "normal", classHigh: "high"}
	WaitEnds  = [...]string{waitPlaced: "placed", waitOver: "over", waitCancelled: "cancelled", waitClosed: "closed"}
)

// durationBounds is how many bounds a Durations has.
const durationBounds = 16

// Durations counts durations by bounds: Counts[i] those of at most Bounds[i]
// and more than the bound before, the last one those beyond all bounds.
type Durations struct {
	Bounds *[durationBounds]Time
	Counts [durationBounds + 1]uint64
	Sum    Time
}

// Bounds of the durations, in milliseconds.
var (
	silenceBounds = [durationBounds]Time{100, 500, 1_000, 2_000, 2_500, 3_000, 3_500, 4_000,
		5_000, 6_000, 8_000, 10_000, 15_000, 20_000, 30_000, 60_000}
	waitBounds = [durationBounds]Time{1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000,
		60_000, 300_000, 600_000, 1_800_000, 3_600_000, 21_600_000}
)

// add counts n durations of d.
func (h *Durations) add(d Time, n uint64) {
	i := 0
	if d > h.Bounds[durationBounds/2] {
		i = durationBounds/2 + 1
	}
	for i < durationBounds && d > h.Bounds[i] {
		i++
	}
	h.Counts[i] += n
	h.Sum += d * Time(n)
}

// Observation is what a State has counted since it was made, and its numbers
// of the moment. It shares nothing with the State.
type Observation struct {
	Workers   [len(Presences)]uint64           // known now, by presence
	Leases    [wire.StateEnded]uint64          // alive now, by wire.State
	LeaseEnds [wire.ReasonPreempted + 1]uint64 // by wire.Reason
	Waiting   [len(Classes)]uint64             // tasks that wait now, by class
	Oldest    [len(Classes)]Time               // how long the first of them has waited, in milliseconds
	WaitEnds  [len(WaitEnds)]uint64            // tasks, by how their wait ended
	Waits     [len(Classes)]Durations          // of tasks that got their room
	Beats     [transports][beatResults]uint64  // heartbeats, by Transport and BeatResult
	Silences  Durations                        // from what was last heard of a worker to its next heartbeat
	Events    map[string]uint64                // by what they say
	Violated  [len(InvariantNames)]uint64      // found by ScanFleet
	Granted   uint64                           // leases granted
	Revokes   uint64                           // leases asked back
	Preempted uint64                           // tasks told to make room
	Holds     uint64                           // how often room was held for a waiter
	Holding   bool                             // room is held now
	MassLoss  bool                             // a large part of the fleet is silent now
	Losses    uint64                           // mass losses

	DeviceConflicts   uint64 // registrations refused because another worker has one of their GPUs
	IdentityConflicts uint64 // registrations refused because an agent of another machine has their worker id

	Quarantines uint64 // how often a worker was taken out of service because it failed its tasks
}

// Observe fills in o. It visits no worker and no lease, and of the queue at
// most oldestVisits owners of each class.
func (s *State) Observe(now Time, o *Observation) {
	s.now = now
	l := &s.log
	*o = Observation{
		LeaseEnds: l.ends, WaitEnds: l.waitEnds, Waits: l.waits, Beats: l.beats, Silences: l.silences, Violated: l.violation,
		Granted: l.granted, Revokes: l.revokes, Preempted: l.preempted, Holds: l.holds, Holding: len(s.reservations.bypassed()) > 0,
		MassLoss: s.mass.on, Losses: l.massLosses, Events: make(map[string]uint64, len(l.noted)),
		Quarantines: s.health.Ejections(), DeviceConflicts: l.deviceConflicts, IdentityConflicts: l.identityConflicts,
	}
	for p, n := range s.count.presence {
		o.Workers[p] = uint64(n)
	}
	for st := range o.Leases {
		o.Leases[st] = uint64(s.leases.states[st])
	}
	for k, n := range s.queue.classed {
		o.Waiting[k] = uint64(n)
	}
	for what, n := range l.noted {
		o.Events[what] = n
	}
	s.oldest(&o.Oldest)
}

// oldestVisits bounds, for each class, the owners of which Observe looks at the
// first waiter. With more owners at once the oldest may be one that it missed.
const oldestVisits = 512

// oldest fills in how long the oldest waiter of each class has waited. The
// buckets of an owner queue are in order of their heads, so its first head is its oldest.
func (s *State) oldest(ages *[len(Classes)]Time) {
	q, visits := &s.queue, [classes]int{}
	for _, band := range q.list.Bands() {
		k := classOf(band.Priority)
		for o := band.First(); o != nil && visits[k] < oldestVisits; o = o.Next() {
			visits[k]++
			ages[k] = max(ages[k], s.now-q.at(o.First().Head().Slot).arrived)
		}
	}
}

// lostBeat says what became of a heartbeat over TCP that did not count.
func lostBeat(sess *session, handle uint32) BeatResult {
	if int(handle) >= len(sess.links) {
		return BeatUnknown
	}
	return BeatStale
}
