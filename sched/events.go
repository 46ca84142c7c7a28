package sched

import "github.com/dtask/dtask-scheduler/wire"

// What happened lately is kept in two rings of a fixed size, so that memory
// never grows with time. Numbers grow without gaps: a reader that follows can
// tell what it missed.
const (
	eventMemory = 4096
	endedMemory = 4096
)

// event is something that an operator may want to know of a worker.
type event struct {
	at         Time
	what       string
	worker     string
	lease      wire.LeaseID
	reason, by string
}

// What events say.
const (
	eventJoined          = EventJoined
	eventBack            = "back"
	eventSuspicious      = "suspicious"
	eventOffline         = "offline"
	eventRemoved         = "removed"
	eventDeregistered    = "deregistered"
	eventSuperseded      = "superseded"
	eventCordoned        = "cordoned"
	eventPreempted       = "preempted"
	eventDraining        = "draining"
	eventDrained         = "drained"
	eventUncordoned      = "uncordoned"
	eventRevoked         = "revoked"
	eventQuarantined     = "quarantined"
	eventProbing         = "probing"
	eventRecovered       = "recovered"
	eventDeviceInUse     = "device_in_use"
	eventWorkerInUse     = "worker_in_use"
	eventMassLoss        = "mass_loss"         // of no worker: see mass
	eventMassLossOver    = "mass_loss_over"    // the same
	eventMassLossOffline = "mass_loss_offline" // the same
)

// allEvents lists what events say, so that each is counted from 0 on.
var allEvents = [...]string{
	eventJoined, eventBack, eventSuspicious, eventOffline, eventRemoved, eventDeregistered, eventSuperseded,
	eventCordoned, eventPreempted, eventDraining, eventDrained, eventUncordoned, eventRevoked, eventMassLoss, eventMassLossOffline, eventMassLossOver,
	eventQuarantined, eventProbing, eventRecovered, eventDeviceInUse, eventWorkerInUse,
}

// note records an event.
func (s *State) note(what, worker string) *event { return s.log.note(s.now, what, worker) }

func (s *State) listEvents(m *wire.ListEvents) *wire.Events {
	page, p := &wire.Events{Rows: []wire.Event{}, Next: s.log.events.Last()}, s.newPager(m.Limit)
	from := min(m.After, s.log.events.Last()) + 1
	if first := s.log.events.First(); from < first {
		page.Missed = first - from
		from = first
	}
	for n := from; n <= s.log.events.Last() && !p.full(); n++ {
		e := s.log.events.At(n)
		page.Rows = append(page.Rows, wire.Event{Number: n, AgeMS: age(s.now, e.at), What: e.what, Worker: e.worker,
			Lease: e.lease, Reason: e.reason, By: e.by})
		p.add(rowBytes + len(e.worker) + len(e.reason) + len(e.by))
	}
	return page
}

// ended is a lease that is over.
type ended struct {
	id       wire.LeaseID
	at       Time
	held     Time
	body     []byte // task, owner; used again
	client   string
	worker   string
	taskLen  uint8
	ownerLen uint8
	reason   wire.Reason
	by       string
}

// Who ends leases.
const (
	byClient    = "client"
	byScheduler = "scheduler"
	byWorker    = "worker"
)

// usuallyBy says who ends leases for each reason.
var usuallyBy = [...]string{
	wire.ReasonNone:      byScheduler,
	wire.ReasonOK:        byWorker,
	wire.ReasonFailed:    byWorker,
	wire.ReasonRefused:   byWorker,
	wire.ReasonLost:      byScheduler, // unless endedByWorker
	wire.ReasonReleased:  byClient,
	wire.ReasonRevoked:   byWorker,
	wire.ReasonBelieved:  byScheduler,
	wire.ReasonPreempted: byWorker,
}

// remember records the end of a lease that still lives.
func (s *State) remember(l *lease, reason wire.Reason) {
	e := s.log.history.Next()
	e.id, e.at, e.held, e.reason, e.by = l.id, s.now, s.now-l.granted, reason, usuallyBy[reason]
	e.body = append(append(e.body[:0], l.task()...), l.owner()...)
	e.taskLen, e.ownerLen = l.taskLen, l.ownerLen
	e.client, e.worker = s.clients.list[l.client].id, s.workers.At(l.worker).id
}

// endedByWorker notes that the worker itself reported the end of a lease,
// whatever the outcome. before is the newest entry before that end, of which an
// orphan's leaves none.
func (s *State) endedByWorker(before uint64) {
	if s.log.history.Last() != before {
		s.log.history.At(s.log.history.Last()).by = byWorker
	}
}

func (s *State) listEnded(m *wire.ListEnded) *wire.EndedLeases {
	page, p := &wire.EndedLeases{Rows: []wire.EndedLease{}}, s.newPager(m.Limit)
	from := s.log.history.Last()
	if m.Before > 0 {
		from = min(from, m.Before-1)
	}
	for n := from; n >= s.log.history.First() && n > 0; n-- {
		e := s.log.history.At(n)
		s.spend(lookWork)
		task := string(e.body[:e.taskLen])
		if (m.Task != "" && m.Task != task) || (m.Worker != "" && m.Worker != e.worker) {
			continue
		}
		if p.full() {
			page.Next = n + 1
			break
		}
		page.Rows = append(page.Rows, wire.EndedLease{Number: n, Lease: e.id, Task: task, Client: e.client,
			Owner: string(e.body[e.taskLen:][:e.ownerLen]), Worker: e.worker, Reason: e.reason, By: e.by,
			AgeMS: age(s.now, e.at), HeldMS: uint64(max(e.held, 0))})
		p.add(rowBytes + len(e.body) + len(e.client) + len(e.worker))
	}
	return page
}

// age returns the milliseconds from then to now.
func age(now, then Time) uint64 { return uint64(max(now-then, 0)) }
