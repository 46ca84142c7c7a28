// Package twin is a second scheduler, written for the eye from the documents:
// plain slices, scans, every number counted anew when it is wanted. It says
// where tasks are placed, in which order those that wait are served, who makes
// room for them and which workers are kept out. What the real scheduler accepts
// of other messages it follows.
package twin

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// simulation is what the twin knows of the run that it is a part of.
type simulation interface {
	Now() sched.Time
	Fail(format string, args ...any) // notes the first violation
	Failed() bool
	Hit(fault.Kind)
	Ask(wire.Message) wire.Message // asks the real scheduler, beside its traffic
	Queue() []wire.WaiterInfo      // as the real one lists it
	NextPulse() sched.Time         // that the real one wants
	Formula(text string) (f *offer.Formula, known bool)
}

// Twin follows one life of the real scheduler. Of workers that speak HTTP it asks
// the real one for the load, because what they run is a guess anyway.
type Twin struct {
	w           simulation
	cfg         sched.Config
	learning    bool                     // it was just started, and its workers may not have come yet
	clients     map[sched.Session]string // ids of those connected; never walked
	workers     []*worker                // in order of their numbers; gaps are nil
	free        []int                    // numbers of removed workers, the last is used first
	leases      []*lease                 // alive, the oldest first
	cordons     map[string]*cordon       // by worker id; walked in no order that matters
	queue       waitQueue
	mass        massLoss
	gives       int
	quarantines quarantines
	ends        [wire.ReasonPreempted + 1]uint64
	latest      map[string]sched.Session // of each client, the one that said hello last; never walked
	news        []said                   // for clients, told when this event has been applied
	unmet       []*lease                 // granted without an answer

	said      []said // what the real one must say
	followed  said   // a request whose answer is not predicted
	touched   []*worker
	events    uint64   // that were read
	notes     []string // that the real one must have recorded since
	shuffled  bool     // the real one says the same in another order
	loose     bool     // two workers were removed at one moment: which number is used first is not known
	unordered bool     // which of the workers that one late pulse finds silent comes first is not known
}

type worker struct {
	number      int
	id, address string
	offer.Kit
	external    uint32
	http        bool
	incarnation uint64
	machine     uint64
	seq         uint32
	session     sched.Session
	handle      uint32
	promised    bool
	seen        sched.Time
	presence    string
	spared      sched.Time // it is not removed before
	lost        bool       // it became offline in a mass loss
	beat        uint32     // the last datagram of this incarnation
	given       int        // 0: never
	removed     bool
	touched     bool
	recent      []taskEnd // of its last tasks, the oldest first
}

type lease struct {
	id                        wire.LeaseID
	worker                    *worker
	client                    string
	key                       string // "": none
	task                      string
	content                   string // "": not known
	owner                     string
	group                     string
	priority                  int32
	takes                     offer.Share
	granted                   sched.Time // or adopted
	state                     wire.State
	ttl                       sched.Time
	deadline                  sched.Time
	adopted                   bool // known from a worker's report
	orphan                    bool // its end was told before, or is not ours to tell
	rival                     bool // it lives under another worker, too: one of them lies
	listed                    bool
	onPreempt                 wire.OnPreempt
	request                   *requeueRequest // nil: its task is not requeued
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
	reason      wire.Reason
	flags       uint8
	worker      string
	lease       wire.LeaseID
	made        *lease // the lease is new: its id is not predicted
	index       int
	incarnation uint64
	number      uint32 // handle, TTL, count or news
	devices     uint64
	ttl         uint32 // the grace of a preempted task
}

// New returns the twin of a scheduler that has just started with cfg.
func New(w simulation, cfg sched.Config) *Twin {
	return &Twin{
		w: w, cfg: cfg, learning: cfg.Learning,
		clients:     map[sched.Session]string{0: ""},
		cordons:     map[string]*cordon{},
		quarantines: newQuarantines(),
		latest:      map[string]sched.Session{},
		queue:       waitQueue{turns: map[int32][]string{}},
	}
}

// Learned ends the time in which the scheduler learns its fleet.
func (t *Twin) Learned() { t.learning = false }

// say predicts an answer.
func (t *Twin) say(s said) { t.said = append(t.said, s) }

// Apply reads a message that the real scheduler has answered.
func (t *Twin) Apply(from sched.Session, request uint64, m wire.Message, answers []sched.Item) {
	var answer wire.Message
	for i := range answers {
		if answers[i].To == from && answers[i].Request == request {
			answer = answers[i].Message()
			break
		}
	}
	if h, ok := m.(*wire.Hello); ok {
		t.clients[from] = h.Client
		if h.Role == wire.RoleClient && h.Client != "" {
			t.latest[h.Client] = from
		}
		return
	}
	to := said{to: from, request: request}
	if _, known := t.clients[from]; !known {
		t.followed = to
		return
	}
	t.believe()
	switch m := m.(type) {
	case *wire.Schedule:
		t.single(to, m)
	case *wire.Batch:
		t.batch(to, m)
	case *wire.Cancel:
		to.kind = wire.KindCancelled
		t.cancel(to, m)
	case *wire.ListLeases, *wire.ListTags, *wire.ListEvents, *wire.ListEnded, *wire.ListQueue:
		return // a question serves nobody
	default:
		t.followed = to
		t.follow(from, m, answer)
	}
	t.serve()
}

// follow reads a message whose answer is not predicted.
func (t *Twin) follow(from sched.Session, m wire.Message, answer wire.Message) {
	switch m := m.(type) {
	case *wire.Renew:
		t.renew(m)
	case *wire.Release:
		t.release(m)
	case *wire.Register:
		t.register(from, m, answer)
	case *wire.Cordon:
		t.cordon(m, answer)
	default:
		t.report(from, m, answer)
	}
}

// report reads what an agent reports of a registered worker, unless the real one
// has refused it.
func (t *Twin) report(from sched.Session, m wire.Message, answer wire.Message) {
	switch answer.(type) {
	case *wire.Superseded, *wire.Error:
		return
	}
	switch m := m.(type) {
	case *wire.Promised:
		if w := t.reporter(from, m.Handle); w != nil {
			w.promised = true
			t.heard(w)
		}
	case *wire.Heartbeat:
		if w := t.inTime(from, m.Handle, m.Seq); w != nil {
			w.external = m.External
		}
	case *wire.Begun:
		if w := t.inTime(from, m.Handle, m.Seq); w != nil {
			t.adopt(w, &m.Record)
		}
	case *wire.End:
		if w := t.inTime(from, m.Handle, m.Seq); w != nil {
			if l := t.aliveOn(m.Lease, w); l != nil {
				t.outcome(l, m.Outcome, false)
				t.end(l, l.outcome(m.Outcome))
			}
		}
	case *wire.Revoked:
		if w := t.inTime(from, m.Handle, m.Seq); w != nil {
			if l := t.aliveOn(m.Lease, w); l != nil && l.state == wire.StateAskedBack {
				t.end(l, wire.ReasonRevoked)
			}
		}
	case *wire.Deregister:
		if w := t.inTime(from, m.Handle, m.Seq); w != nil {
			t.removeWorker(w)
		}
	}
}

// reporter returns the worker of a connection.
func (t *Twin) reporter(from sched.Session, handle uint32) *worker {
	for _, w := range t.workers {
		if w != nil && w.session == from && w.handle == handle {
			return w
		}
	}
	t.w.Fail("I3: a report of the worker %d of session %d is accepted", handle, from)
	return nil
}

// inTime returns the worker of a report, unless that is older than another (I3).
func (t *Twin) inTime(from sched.Session, handle, seq uint32) *worker {
	w := t.reporter(from, handle)
	if w == nil || seq <= w.seq {
		return nil
	}
	w.seq = seq
	t.heard(w)
	return w
}

// Close reads that a connection is gone: its workers are suspicious at once.
func (t *Twin) Close(id sched.Session) {
	if _, known := t.clients[id]; !known {
		return
	}
	for _, w := range t.workers {
		if w != nil && w.session == id {
			w.session, w.promised = 0, false
			if w.presence == presenceOnline {
				t.setPresence(w, presenceSuspicious)
			}
			t.touch(w)
		}
	}
	if client := t.clients[id]; t.latest[client] == id {
		delete(t.latest, client)
	}
	delete(t.clients, id)
	for _, x := range slices.Clone(t.queue.waiters) {
		if x.to == id {
			t.drop(x)
		}
	}
	t.serve()
}

// Pulse does what is due: leases first, then silent workers.
func (t *Twin) Pulse() {
	for _, l := range slices.Clone(t.leases) {
		if l.state == wire.StateGranted && l.deadline <= t.w.Now() {
			t.askBack(l)
		}
		if l.state == wire.StateAssumed && l.granted+httpTTL <= t.w.Now() {
			t.end(l, wire.ReasonBelieved)
		}
		if l.state == wire.StateBegun && l.preempted && l.due <= t.w.Now() {
			t.warn(l)
		}
	}
	t.overdue()
	t.silences()
	t.quarantinesDue()
	for _, x := range slices.Clone(t.queue.waiters) {
		if x.over <= t.w.Now() {
			t.w.Hit(fault.WaitOver)
			t.endWait(x, t.whyOver(x))
		}
	}
	t.serve()
	t.seek()
	t.shuffled = true
}

// Compare holds the answers of the real scheduler against the predictions.
func (t *Twin) Compare(items []sched.Item) {
	t.noticed()
	t.meet()
	var got []said
	for i := range items {
		if s, ok := t.outline(&items[i]); ok {
			got = append(got, s...)
		}
	}
	want := t.said
	t.said = t.said[:0]
	if len(got) != len(want) {
		t.w.Fail("the scheduler says %d things, its twin %d: %+v, %+v", len(got), len(want), got, want)
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
	t.shuffled, t.followed = false, said{}
	for i := range got {
		t.match(&got[i], &want[i])
	}
}

// match compares one answer, and takes the id of a new lease from it.
func (t *Twin) match(got, want *said) {
	if l := want.made; l != nil {
		l.id, want.lease, want.made = got.lease, got.lease, nil
		if got.worker != want.worker && t.loose && t.tied(l, got.worker) {
			want.worker, want.incarnation = l.worker.id, l.worker.incarnation
		}
	}
	if *got != *want {
		t.w.Fail("I7: the scheduler says %+v, its twin %+v", *got, *want)
	}
}

// tied moves a fresh lease to another worker that was never given anything,
// either, and is no more loaded: only their numbers tell them apart.
func (t *Twin) tied(l *lease, other string) bool {
	from, to := l.worker, t.find(other)
	if to == nil || !l.first || to.given != 0 || t.load(to) != l.load {
		return false
	}
	l.worker, to.given, from.given = to, from.given, 0
	t.touch(from)
	t.touch(to)
	return true
}

// outline brings one answer into a form that can be compared; false if it is not
// predicted.
func (t *Twin) outline(it *sched.Item) (out []said, ok bool) {
	s := said{to: it.To, request: it.Request, kind: it.Kind}
	switch m := it.Message().(type) {
	case *wire.Error:
		if it.To == t.followed.to && it.Request == t.followed.request {
			return nil, false
		}
		s.code = m.Code
	case *wire.Placed:
		s.placed(m)
	case *wire.Revoke:
		s.number, s.lease = m.Handle, m.Lease
	case *wire.Preempt:
		s.number, s.lease, s.ttl = m.Handle, m.Lease, m.GraceMS
	case *wire.Notice:
		s.lease, s.number, s.ttl, s.reason = m.Lease, uint32(m.News), m.GraceMS, m.Reason
	case *wire.Cancelled:
		s.number = m.Count
	case *wire.Settled:
		if s.placed(&m.Result.Placed); m.Result.Code != wire.CodeOK {
			s = said{to: it.To, request: it.Request, kind: it.Kind, code: m.Result.Code}
		}
		s.index = int(m.Index)
	case *wire.PlacedAll:
		out = append(out, s)
		for i := range m.Results {
			r := said{to: it.To, request: it.Request, kind: wire.KindPlaced}
			if r.placed(&m.Results[i].Placed); m.Results[i].Code != wire.CodeOK {
				r = said{to: it.To, request: it.Request, kind: wire.KindError, code: m.Results[i].Code}
			}
			out = append(out, r)
		}
		return out, true
	default:
		return nil, false
	}
	return append(out, s), true
}

func (s *said) placed(m *wire.Placed) {
	s.worker, _ = wire.ReadTarget(m.Target)
	s.lease, s.incarnation, s.number, s.flags, s.devices = m.Lease, m.Incarnation, m.TTLMS, m.Flags, m.Devices
}
