// Package sched is the scheduler itself: workers, leases and the choice of a
// worker for a task, as a data structure that is driven from outside. It has no
// clock, no socket, no goroutine and no lock: time is an argument, and what it
// wants sent is left in an Outbox. The same calls give the same answers.
//
// To read it, begin with Apply here, then schedule.go (a task gets a lease),
// life.go (every change of a lease and of the room it takes), register.go (a
// worker comes, and with it the truth about its leases) and check.go (what
// must hold).
package sched

import (
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// pulseBudget bounds the items that one Pulse visits.
const pulseBudget = 1024

// State is one scheduler. It is not safe for concurrent use.
type State struct {
	cfg      Config
	limits   map[string]uint64 // that hello tells
	epoch    uint32
	learning bool // see Config.Learning
	now      Time // of the call that is being handled
	sessions map[Session]*session
	latest   latest
	closings []closing
	joining  map[int32]*joining // registrations that go on in turns, by worker
	clients  clientTable

	formerEpochs  []uint32 // under which leases were granted, the latest last
	grantedBefore uint64   // leases, when the epoch rose

	fleet

	leases       leaseTable
	demands      demandTable
	verdicts     map[verdict]bool
	why          explainer
	keys         keyTable
	reservations reservationTable
	queue        queue
	requests     map[int32]*kept      // of leases whose tasks may be requeued, by slot
	notices      []notice             // for clients, to be sent when this message has been applied
	conflicts    map[conflictKey]Time // when a conflict of a worker was told last
	health       *health.Detector
	expiry       ds.Wheel // of leases that have not begun, or must make room

	hasty    bool // the message is handled in turns, and stops when turnLeft is used up
	pulsing  bool // else an event is handled
	turnLeft int  // units of work

	firstWork, turnWork int // FirstWork and TurnWork, smaller in tests

	work   int                           // of the latest call of Begin or Continue
	pinned map[string]*index.Requirement // of the job, too long for the index's cache

	log log

	single    admission // scratch, as all below
	roomBuf   []int64
	notBuf    []int32
	deviceBuf [capacity.MaxDevices]capacity.Device
	keyBuf    []byte

	recounted    recounted
	scratch      worker // as all below
	scratchHeld  capacity.Used
	planBuf      plan
	victimSearch victimSearch
}

// New returns an empty scheduler.
func New(cfg Config) (*State, error) {
	if err := cfg.Verify(); err != nil {
		return nil, err
	}
	s := &State{
		cfg:       cfg,
		fleet:     newFleet(&cfg),
		epoch:     1,
		learning:  cfg.Learning,
		sessions:  map[Session]*session{0: {client: noClient}},
		clients:   newClientTable(mix(cfg.Seed^hashK0, hashK1)),
		queue:     newQueue(&cfg),
		joining:   map[int32]*joining{},
		firstWork: FirstWork, turnWork: TurnWork,
		requests: map[int32]*kept{}, conflicts: map[conflictKey]Time{},
		log: newLog(),
	}
	s.limits = limitsOf(&cfg)
	s.demands, s.verdicts = newDemandTable(), map[verdict]bool{}
	s.why = explainer{kept: map[verdict]explained{}, units: explainSaved}
	s.health = newHealth(&cfg)
	s.leases.adopted, s.leases.rivals = map[wire.LeaseID]adopted{}, map[wire.LeaseID]map[int32]adopted{}
	return s, nil
}

// Grantor returns the epoch and instance under which leases are granted now.
func (s *State) Grantor() wire.Grantor {
	return wire.Grantor{Epoch: s.epoch, Instance: s.cfg.Instance}
}

// Apply handles one message of a session and appends the answers, and messages
// for other sessions, to out. The first message of a session other than 0 must
// be Hello. It keeps no byte of m. request is echoed in the answer. Begin is for
// callers that others wait for.
func (s *State) Apply(now Time, from Session, request uint64, m wire.Message, out *Outbox) {
	c := caller{from: from, request: request, out: out}
	s.handle(now, &c, m)
}

// handle is Apply, in the work that Begin allows.
func (s *State) handle(now Time, c *caller, m wire.Message) *Job {
	s.now = now
	if c.sess = s.session(c.from); c.sess == nil {
		s.hello(c, m)
		return nil
	}
	switch m := m.(type) {
	case *wire.Schedule:
		if !s.schedule(c, m) {
			return &Job{from: c.from, request: c.request}
		}
	case *wire.Heartbeat:
		s.heartbeat(c, m)
	case *wire.Begun:
		s.begun(c, m)
	case *wire.End:
		s.ended(c, m)
	case *wire.Release:
		s.release(c, m)
	case *wire.Renew:
		s.renew(c, m)
	case *wire.Batch:
		j := &Job{from: c.from, request: c.request, admission: admission{batch: true, gang: m.AllOrNone}}
		if !s.batch(c, j, m) {
			s.finish(c.out)
			return j
		}
	case *wire.Revoked:
		s.revoked(c, m)
	case *wire.Register:
		if j := s.register(c, m); j != nil {
			s.finish(c.out)
			return &Job{from: c.from, request: c.request, joining: j}
		}
	case *wire.Promised:
		s.promise(c, m)
	case *wire.Deregister:
		s.deregister(c, m)
	case *wire.Cordon:
		s.setCordon(c, m)
	case *wire.Cancel:
		s.cancel(c, m)
	default:
		s.ask(c, m)
		return nil
	}
	s.finish(c.out)
	return nil
}

// finish does what follows from a change of any kind.
func (s *State) finish(out *Outbox) {
	s.hasty = false
	if len(s.draining) > 0 {
		s.updateDrains()
	}
	if len(s.notices) > 0 {
		s.sendNotices(out)
	}
	if q := &s.queue; q.list.Len() > 0 || len(q.freed) > 0 {
		s.serve(out)
	}
}

// ask answers the questions of operators, which change nothing.
func (s *State) ask(c *caller, m wire.Message) {
	switch m := m.(type) {
	case *wire.Ping:
		c.reply(&wire.Pong{})
	case *wire.ListWorkers:
		c.reply(s.listWorkers(m, c.from != 0))
	case *wire.GetWorker:
		c.reply(s.getWorker(m))
	case *wire.GetStats:
		c.reply(s.stats())
	case *wire.ListLeases:
		c.reply(s.listLeases(m))
	case *wire.ListTags:
		c.reply(s.listTags(m))
	case *wire.ListEvents:
		c.reply(s.listEvents(m))
	case *wire.ListEnded:
		c.reply(s.listEnded(m))
	case *wire.ListQueue:
		c.reply(s.listQueue(m))
	default:
		c.reply(&wire.Error{Code: wire.CodeProtocol, Message: "a message out of turn"})
	}
}

// Pulse handles what has become due, at most 1,024 items. Call it when
// NextPulse says so, and again while NextPulse is not after now.
func (s *State) Pulse(now Time, out *Outbox) {
	s.now = now
	began := s.turnLeft
	_ = s.index.TakeWork() // of others
	s.pulsing = true
	defer func() {
		s.pulsing = false
		s.work = began - s.turnLeft + s.index.TakeWork()
	}()
	left := s.advance(&s.expiry, pulseBudget, began-TurnWork, func(slot int32) {
		s.spend(leaseWork)
		switch s.leases.slots.At(slot).state {
		case wire.StateAssumed:
			s.end(slot, wire.ReasonBelieved)
		case wire.StateBegun:
			s.warn(slot, out)
		default:
			s.askBack(slot, out)
		}
	})
	left = s.takeLeave(s.disconnect(left))
	left = s.overdue(left, out)
	if now >= s.mass.due {
		s.mass.due = Never
		s.watchMass()
	}
	left = s.advance(&s.timers, left, began-TurnWork, s.silence)
	left = s.health.Advance(now, left, s.applyVerdict)
	left = s.advance(&s.queue.waits, left, began-TurnWork, func(slot int32) { s.endWait(slot, s.waitOverdue(s.queue.at(slot)), waitOver, out) })
	s.disperse(left, out)
	s.finish(out)
	if s.seek(out) {
		s.finish(out)
	}
}

// advance hands out what is due of a wheel, as many items as are left and until
// turnLeft is used up: one item may remove a worker, or look at thousands. It returns
// how many are left.
func (s *State) advance(w *ds.Wheel, left, until int, due func(item int32)) int {
	for ; left > 0; left-- {
		if s.turnLeft <= until {
			return 0
		}
		if w.Advance(s.now, 1, due) > 0 {
			return left
		}
	}
	return 0
}

// NextPulse returns when Pulse should be called next, Never if nothing is due
// ever. It may be too early, never too late.
func (s *State) NextPulse() Time {
	next := min(s.expiry.Next(), s.timers.Next(), s.queue.waits.Next(), s.nextDeadline(), s.nextSeek(), s.health.Next(), s.mass.due)
	if q := &s.queue; len(s.closings)+len(s.leaving) > 0 || len(q.closed) > 0 || q.list.Len() > 0 && len(q.fresh) > 0 || q.list.Len() > 0 && !q.settled() {
		next = min(next, s.now)
	}
	return next
}
