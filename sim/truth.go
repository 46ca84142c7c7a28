package sim

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// lease is what is true of one lease, whatever the scheduler thinks of it.
type lease struct {
	id          wire.LeaseID
	worker      string
	address     string
	agent       *agent // nil for a worker that speaks HTTP
	incarnation uint64
	takes       offer.Share
	target      wire.Handover

	answers []*answer // grants under way
	begins  int       // begins under way to the agent
	holder  *task     // who may hand it over; nil if nobody may
	running bool
	gpus    []int  // of the machine that the task uses
	caller  string // who began it
	sworn   uint64 // the incarnation that will never begin it

	ttl       sched.Time
	keptUntil sched.Time // the scheduler may not ask it back before
	open      bool       // in the list of its agent
	offered   bool       // its client released it after a begin
	over      bool       // this scheduler has said that it ended
}

// wanted reports whether somebody can still hand the lease over.
func (l *lease) wanted() bool {
	if l.begins > 0 || l.holder != nil {
		return true
	}
	for _, a := range l.answers {
		if a.task.phase == phaseAsking && !slices.Contains(a.task.released, l.id) {
			return true
		}
	}
	return false
}

// truth is the ledger of what agents run and what may still begin. It is kept
// by the simulated agents and clients and trusts nobody else.
type truth struct {
	byID    map[wire.LeaseID]*lease
	list    []*lease                // the same, in the order of the grants
	sworn   map[wire.LeaseID]uint64 // as lease.sworn, of leases that nobody was told of yet; never walked
	touched []*agent
	granted int // leases of all lives of the scheduler
	ended   int // tasks that came to their end
	begun   int

	emptied  map[string]sched.Time // when a worker is emptied by force, the first time that was told; never walked
	cordoned map[string]bool       // workers that the scheduler has said are out of service; never walked
}

// judgeGrant judges a fresh grant: the worker is in service, and by what it has
// said itself it has the tags (I5), was not silent for too long, and promised
// this scheduler on a connection that the scheduler still has (I4).
func (w *World) judgeGrant(l *lease, t *task) {
	if w.truth.cordoned[l.worker] {
		w.fail("I4: %v was granted on %s, which is cordoned", l.id, l.worker)
	}
	a := l.agent
	if a == nil {
		return
	}
	w.judgeKit(l, t)
	if silence := w.now - a.heard; silence >= max(w.host.cfg.Suspicious, w.host.cfg.Heartbeat*33/10) {
		w.fail("I4: %v was granted on %s, which has been silent for %d ms", l.id, a.name(), silence)
	}
	if p := a.promised; p == nil || p.host != w.host || !p.hostOpen {
		w.fail("I4: %v was granted on %s, which has no connection with a promise", l.id, a.name())
	}
}

// judgeKit judges that the worker of a fresh grant has what the task asks for,
// and that the devices are as many and as large (I5).
func (w *World) judgeKit(l *lease, t *task) {
	a, n := l.agent, &t.needs
	q := offer.Asked{Tags: t.tags, Resources: n.resources, Selector: n.selector, Not: n.notWorkers}
	if !q.Wants(l.worker, &a.said) {
		w.fail("I5: %v wants %v, %+v, %s has %+v", l.id, t.tags, t.needs, a.name(), a.said)
	}
	devices, want := len(a.said.Devices), 0
	switch {
	case n.exclusive:
		want = bits.OnesCount64(a.said.Present())
	case devices > 0 && n.resources[offer.GPU] > 0:
		want = int(n.resources[offer.GPU])
	case n.resources[offer.GPUMem] > 0:
		want = 1
	}
	if mask := l.takes.Devices; bits.OnesCount64(mask) != want || mask&^a.said.Present() != 0 {
		w.fail("I5: %v takes the devices %b, it wants %d of %d", l.id, mask, want, devices)
		return
	}
	for _, i := range offer.BitsOf(l.takes.Devices) {
		if !n.exclusive && a.said.Devices[i].Memory < n.resources[offer.GPUMem] {
			w.fail("I5: %v wants %d MiB, the device %d of %s has %d", l.id, n.resources[offer.GPUMem], i, a.name(), a.said.Devices[i].Memory)
		}
	}
}

// question is what the answers to one message must be judged by.
type question struct {
	renewed []*lease // leases of a renewal, nil for unknown ones
	release *lease

	register *agent // of a registration, and what it offers
	kit      offer.Kit

	cordon wire.Cordon
}

// newScheduler forgets what the old scheduler said.
func (t *truth) newScheduler() {
	for _, l := range t.list {
		l.over, l.offered, l.keptUntil = false, false, 0
	}
	t.cordoned = map[string]bool{}
	t.emptied = map[string]sched.Time{}
}

// touch asks for a look at an agent after this event.
func (t *truth) touch(a *agent) {
	if a != nil && !a.touched {
		a.touched = true
		t.touched = append(t.touched, a)
	}
}

// asked notes what a message asks, before its bytes are spoiled.
func (t *truth) asked(w *World, l *link, m wire.Message) (q question) {
	a, isAgent := l.peer.(*agent)
	if isAgent {
		a.heard = w.now
	}
	switch m := m.(type) {
	case *wire.Renew:
		for _, id := range m.Leases {
			q.renewed = append(q.renewed, t.byID[id])
		}
	case *wire.Release:
		q.release = t.byID[m.Lease]
		if q.release != nil && m.Handed {
			q.release.offered = true
		}
	case *wire.Register:
		if !isAgent {
			return q
		}
		if m.Beats > 0 && uint64(a.beats[m.Incarnation]) > uint64(m.Beats)+wire.BeatSkip {
			a.beats[m.Incarnation] = m.Beats // others were forged
		}
		q.register, q.kit = a, offer.Kit{Tags: slices.Clone(m.Tags), Slots: m.Slots, Resources: maps.Clone(m.Resources), Devices: slices.Clone(m.Devices)}
		if l.peerOpen && m.Incarnation == a.book.Incarnation() && a.Kit.Same(&q.kit) {
			a.announced = true
			t.touch(a)
		}
	case *wire.Promised:
		if isAgent && (a.promised == nil || l.session > a.promised.session) {
			a.promised = l
		}
	case *wire.Cordon:
		q.cordon = *m
	}
	return q
}

// observe judges one thing that the scheduler says. It returns the leases that
// the message grants, each with the task that asked for it.
func (t *truth) observe(w *World, q question, tasks []*task, m wire.Message) []*answer {
	switch m := m.(type) {
	case *wire.Placed:
		if len(tasks) == 1 {
			return []*answer{{t.placed(w, tasks[0], m), tasks[0]}}
		}
		w.fail("a lease for %d tasks", len(tasks))
	case *wire.PlacedAll:
		return t.placedAll(w, tasks, m)
	case *wire.Registered:
		if q.register != nil {
			q.register.said = q.kit
		}
	case *wire.Settled:
		if r := &m.Result; r.Code == wire.CodeOK {
			return []*answer{{t.placed(w, tasks[m.Index], &r.Placed), tasks[m.Index]}}
		}
	case *wire.Renewed:
		t.renewed(w, q, m)
	case *wire.Released:
		t.released(w, q, m)
	case *wire.Revoke:
		t.revoked(w, m)
	case *wire.Cordoned:
		if !q.cordon.Own {
			t.cordoned[q.cordon.Worker] = q.cordon.On
		}
		if at, is := t.emptied[q.cordon.Worker]; q.cordon.DeadlineMS > 0 && (!is || at > w.now+sched.Time(q.cordon.DeadlineMS)) {
			t.emptied[q.cordon.Worker] = w.now + sched.Time(q.cordon.DeadlineMS)
		}
	case *wire.Superseded:
		w.counts[fault.Superseded]++
	}
	return nil
}

// placedAll is told of the answer to a batch.
func (t *truth) placedAll(w *World, tasks []*task, m *wire.PlacedAll) (out []*answer) {
	if len(m.Results) != len(tasks) {
		w.fail("a batch of %d tasks has %d answers", len(tasks), len(m.Results))
		return nil
	}
	for i := range m.Results {
		if r := &m.Results[i]; r.Code == wire.CodeOK {
			out = append(out, &answer{t.placed(w, tasks[i], &r.Placed), tasks[i]})
		}
	}
	g := tasks[0].group
	if g.gang && len(out) > 0 && len(out) < len(tasks) {
		w.fail("I7: of a gang of %d tasks %d are placed", len(tasks), len(out))
	}
	for i, a := range out {
		fresh := m.Results[i].Placed.Flags&wire.PlacedRepeat == 0
		if g.distinct && fresh && slices.ContainsFunc(out, func(b *answer) bool { return b != a && b.lease.worker == a.lease.worker }) {
			w.fail("I5: two tasks of a distinct gang are placed on %s", a.lease.worker)
		}
	}
	return out
}

// placed is told of a grant: ids never repeat, and a lease that ended is not
// handed out again (I9).
func (t *truth) placed(w *World, task *task, m *wire.Placed) *lease {
	l := t.byID[m.Lease]
	if m.Flags&wire.PlacedRepeat != 0 {
		if l != nil && l.over {
			w.fail("C: the lease %v ended and is granted again", m.Lease)
		}
		if l == nil {
			l = t.adopt(w, task, m)
		}
		t.reopen(l)
		return l
	}
	if l != nil {
		w.fail("I9: the id %v was given twice", m.Lease)
		return l
	}
	if m.Lease.Instance != w.host.cfg.Instance {
		w.fail("I9: the lease %v does not bear this instance", m.Lease)
	}
	t.granted++
	l = t.adopt(w, task, m)
	l.keptUntil = w.now + l.ttl
	w.judgeGrant(l, task)
	return l
}

// adopt makes the record of a lease from a grant.
func (t *truth) adopt(w *World, task *task, m *wire.Placed) *lease {
	worker, address := wire.ReadTarget(m.Target)
	l := &lease{id: m.Lease, worker: worker, address: address, incarnation: m.Incarnation, agent: w.agentAt(address)}
	l.takes = offer.Share{Resources: task.needs.resources, Devices: m.Devices, Exclusive: task.needs.exclusive}
	l.ttl, l.sworn = sched.Time(m.TTLMS), t.sworn[m.Lease]
	t.byID[m.Lease] = l
	t.list = append(t.list, l)
	t.reopen(l)
	return l
}

// swear notes that an incarnation will never begin a lease.
func (t *truth) swear(id wire.LeaseID, incarnation uint64) {
	if l := t.byID[id]; l != nil {
		l.sworn = incarnation
		return
	}
	t.sworn[id] = incarnation
}

// reopen lists a lease with its agent as one that may begin there.
func (t *truth) reopen(l *lease) {
	if l.agent == nil {
		return
	}
	if !l.open {
		l.open = true
		l.agent.open = append(l.agent.open, l)
	}
	t.touch(l.agent)
}

// renewed judges the answer to a renewal.
func (t *truth) renewed(w *World, q question, m *wire.Renewed) {
	if len(m.Leases) != len(q.renewed) {
		w.fail("%d leases renewed, %d answers", len(q.renewed), len(m.Leases))
		return
	}
	for i, s := range m.Leases {
		l := q.renewed[i]
		if l == nil {
			continue
		}
		switch s.State {
		case wire.StateGranted:
			l.keptUntil = w.now + l.ttl
			fallthrough
		case wire.StateAskedBack:
			if l.over {
				w.fail("C: the lease %v ended and lives again", l.id)
			}
		case wire.StateEnded:
			l.over = true
		}
	}
}

// released judges the answer to a release: a lease ends once.
func (t *truth) released(w *World, q question, m *wire.Released) {
	if q.release == nil || m.Code != wire.CodeOK {
		return
	}
	if q.release.over {
		w.fail("C: the lease %v was released twice", q.release.id)
	}
	q.release.over = true
	t.touch(q.release.agent)
}

// revoked judges that a lease is asked back: not before its TTL (I10),
// unless its worker must be empty, or another task takes its room.
func (t *truth) revoked(w *World, m *wire.Revoke) {
	w.counts[fault.AskedBack]++
	l := t.byID[m.Lease]
	if l == nil {
		return
	}
	at, emptied := t.emptied[l.worker]
	if emptied = emptied && at <= w.now || w.twin != nil && w.twin.MakesRoom(m.Lease); !l.offered && !emptied && w.now < l.keptUntil {
		w.fail("I10: the lease %v is asked back %d ms before its time", m.Lease, l.keptUntil-w.now)
	}
}

// judge looks at the agents that this event touched.
func (t *truth) judge(w *World) {
	for _, a := range t.touched {
		a.touched = false
		t.judgeAgent(w, a)
	}
	t.touched = t.touched[:0]
}

// outstanding counts what the leases take on an agent that run or may begin,
// even if nobody holds them now: a client that lost the answer may ask again.
func (t *truth) outstanding(a *agent) *offer.Tally {
	n := a.Kit.Tally()
	for _, l := range t.list {
		if l.agent == a && (l.running || l.incarnation == a.book.Incarnation() && l.sworn != l.incarnation && (!l.over || l.wanted())) {
			n.Add(&l.takes)
		}
	}
	return n
}

// judgeAgent counts what runs on an agent and what may still begin there.
func (t *truth) judgeAgent(w *World, a *agent) {
	running, able := a.Kit.Tally(), a.Kit.Tally()
	var ids []wire.LeaseID
	kept := a.open[:0]
	for _, l := range a.open {
		switch {
		case l.running:
			running.Add(&l.takes)
			able.Add(&l.takes)
		case a.mayBegin(l):
			able.Add(&l.takes)
			ids = append(ids, l.id)
		case !a.mayEver(l):
			l.open = false
			continue
		}
		kept = append(kept, l)
	}
	clear(a.open[len(kept):])
	a.open = kept
	if running.Leases != a.book.Running() {
		w.fail("agent %s runs %d tasks, its ledger says %d", a.name(), running.Leases, a.book.Running())
	}
	if running.Leases > int(a.Slots) && running.Leases > a.most {
		w.fail("A: %d tasks run on %s, which has %d slots", running.Leases, a.name(), a.Slots)
	}
	a.most = max(running.Leases, int(a.Slots))
	if a.cut && a.announced && !t.outstanding(a).Over(0) {
		a.cut = false
	}
	if able.Over(0) && !a.cut && !a.lying {
		w.fail("B: on %s with %d slots, %v and %v %d tasks run and %d leases may still begin: %v, together %+v", a.name(), a.Slots, a.Resources, a.Devices, running.Leases, len(ids), ids, able)
	}
}
