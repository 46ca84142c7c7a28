package sched

import (
	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/wire"
)

// log is what a State remembers of the past: the last events and ended leases, and
// totals since it was made. No decision depends on it.
type log struct {
	events  ds.Ring[event]
	history ds.Ring[ended]
	noted   map[string]uint64 // events, by what they say

	ends                               [wire.ReasonPreempted + 1]uint64
	granted, repeated, adopted         uint64
	revokes, preempted, requeued       uint64
	unavailable, infeasible            uint64 // refusals
	limited, ownerLimited              uint64 // refusals
	stale, superseded, removed         uint64
	deviceConflicts, identityConflicts uint64
	epochsRefused, massLosses          uint64

	waited   uint64           // tasks that came to wait
	waitEnds [waitEnds]uint64 // tasks, by how their wait ended
	waits    [classes]Durations
	holds    uint64

	beats    [transports][beatResults]uint64
	silences Durations // from what was last heard of a worker to its next heartbeat
	gap      Time      // the silence that the latest report ended

	violation [invariants]uint64
}

func newLog() log {
	l := log{
		events: ds.NewRing[event](eventMemory), history: ds.NewRing[ended](endedMemory),
		noted: map[string]uint64{}, silences: Durations{Bounds: &silenceBounds},
	}
	for _, what := range allEvents {
		l.noted[what] = 0
	}
	for c := range l.waits {
		l.waits[c].Bounds = &waitBounds
	}
	return l
}

// note records an event.
func (l *log) note(now Time, what, worker string) *event {
	e := l.events.Next()
	l.noted[what]++
	*e = event{at: now, what: what, worker: worker}
	return e
}

// beat counts a heartbeat, and if it counted the silence that it ended.
func (l *log) beat(t Transport, r BeatResult) {
	l.beats[t][r]++
	if r == BeatOK {
		l.silences.add(l.gap, 1)
	}
}

// waitEnded counts tasks whose wait ended without a lease.
func (l *log) waitEnded(how int, tasks int) { l.waitEnds[how] += uint64(tasks) }

// placedWaiter counts tasks that got their leases, and how long they waited.
func (l *log) placedWaiter(c class, waited Time, tasks int) {
	l.waitEnds[waitPlaced] += uint64(tasks)
	l.waits[c].add(waited, uint64(tasks))
}
