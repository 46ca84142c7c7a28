package sim

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// allTags are the tags of the fleet and of the tasks. The last one is on few
// workers, web on those that speak HTTP.
var allTags = []string{"cpu", "gpu", "ssd", "rare"}

const webTag = "web"

// agentTag is a tag of every agent.
const agentTag = "agent"

// live lets a client move by itself.
func (c *client) live() {
	c.w.after(c.w.between(0, 500), c.connect)
	c.w.after(c.w.between(500, 1500), c.work)
	c.w.after(c.w.between(0, int(c.w.host.cfg.StartTTL)/3), c.renew)
}

// work asks for one more place, for ever.
func (c *client) work() {
	w := c.w
	if w.healing {
		return
	}
	w.after(w.around(w.manners.rest), c.work)
	if c.paused > w.now {
		return
	}
	c.forgetDone()
	if len(c.tasks) >= w.manners.tasksAtOnce {
		return
	}
	var tasks []*task
	for range max(1, w.between(-15, 4)) {
		t := c.newTask()
		w.dress(t)
		tasks = append(tasks, t)
		w.after(w.between(5_000, 30_000), func() { t.giveUpAsking(w) })
	}
	if len(tasks) > 1 {
		w.join(tasks)
	}
	switch {
	case c.link == nil:
	case len(tasks) > 1:
		c.batch(tasks[0].group)
	default:
		c.schedule(tasks[0])
		c.again(tasks[0])
	}
}

// join makes a batch of tasks, perhaps a gang, whose tasks mostly need the
// same, or one that is spread.
func (w *World) join(tasks []*task) {
	g := &group{tasks: tasks, gang: w.manners.needy > 0 && w.chance(1, 2)}
	g.distinct = g.gang && w.chance(1, 2)
	alike, spread := g.gang && w.chance(3, 4), w.manners.needy > 0 && w.chance(1, 3)
	if g.gang && !alike {
		tasks[0].wait = 0 // whether unlike tasks fit together depends on their order, and on who is loaded how
	}
	oneOwner := w.chance(3, 4)
	for _, t := range tasks {
		if t.group = g; oneOwner {
			t.owner = tasks[0].owner
		}
		if t.wait = tasks[0].wait; t.wait > 0 && !slices.Contains(t.tags, agentTag) {
			t.tags = append(t.tags, agentTag)
		}
		if alike {
			t.tags, t.needs, t.wait = tasks[0].tags, tasks[0].needs, tasks[0].wait
		}
		if g.gang {
			t.preempt = false
			if t.on == wire.OnPreemptRequeue {
				t.on = wire.OnPreemptEnd
			}
		}
		if spread {
			t.needs.policy, t.needs.spread = "spread", []string{"zone", "cuda", "planet"}[w.rng.IntN(3)]
			if !g.gang {
				t.wait, t.preempt = 0, false
			}
			if t.on == wire.OnPreemptRequeue {
				t.on = wire.OnPreemptNever
			}
		}
	}
}

// broken reports whether a request for the task, or one of its batch, must be
// refused.
func (t *task) broken() bool {
	if t.group == nil {
		return t.malformed()
	}
	limited := t.group.gang && t.client.w.host.cfg.MaxOwnerLeases > 0
	return slices.ContainsFunc(t.group.tasks, func(o *task) bool { return o.malformed() || limited && o.owner != t.owner })
}

// malformed reports whether nobody can read what the task needs, or it would
// preempt and not wait for it.
func (t *task) malformed() bool {
	return t.needs.broken != "" || t.preempt && sched.Time(t.wait) < t.client.w.host.cfg.PreemptGrace
}

// noticed reads what became of a task that had to make room. Most that wait
// again are asked for again, under a request of their own.
func (c *client) noticed(m *wire.Notice) {
	t := c.requeue[m.Lease]
	if t == nil || m.News == wire.NewsPreempted {
		return
	}
	delete(c.requeue, m.Lease)
	if m.News == wire.NewsOver || c.w.chance(1, 5) {
		return
	}
	more := &task{client: c, id: t.id, tags: t.tags, needs: t.needs, owner: t.owner, priority: t.priority, ttl: t.ttl, wait: max(t.wait, 5000), forWorkers: t.forWorkers, preempt: t.preempt, on: t.on}
	if c.w.chance(1, 2) {
		more.wait = 60_000
	}
	c.tasks = append(c.tasks, more)
	c.w.after(c.w.around(30), func() {
		if c.link != nil && more.phase == phaseAsking {
			c.schedule(more)
		}
	})
	c.w.after(c.w.between(5_000, 30_000), func() { more.giveUpAsking(c.w) })
}

// again asks sometimes for the same task once more, or for another task with
// its id.
func (c *client) again(t *task) {
	w := c.w
	switch w.rng.IntN(30) {
	case 0:
		w.counts[fault.Retry]++
		c.schedule(t)
	case 1:
		w.counts[fault.Conflict]++
		c.schedule(&task{client: c, id: t.id, tags: t.tags, needs: t.needs, priority: t.priority + 1, wait: t.wait, preempt: t.preempt, on: t.on, phase: phaseDone})
	}
}

// dress draws what a task needs.
func (w *World) dress(t *task) {
	for _, tag := range allTags {
		if w.chance(1, 5) {
			t.tags = append(t.tags, tag)
		}
	}
	if w.chance(1, 20) {
		t.tags = append(t.tags, webTag)
	}
	if w.chance(1, 50) {
		t.tags = append(t.tags, "nowhere")
	}
	t.priority = int32(w.between(-3, 3))
	if w.chance(1, 3) {
		t.owner = []string{"ann", "bob"}[w.rng.IntN(2)]
	}
	if w.chance(1, 10) {
		t.ttl = uint32(w.between(1000, 15_000))
	}
	w.need(t)
	if t.client != nil && w.chance(w.manners.patient, 10) {
		t.wait = uint32(w.between(100, 20_000))
		t.tags = append(t.tags, agentTag) // what a worker that speaks HTTP has left is a guess
		t.forWorkers = w.chance(1, 3)
		t.preempt = w.chance(1, 2) && (sched.Time(t.wait) >= w.host.cfg.PreemptGrace || w.chance(1, 10))
	}
	if t.on = wire.OnPreempt(w.rng.IntN(4)); t.client == nil && t.on == wire.OnPreemptRequeue {
		t.on = wire.OnPreemptEnd
	}
	if t.on == wire.OnPreemptRequeue && !slices.Contains(t.tags, agentTag) {
		t.tags = append(t.tags, agentTag) // it may wait one day
	}
}

// forgetDone drops tasks that are over.
func (c *client) forgetDone() {
	kept := c.tasks[:0]
	for _, t := range c.tasks {
		if t.phase != phaseDone {
			kept = append(kept, t)
		}
	}
	clear(c.tasks[len(kept):])
	c.tasks = kept
}

// giveUpAsking ends a task that has no answer.
func (t *task) giveUpAsking(w *World) {
	if t.phase == phaseAsking {
		w.counts[fault.GivenUp]++
		if c := t.client; t.wait > 0 && c.link != nil && w.chance(1, 2) {
			w.sendUp(c.link, c.next(), &wire.Cancel{Task: t.id})
		}
		t.drop(w)
	}
}

// decide draws what becomes of a fresh lease.
func (t *task) decide(w *World, flags uint8) {
	l := t.lease
	if l.agent == nil {
		w.webAt(l.address).take(t)
		return
	}
	quick := w.around(30)
	switch n := w.rng.IntN(100); {
	case n < 80 || w.healing:
		w.after(quick, func() { t.handOver(w) })
	case n < 86:
		w.after(quick, func() { t.giveBack(w) })
	case n < 91:
		w.after(quick, func() { t.handOver(w) })
		w.after(quick+w.around(20), func() { t.giveBack(w) })
	case n < 95:
		t.silent = true
		w.counts[fault.GivenUp]++
		w.after(w.between(1, maxLate), func() { t.handOver(w) })
	case n < 98:
		w.after(w.between(1, maxLate), func() { t.handOver(w) })
	default:
		w.counts[fault.GivenUp]++
		t.drop(w)
	}
}

// handOver sends the task to its worker: sometimes late, twice, or by two
// programs.
func (t *task) handOver(w *World) {
	if t.phase != phaseHeld {
		return
	}
	l := t.lease
	bytes := t.hand(w)
	by := t.name()
	w.underWay(l, bytes, by)
	if w.healing || w.manners.twice == 0 {
		return
	}
	if w.chance(1, w.manners.twice) {
		w.counts[fault.DuplicateBegin]++
		l.begins++
		w.underWay(l, bytes, by)
	}
	if w.chance(1, 4*w.manners.twice) {
		w.counts[fault.ForeignBegin]++
		l.begins++
		w.underWay(l, bytes, "somebody else")
	}
}

// underWay sends a begin on its way.
func (w *World) underWay(l *lease, bytes []byte, by string) {
	at := w.now + w.delay()
	if !w.healing && w.manners.lateBegin > 0 && w.chance(1, w.manners.lateBegin) {
		w.counts[fault.LateBegin]++
		at = w.now + sched.Time(w.between(1000, maxLate))
	}
	w.at(at, func() { w.arrive(l, bytes, by) })
}

// giveBack releases the lease of a task, sometimes twice.
func (t *task) giveBack(w *World) {
	if t.phase != phaseHeld && t.phase != phaseHanded {
		return
	}
	t.release(w)
	if w.chance(1, 5) {
		w.counts[fault.SecondRelease]++
		t.release(w)
	}
}

// renew keeps the leases that the client holds, for ever.
func (c *client) renew() {
	w := c.w
	w.after(int(w.host.cfg.StartTTL)/3, c.renew)
	if c.paused > w.now || c.link == nil {
		return
	}
	m := &wire.Renew{}
	var tasks []*task
	for _, t := range c.tasks {
		if t.phase != phaseHeld && t.phase != phaseHanded || t.silent {
			continue
		}
		if t.until < w.now || w.healing && t.phase == phaseHanded {
			t.drop(w)
			continue
		}
		m.Leases = append(m.Leases, t.lease.id)
		tasks = append(tasks, t)
	}
	if len(tasks) > 0 {
		request := c.next()
		c.link.calls[request] = call{renewed: tasks}
		w.sendUp(c.link, request, m)
	}
}

// crash lets a client forget everything; a new program takes its place. It has
// another client id or, as a program that counts on, other task ids.
func (c *client) crash() {
	w := c.w
	w.say("%s: crashes", c.id)
	for _, t := range c.tasks {
		t.drop(w)
	}
	c.tasks, c.requeue = nil, map[wire.LeaseID]*task{}
	c.count += 1000
	w.hangUpAny(c.link)
}
