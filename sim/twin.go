package sim

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// twin is a second scheduler, written for the eye: plain slices, scans, every
// number counted anew when it is wanted. It reads the same messages as the
// real one and predicts every answer. Of workers that speak HTTP it asks the
// real one for the load, because what they run is a guess anyway.
type twin struct {
	w           *World
	cfg         sched.Config
	epoch       uint32
	learning    bool                           // it was just started, and its workers may not have come yet
	sessions    map[sched.Session]*twinSession // never walked
	workers     []*twinWorker                  // in order of their numbers; gaps are nil
	free        []int                          // numbers of removed workers, the last is used first
	leases      []*twinLease                   // alive, the oldest first
	past        map[wire.LeaseID]wire.Reason   // ended leases of this instance; never walked
	epochs      []uint32                       // under which leases were granted
	cordons     map[string]*twinCordon         // by worker id; walked in no order that matters
	queue       twinQueue
	mass        bool       // so many are silent that it is one event
	massTold    bool       // that they are offline
	massDue     bool       // its end is still to come
	massEnd     sched.Time // nobody is removed before
	untold      bool       // of some that fell silent or came back, at this moment
	gives       int
	quarantines quarantines
	ends        [wire.ReasonPreempted + 1]uint64
	latest      map[string]sched.Session // of each client, the one that said hello last; never walked
	news        []said                   // for clients, told when this event has been applied
	unmet       []*twinLease             // granted without an answer
	told        []twinTold               // conflicts

	said     []said // what the real one must say next
	touched  []*twinWorker
	events   []logged[wire.Event]      // all of this life
	ended    []logged[wire.EndedLease] // the same
	notes    []wire.Event              // that the real one must have recorded since the last look
	over     []wire.EndedLease         // the same of leases
	asked    wire.Message              // the list that the real one is asked for
	shuffled bool                      // the real one says the same in another order
	loose    bool                      // two workers were removed at one moment: which number is used first is not known
}

type twinSession struct {
	client string
	links  []twinLink // by handle
}

type twinLink struct {
	worker      *twinWorker
	incarnation uint64
}

type twinWorker struct {
	number      int
	id, address string
	kit
	external    uint32
	http        bool
	incarnation uint64
	machine     uint64
	void        []uint64 // superseded incarnations, the latest first
	seq         uint32
	session     sched.Session
	handle      uint32
	promised    bool
	seen        sched.Time
	presence    string
	spared      sched.Time // it is not removed before
	lost        bool       // it became offline in a mass loss
	beat        uint32     // the last datagram of this incarnation
	differs     int        // datagrams in a row whose digest differed
	given       int        // 0: never
	removed     bool
	touched     bool
	recent      []twinOutcome // of its last tasks, the oldest first
}

type twinLease struct {
	id                        wire.LeaseID
	worker                    *twinWorker
	client                    string
	key                       string // "": none
	task                      string
	content                   string // "": not known
	owner                     string
	group                     string
	priority                  int32
	takes                     share
	granted                   sched.Time // or adopted
	state                     wire.State
	ttl                       sched.Time
	deadline                  sched.Time
	adopted                   bool // known from a worker's report
	orphan                    bool // its end was told before, or is not ours to tell
	rival                     bool // it lives under another worker, too: one of them lies
	listed                    bool
	onPreempt                 wire.OnPreempt
	request                   *twinRequest // nil: its task is not requeued
	preempted, warned, killed bool
	wanted                    bool       // another task wanted its room, once
	carried                   bool       // over from an earlier incarnation
	due                       sched.Time // of the next word to the worker of a preempted lease that has begun
	first                     bool       // the first that its worker was ever given,
	load                      uint64     // at this load
}

// said is one answer, or one element of one, in a form that can be compared.
type said struct {
	to          sched.Session
	request     uint64
	kind        wire.Kind
	code        wire.Code
	why         string // of a task without a place; "" if it is not judged
	state       wire.State
	reason      wire.Reason
	flags       uint8
	worker      string
	lease       wire.LeaseID
	made        *twinLease // the lease is new: its id is not predicted
	index       int
	incarnation uint64
	number      uint32 // handle, or TTL
	devices     uint64
	grantor     wire.Grantor
	changed     bool   // of a cordon
	ttl         uint32 // the grace of a preempted task
}

func newTwin(w *World) *twin {
	return &twin{
		w: w, cfg: w.host.cfg, epoch: 1, learning: w.host.cfg.Learning,
		sessions:    map[sched.Session]*twinSession{0: {}},
		past:        map[wire.LeaseID]wire.Reason{},
		cordons:     map[string]*twinCordon{},
		quarantines: newQuarantines(),
		latest:      map[string]sched.Session{},
		queue:       twinQueue{turns: map[int32][]string{}},
	}
}

// say predicts an answer.
func (t *twin) say(s said) { t.said = append(t.said, s) }

func (t *twin) grantor() wire.Grantor {
	return wire.Grantor{Epoch: t.epoch, Instance: t.cfg.Instance}
}

// apply reads a message before the real scheduler does.
func (t *twin) apply(from sched.Session, request uint64, m wire.Message) {
	s := t.sessions[from]
	if s == nil {
		h, ok := m.(*wire.Hello)
		if !ok {
			t.say(said{to: from, request: request, kind: wire.KindError, code: wire.CodeProtocol})
			return
		}
		t.sessions[from] = &twinSession{client: h.Client}
		if h.Role == wire.RoleClient && h.Client != "" {
			t.latest[h.Client] = from
		}
		t.say(said{to: from, request: request, kind: wire.KindHelloOK, grantor: t.grantor()})
		return
	}
	t.believe()
	switch m := m.(type) {
	case *wire.Schedule:
		t.single(s, said{to: from, request: request}, m)
	case *wire.Batch:
		t.batch(s, said{to: from, request: request}, m)
	case *wire.Cancel:
		t.cancel(s, said{to: from, request: request, kind: wire.KindCancelled}, m)
	case *wire.Renew:
		t.renew(said{to: from, request: request, kind: wire.KindRenewed}, m)
	case *wire.Release:
		t.release(said{to: from, request: request, kind: wire.KindReleased}, m)
	case *wire.Register:
		t.register(s, from, request, m)
	case *wire.Cordon:
		t.cordon(s, said{to: from, request: request}, m)
	case *wire.ListLeases, *wire.ListTags, *wire.ListEvents, *wire.ListEnded, *wire.ListQueue:
		t.judgeNews()
		t.asked = m
		t.say(said{to: from, request: request, kind: listed(m)})
		return
	default:
		t.report(s, from, request, m)
	}
	t.serve()
}

// report reads what an agent reports of a registered worker.
func (t *twin) report(s *twinSession, from sched.Session, request uint64, m wire.Message) {
	handle, seq, isPromise := uint32(0), uint32(0), false
	switch m := m.(type) {
	case *wire.Heartbeat:
		handle, seq = m.Handle, m.Seq
	case *wire.Begun:
		handle, seq = m.Handle, m.Seq
	case *wire.End:
		handle, seq = m.Handle, m.Seq
	case *wire.Revoked:
		handle, seq = m.Handle, m.Seq
	case *wire.Deregister:
		handle, seq = m.Handle, m.Seq
	case *wire.Promised:
		handle, isPromise = m.Handle, true
	default:
		t.w.fail("the twin does not know %s", describe(m))
		return
	}
	if int(handle) >= len(s.links) {
		t.say(said{to: from, request: request, kind: wire.KindError, code: wire.CodeNotRegistered})
		return
	}
	k := s.links[handle]
	w := k.worker
	if w.removed || w.session != from || w.handle != handle {
		if now := t.find(w.id); now == nil || now.incarnation != k.incarnation {
			t.say(said{to: from, request: request, kind: wire.KindSuperseded, worker: w.id, incarnation: k.incarnation})
		} else {
			t.say(said{to: from, request: request, kind: wire.KindError, code: wire.CodeNotRegistered})
		}
		return
	}
	if isPromise {
		t.promised(w, said{to: from, request: request}, m.(*wire.Promised))
		return
	}
	if seq <= w.seq {
		return
	}
	w.seq = seq
	t.heard(w)
	t.accept(w, said{to: from, request: request}, m)
}

// accept applies a report that is in time.
func (t *twin) accept(w *twinWorker, to said, m wire.Message) {
	switch m := m.(type) {
	case *wire.Heartbeat:
		w.external = m.External
	case *wire.Begun:
		t.adopt(w, &m.Record)
	case *wire.End:
		if l := t.aliveOn(m.Lease, w); l != nil {
			t.outcome(l, m.Outcome, false)
			t.end(l, l.outcome(m.Outcome), byWorker)
		}
		to.kind = wire.KindEnded
		t.say(to)
	case *wire.Revoked:
		if l := t.aliveOn(m.Lease, w); l != nil && l.state == wire.StateAskedBack {
			t.end(l, wire.ReasonRevoked, byWorker)
		}
	case *wire.Deregister:
		t.note("deregistered", w.id)
		t.removeWorker(w)
		to.kind = wire.KindGone
		t.say(to)
	}
}

// promised makes a worker eligible.
func (t *twin) promised(w *twinWorker, to said, m *wire.Promised) {
	if m.Grantor.Instance != t.cfg.Instance || m.Grantor.Epoch > t.epoch {
		to.kind, to.code = wire.KindError, wire.CodeBadRequest
		t.say(to)
		return
	}
	w.promised = true
	t.heard(w)
}

// close reads that a connection is gone: its workers are suspicious at once.
func (t *twin) close(id sched.Session) {
	s := t.sessions[id]
	if s == nil {
		return
	}
	for h, k := range s.links {
		if w := k.worker; !w.removed && w.session == id && w.handle == uint32(h) {
			w.session, w.promised = 0, false
			if w.presence == presenceOnline {
				t.setPresence(w, presenceSuspicious)
			}
			t.touch(w)
		}
	}
	delete(t.sessions, id)
	if t.latest[s.client] == id {
		delete(t.latest, s.client)
	}
	for _, x := range slices.Clone(t.queue.waiters) {
		if x.to == id {
			t.drop(x)
		}
	}
	t.serve()
}

// pulse does what is due: leases first, then silent workers.
func (t *twin) pulse() {
	for _, l := range slices.Clone(t.leases) {
		if l.state == wire.StateGranted && l.deadline <= t.w.now {
			t.askBack(l)
		}
		if l.state == wire.StateAssumed && l.granted+httpTTL <= t.w.now {
			t.end(l, wire.ReasonBelieved, byScheduler)
		}
		if l.state == wire.StateBegun && l.preempted && l.due <= t.w.now {
			t.warn(l)
		}
	}
	t.overdue()
	t.silences()
	t.quarantinesDue()
	for _, x := range slices.Clone(t.queue.waiters) {
		if x.over <= t.w.now {
			t.w.counts[FaultWaitOver]++
			t.endWait(x, t.whyOver(x))
		}
	}
	t.serve()
	t.seek()
	t.shuffled = true
}

// compare holds the answers of the real scheduler against the predictions.
func (t *twin) compare(items []sched.Item) {
	t.noticed()
	t.meet()
	var got []said
	for i := range items {
		got = t.outline(got, &items[i])
	}
	want := t.said
	t.said = t.said[:0]
	if len(got) != len(want) {
		t.w.fail("the scheduler says %d things, its twin %d: %+v, %+v", len(got), len(want), got, want)
		return
	}
	if t.shuffled || len(got) > 1 && got[0].request == 0 {
		order := func(a, b said) int {
			key := func(s said) []uint64 {
				k := []uint64{uint64(s.to), s.request, uint64(s.kind), uint64(s.index)}
				if s.kind == wire.KindRevoke || s.kind == wire.KindPreempt || s.kind == wire.KindNotice {
					k = append(k, s.lease.Counter, uint64(s.lease.Instance), uint64(s.number))
				}
				return k
			}
			return slices.Compare(key(a), key(b))
		}
		slices.SortStableFunc(got, order)
		slices.SortStableFunc(want, order)
	}
	t.shuffled = false
	for i := range got {
		t.match(&got[i], &want[i])
	}
}

// match compares one answer, and takes the id of a new lease from it.
func (t *twin) match(got, want *said) {
	if l := want.made; l != nil {
		l.id, want.lease, want.made = got.lease, got.lease, nil
		if !slices.Contains(t.epochs, l.id.Epoch) {
			t.epochs = append(t.epochs, l.id.Epoch)
		}
		if got.worker != want.worker && t.loose && t.tied(l, got.worker) {
			want.worker, want.incarnation = l.worker.id, l.worker.incarnation
		}
	}
	if want.state == wire.StateEnded && got.reason == wire.ReasonNone {
		want.reason = wire.ReasonNone // it may be forgotten
	}
	if want.why == "" || slices.Contains(plainWords, got.why) {
		want.why = got.why
	}
	if *got != *want {
		t.w.fail("I7: the scheduler says %+v, its twin %+v", *got, *want)
	}
}

// tied moves a fresh lease to another worker that was never given anything,
// either, and is no more loaded: only their numbers tell them apart.
func (t *twin) tied(l *twinLease, other string) bool {
	from, to := l.worker, t.find(other)
	if to == nil || !l.first || to.given != 0 || t.load(to) != l.load {
		return false
	}
	l.worker, to.given, from.given = to, from.given, 0
	t.touch(from)
	t.touch(to)
	return true
}

// outline brings one answer into a form that can be compared.
func (t *twin) outline(out []said, it *sched.Item) []said {
	s := said{to: it.To, request: it.Request, kind: it.Kind}
	switch m := it.Message().(type) {
	case *wire.HelloOK:
		s.grantor = m.Grantor
	case *wire.Error:
		s.code, s.why = m.Code, m.Message
	case *wire.Placed:
		s.placed(m)
	case *wire.Renewed:
		for _, l := range m.Leases {
			s.state, s.reason = l.State, l.Reason
			out = append(out, s)
		}
		return out
	case *wire.Released:
		s.code, s.reason = m.Code, m.Reason
		if m.Code == wire.CodeAlreadyEnded {
			s.state = wire.StateEnded
		}
	case *wire.Registered:
		s.number, s.grantor = m.Handle, m.Grantor
	case *wire.Revoke:
		s.number, s.lease = m.Handle, m.Lease
	case *wire.Preempt:
		s.number, s.lease, s.ttl = m.Handle, m.Lease, m.GraceMS
	case *wire.Notice:
		s.lease, s.number, s.ttl, s.reason = m.Lease, uint32(m.News), m.GraceMS, m.Reason
	case *wire.Superseded:
		s.worker, s.incarnation = m.Worker, m.Incarnation
	case *wire.Cordoned:
		s.changed = m.Changed
	case *wire.Cancelled:
		s.number = m.Count
	case *wire.Settled:
		if s.placed(&m.Result.Placed); m.Result.Code != wire.CodeOK {
			s = said{to: it.To, request: it.Request, kind: it.Kind, code: m.Result.Code}
		}
		s.index = int(m.Index)
	case *wire.Leases, *wire.Tags, *wire.Events, *wire.EndedLeases, *wire.Queue:
		t.judgeList(it.Message())
	case *wire.PlacedAll:
		out = append(out, s)
		for i := range m.Results {
			r := said{to: it.To, request: it.Request, kind: wire.KindPlaced}
			if r.placed(&m.Results[i].Placed); m.Results[i].Code != wire.CodeOK {
				r = said{to: it.To, request: it.Request, kind: wire.KindError, code: m.Results[i].Code, why: m.Results[i].Sentence()}
			}
			out = append(out, r)
		}
		return out
	}
	return append(out, s)
}

func (s *said) placed(m *wire.Placed) {
	s.worker, _ = wire.ReadTarget(m.Target)
	s.lease, s.incarnation, s.number, s.flags, s.devices = m.Lease, m.Incarnation, m.TTLMS, m.Flags, m.Devices
}
