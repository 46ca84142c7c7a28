package sim

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// phase is where a task of a client stands.
type phase uint8

const (
	phaseAsking phase = iota // no lease yet
	phaseHeld                // the client has a lease and may hand it over
	phaseHanded              // a begin was sent
	phaseDone                // the client cares no more
)

// task is one task of a client.
type task struct {
	client     *client // nil for one of the HTTP gateway
	id         string
	tags       []string
	needs      needs
	group      *group // nil for a task that comes alone
	owner      string
	priority   int32
	ttl        uint32
	wait       uint32 // milliseconds
	forWorkers bool   // to come, if none could take it
	preempt    bool
	on         wire.OnPreempt
	phase      phase
	lease      *lease
	handed     bool           // a begin was sent for its lease
	released   []wire.LeaseID // never handed over again
	until      sched.Time     // when the client stops to renew
	silent     bool           // it does not renew
}

// client is one program that asks for places.
type client struct {
	w       *World
	id      string
	link    *link
	request uint64
	tasks   []*task
	requeue map[wire.LeaseID]*task // that may be requeued; never walked
	count   int
	paused  sched.Time
}

// call is a request that was not answered yet.
type call struct {
	tasks   []*task // that ask for a place
	renewed []*task
	waiting int // tasks of a batch that wait
}

// settled notes an answer and reports whether it was the last one.
func (c *call) settled(m wire.Message) bool {
	switch m := m.(type) {
	case *wire.PlacedAll:
		for i := range m.Results {
			if m.Results[i].Code == wire.CodeWaiting {
				c.waiting++
			}
		}
	case *wire.Settled:
		c.waiting--
	}
	return c.waiting == 0
}

func (w *World) newClient(id string) *client {
	c := &client{w: w, id: id, requeue: map[wire.LeaseID]*task{}}
	w.clients = append(w.clients, c)
	return c
}

func (c *client) name() string { return c.id }

func (c *client) busyUntil() sched.Time { return c.paused }

// connect opens a connection and asks again for what was not answered.
func (c *client) connect() {
	if c.link != nil {
		return
	}
	c.link = c.w.dial(c)
	c.link.calls = map[uint64]call{}
	c.w.sendUp(c.link, c.next(), &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleClient, Client: c.id})
	for _, t := range c.tasks {
		if g := t.group; g != nil && g.gang && t.wait > 0 {
			t.drop(c.w) // a part of it may run: whether the rest is placed again depends on who comes back first
			continue
		}
		if t.phase == phaseAsking && (t.group == nil || t == t.group.tasks[0]) {
			c.w.counts[fault.Retry]++
			c.askFor(t)
		}
	}
}

func (c *client) next() uint64 {
	c.request++
	return c.request
}

// newTask makes a task with an id of its own.
func (c *client) newTask(tags ...string) *task {
	c.count++
	t := &task{client: c, id: fmt.Sprintf("t%d", c.count), tags: tags}
	c.tasks = append(c.tasks, t)
	return t
}

// askFor asks for a place of a task, or of all tasks of its batch.
func (c *client) askFor(t *task) {
	if t.group != nil {
		c.batch(t.group)
		return
	}
	c.schedule(t)
}

// schedule asks for a place.
func (c *client) schedule(t *task) {
	request := c.next()
	c.link.calls[request] = call{tasks: []*task{t}}
	c.w.sendUp(c.link, request, t.message(c.w))
}

// batch asks for places of several tasks at once.
func (c *client) batch(g *group) {
	m := &wire.Batch{AllOrNone: g.gang, Distinct: g.distinct}
	for _, t := range g.tasks {
		m.Tasks = append(m.Tasks, *t.message(c.w))
	}
	request := c.next()
	c.link.calls[request] = call{tasks: g.tasks}
	c.w.sendUp(c.link, request, m)
}

// message returns the request for a place.
func (t *task) message(w *World) *wire.Schedule {
	m := &wire.Schedule{Task: []byte(t.id), Priority: t.priority, TTLMS: t.ttl, WaitMS: t.wait, WaitForWorkers: t.forWorkers, Preempt: t.preempt, OnPreempt: t.on}
	if len(t.tags) > 0 {
		m.Tags = wire.AppendTags(nil, t.tags)
	}
	if t.owner != "" {
		m.Owner = []byte(t.owner)
	}
	t.needs.ask(w, m)
	return m
}

// receive handles an answer.
func (c *client) receive(l *link, request uint64, m wire.Message) {
	if l != c.link {
		return
	}
	asked := l.calls[request]
	if asked.settled(m) {
		delete(l.calls, request)
	} else {
		l.calls[request] = asked
	}
	switch m := m.(type) {
	case *wire.Placed:
		asked.tasks[0].placed(c.w, m)
	case *wire.PlacedAll:
		for i := range m.Results {
			c.result(asked.tasks[i], &m.Results[i])
		}
	case *wire.Settled:
		c.result(asked.tasks[m.Index], &m.Result)
	case *wire.Renewed:
		c.renewed(asked.renewed, m)
	case *wire.Notice:
		c.noticed(m)
	case *wire.Error:
		if len(asked.tasks) == 1 || m.Code == wire.CodeBadRequest {
			for _, t := range asked.tasks {
				c.refused(t, m.Code)
			}
			return
		}
		c.w.fail("the client %s is told: %v", c.id, m)
	}
}

// result reads the answer to one task of a batch.
func (c *client) result(t *task, r *wire.BatchResult) {
	switch r.Code {
	case wire.CodeOK:
		t.placed(c.w, &r.Placed)
	case wire.CodeWaiting:
	default:
		c.refused(t, r.Code)
	}
}

// placed takes a lease, unless the client has no more use for it.
func (t *task) placed(w *World, m *wire.Placed) {
	l := w.truth.byID[m.Lease]
	switch {
	case slices.Contains(t.released, m.Lease):
	case t.phase == phaseAsking:
		t.take(w, l, m.Flags)
	case t.lease != nil && t.lease.id == m.Lease:
	default:
		t.unwanted(w, l)
	}
	w.truth.touch(l.agent)
}

// take makes the task the holder of a lease.
func (t *task) take(w *World, l *lease, flags uint8) {
	t.lease, l.holder = l, t
	t.phase = phaseHeld
	t.until = w.now + startBy
	l.target = wire.Handover{
		Lease: l.id, Worker: l.worker, Address: l.address, Incarnation: l.incarnation,
		Task: t.id, Client: t.caller(), Owner: t.owner, Priority: t.priority,
		Resources: l.takes.Resources, Devices: offer.BitsOf(l.takes.Devices), Exclusive: l.takes.Exclusive, OnPreempt: t.on,
	}
	if t.on == wire.OnPreemptRequeue && t.client != nil {
		t.client.requeue[l.id] = t
	}
	if flags&wire.PlacedBegun != 0 {
		t.handed = true
		t.drop(w)
		return
	}
	if w.auto {
		t.decide(w, flags)
	}
}

// unwanted gives back a lease that came too late: the task has another, or
// ended.
func (t *task) unwanted(w *World, l *lease) {
	t.released = append(t.released, l.id)
	if l.holder == t {
		l.holder = nil
	}
	if t.client != nil {
		w.sendUp(t.client.link, t.client.next(), &wire.Release{Lease: l.id})
	}
}

func (t *task) caller() string {
	if t.client == nil {
		return ""
	}
	return t.client.id
}

// drop forgets a task: its lease is never handed over again.
func (t *task) drop(w *World) {
	t.phase = phaseDone
	if t.lease != nil && t.lease.holder == t {
		t.lease.holder = nil
		w.truth.touch(t.lease.agent)
	}
}

// hand sends the task with its lease to the worker. It returns the bytes that
// are under way, for a script.
func (t *task) hand(w *World) []byte {
	t.handed, t.phase = true, phaseHanded
	l := t.lease
	bytes, err := json.Marshal(&l.target)
	if err != nil {
		w.fail("the handover of %v: %v", l.id, err)
		return nil
	}
	l.begins++
	w.say("%s: hands %v over", t.name(), l.id)
	w.truth.touch(l.agent)
	return bytes
}

func (t *task) name() string { return t.caller() + "/" + t.id }

// release gives the lease of a task back.
func (t *task) release(w *World) {
	l := t.lease
	t.released = append(t.released, l.id)
	w.say("%s: releases %v, handed %v", t.name(), l.id, t.handed)
	m := &wire.Release{Lease: l.id, Handed: t.handed}
	t.drop(w)
	if t.client != nil {
		w.sendUp(t.client.link, t.client.next(), m)
		return
	}
	w.gateway.call(t, m)
}

// renewed reads the answer to a renewal.
func (c *client) renewed(tasks []*task, m *wire.Renewed) {
	for i, s := range m.Leases {
		if i >= len(tasks) {
			c.w.fail("%s renewed %d leases and got %d answers", c.id, len(tasks), len(m.Leases))
			return
		}
		t := tasks[i]
		switch s.State {
		case wire.StateBegun, wire.StateAssumed:
			if t.phase == phaseHanded {
				t.drop(c.w)
			}
		case wire.StateEnded, wire.StateNone:
			t.drop(c.w)
		}
	}
}

// refused handles that a task gets no place now, or has another's id.
func (c *client) refused(t *task, code wire.Code) {
	switch code {
	case wire.CodeUnavailable, wire.CodeInfeasible, wire.CodeLeaseLimit, wire.CodeAllOrNone, wire.CodeCancelled, wire.CodeOwnerLimit:
		t.drop(c.w)
	case wire.CodeConflict: // another asks for it, or the same asked again
		if t.phase == phaseAsking && t.wait == 0 {
			t.drop(c.w)
		}
	case wire.CodeBadRequest:
		if !t.broken() {
			c.w.fail("the client %s is told: %v", c.id, code)
		}
		t.drop(c.w)
	default:
		c.w.fail("the client %s is told: %v", c.id, code)
	}
}

func (c *client) tasksOf(l *link, request uint64) []*task { return l.calls[request].tasks }

// lost says that the connection is gone.
func (c *client) lost(l *link) {
	if l != c.link {
		return
	}
	c.link = nil
	c.w.say("%s: connection lost", c.id)
	if c.w.auto {
		c.w.after(c.w.between(1, 1000), c.connect)
	}
}
