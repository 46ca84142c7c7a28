package sim

import (
	"fmt"
	"io"
	"maps"
	"runtime/debug"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/sim/twin"
	"github.com/dtask/dtask-scheduler/wire"
)

// Phases of a run, in milliseconds.
const (
	warmUp   = 20_000 // no faults: the fleet comes up and works
	healTime = 30_000 // after the last fault

	slowestBeat = 3_000 // the longest interval of heartbeats
	mostLatency = 400   // of a message, unless a fault delays it

	mostReconnect = 1_500 // until an agent tries another connection
)

// Traffic that a run must have seen before its first fault.
const (
	leastGrants = 5
	leastEnds   = 2
)

// Result tells what a run was made of.
type Result struct {
	Events  int
	Granted int    // leases
	Begun   int    // tasks that ran
	Virtual int64  // milliseconds
	Hash    uint64 // of everything that happened
	Faults  fault.Counts
}

// Run simulates one seed and returns the first violation. trace, if not nil,
// gets a line for everything that happens.
func Run(seed uint64, trace io.Writer) (Result, error) {
	w := newWorld(seed)
	w.trace.out = trace
	w.auto = true
	w.build()
	err := w.survive()
	r := Result{Events: w.events, Granted: w.truth.granted, Begun: w.truth.begun, Virtual: int64(w.now), Hash: w.trace.hash, Faults: w.counts}
	if err != nil {
		err = fmt.Errorf("seed %d, at %d ms: %w", seed, w.now, err)
	}
	return r, err
}

// survive runs the phases; a panic is a violation like any other.
func (w *World) survive() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.phases()
}

// build draws the world.
func (w *World) build() {
	w.manners = manners{
		latency: w.between(1, 8), slow: w.between(0, 1) * w.between(20, 200),
		lateBegin: w.between(0, 1) * w.between(5, 50), twice: w.between(0, 1) * w.between(5, 40),
		latePulse: w.between(0, 1) * w.between(5, 50),
		lossy:     w.between(0, 1) * w.between(3, 30), lateBeat: w.between(0, 1) * w.between(5, 40),
		runs: w.between(100, 2500), rest: w.between(80, 600), tasksAtOnce: w.between(3, 12),
		needy: max(w.between(-3, 10), 0), patient: max(w.between(-4, 8), 0),
	}
	if w.chance(1, 4) {
		w.manners.latency = w.between(50, mostLatency) // so that more is under way at once
	}
	w.plan = w.drawPlan()
	cfg := sched.DefaultConfig()
	cfg.Heartbeat = sched.Time(w.between(10, slowestBeat/100)) * 100
	cfg.Retention = sched.Time(w.between(3, 40)) * 1000
	cfg.PreemptGrace = sched.Time(w.between(0, 6) * w.between(1, 1000))
	cfg.HoldAfterBypasses, cfg.HoldAfter = w.between(1, 12), sched.Time(w.between(1000, 12_000))
	if w.chance(1, 2) {
		cfg.MassLossLeast, cfg.MassLossShare, cfg.MassLossHold = w.between(1, 4), w.between(10, 40), sched.Time(w.between(5_000, 60_000))
	}
	if w.chance(1, 2) {
		cfg.Suspicious = sched.Time(w.between(3_000, 10_000))
		cfg.Offline = cfg.Suspicious + sched.Time(w.between(0, 10_000))
	}
	if w.chance(1, 3) {
		cfg.MassLossTold = w.between(0, 2)
	}
	if w.seed%6 == 0 { // those whom a mass loss makes offline are often back, or to be removed, while it lasts
		cfg.MassLossLeast, cfg.MassLossShare, cfg.MassLossHold, cfg.MassLossTold = 1+int(w.seed/6%2), 20, 40_000, int(w.seed/12%2)
		cfg.Suspicious, cfg.Offline, cfg.Retention = 7_000, 7_300, 2_000
	}
	if w.chance(1, 3) {
		cfg.MaxOwnerLeases = w.between(1, 8)
	}
	cfg.Learning = w.chance(1, 2)
	w.drawQuarantine(&cfg)
	w.startScheduler(cfg)
	w.newGateway()
	w.twin = twin.New(seen{w}, w.host.cfg)
	for i := range w.between(2, 8) {
		tags, slots := w.someTags(), w.between(1, 5)
		if i == 0 {
			tags, slots = append([]string{agentTag}, allTags...), w.between(3, 6) // so that something can always be placed
		}
		a := w.newAgent(fmt.Sprintf("w%d", i), uint32(slots), tags...)
		if w.chance(3, 4) {
			a.machine = w.random64()
		}
		a.offer(w.someKit())
		a.shared, a.datagrams = w.chance(1, 5), w.chance(1, 2)
		if w.chance(1, 6) {
			a.memory = w.between(5, 40)
			a.newBook()
		}
		a.live()
	}
	for i := range w.between(2, 6) {
		w.newClient(fmt.Sprintf("c%d", i)).live()
	}
	for range w.between(0, 2) {
		b := w.newWeb(uint32(w.between(1, 5)))
		w.after(w.between(0, 3000), b.beat)
	}
	if w.chance(1, 2) {
		w.after(1000, w.gateway.work)
	}
	w.newOperator().live()
}

// phases runs the warm-up, the faults and the healing.
func (w *World) phases() error {
	if err := w.runUntil(warmUp); err != nil {
		return err
	}
	if w.truth.granted < leastGrants || w.truth.ended < leastEnds {
		return fmt.Errorf("too little traffic before the faults: %d leases, %d ends", w.truth.granted, w.truth.ended)
	}
	w.say("faults begin")
	w.trouble()
	w.judge()
	if err := w.runUntil(w.now + sched.Time(w.between(20, 120))*1000); err != nil {
		return err
	}
	w.heal()
	w.judge()
	if err := w.runUntil(w.now + maxLate + 5000); err != nil {
		return err
	}
	w.say("the last fault is over")
	w.letGo()
	w.judge()
	if err := w.runUntil(w.now + healTime); err != nil {
		return err
	}
	w.judgeAll()
	w.judgeLeases(&wire.ListLeases{Limit: 7})
	w.judgeHealed()
	return w.err
}

// heal stops the faults. What is late on its way still arrives.
func (w *World) heal() {
	w.say("faults end")
	w.healing = true
	w.host.pausedUntil = w.now
	clear(w.poisoned)
	for _, c := range w.clients {
		c.paused = w.now
	}
	for _, a := range w.agents {
		a.paused, a.mute, a.broken = w.now, w.now, w.now
		switch {
		case a.rival && !a.down:
			a.endRival()
		case a.lying:
			a.restart(true)
		}
	}
}

// letGo makes every client forget what it did not hand over.
func (w *World) letGo() {
	for _, c := range w.clients {
		for _, t := range c.tasks {
			t.drop(w)
		}
	}
}

// judgeHealed is I28: workers that live are online and eligible, all room but
// that of running tasks is back, and what is feasible is placed.
func (w *World) judgeHealed() {
	for _, a := range w.agents {
		if a.rival || a.down || w.err != nil {
			continue
		}
		row, ok := w.ask(&wire.GetWorker{ID: a.worker}).(*wire.Worker)
		if !ok {
			w.fail("I28: %s lives and is unknown", a.worker)
			return
		}
		info := &row.Info
		running := a.taken()
		over := running.Over(a.external)
		for _, f := range info.Flags {
			if f != "overcommitted" || !over {
				w.fail("I28: %s is flagged %s", a.worker, f)
			}
		}
		switch {
		case info.State != "online":
			w.fail("I28: %s lives and is %s", a.worker, info.State)
		case int(info.Taken) != a.book.Running() && running.Exclusive == 0:
			w.fail("I28: %s runs %d tasks, %d slots are taken", a.worker, a.book.Running(), info.Taken)
		case !maps.Equal(info.Used, running.Used()):
			w.fail("I28: of %s %v is taken, %v is listed", a.worker, running.Used(), info.Used)
		case a.datagrams && a.unanswered() > missingAcks+1:
			w.fail("I28: %d datagrams of %s were not acknowledged", a.unanswered(), a.worker)
		case info.Slots != a.Slots:
			w.fail("I28: %s has %d slots, %d are listed", a.worker, a.Slots, info.Slots)
		}
	}
	for _, c := range w.clients {
		switch {
		case c.link == nil:
			w.fail("I28: %s has no connection", c.id)
			return
		case len(c.link.calls) > 0:
			w.fail("I28: %d requests of %s were never answered", len(c.link.calls), c.id)
		}
	}
	w.judgeFeasible()
}

// judgeFeasible asks for a place with each tag, and with none, and for some
// of each resource.
func (w *World) judgeFeasible() {
	tasks := []*task{{}}
	for _, tag := range allTags {
		tasks = append(tasks, &task{tags: []string{tag}})
	}
	for _, r := range []map[string]int64{{"cpu": 1500}, {"mem": 3000}, {offer.GPU: 1}, {offer.GPUMem: 5000}, {offer.GPU: 2, offer.GPUMem: 16384}} {
		tasks = append(tasks, &task{needs: needs{resources: r}})
	}
	for i, t := range tasks {
		t.id = fmt.Sprintf("last%d", i)
		t.owner = t.id // who has no lease yet
		room := false
		for _, a := range w.agents {
			room = room || !a.rival && !a.down && a.hasRoom(t)
		}
		w.gateway.call(t, t.message(w))
		switch {
		case w.err != nil:
			return
		case room && t.lease == nil:
			w.fail("I28: there is room for %v %v and no place is given", t.tags, t.needs.resources)
		case t.lease != nil && t.lease.agent != nil && !room:
			w.fail("I28: there is no room for %v %v and %s is given", t.tags, t.needs.resources, t.lease.worker)
		case t.lease != nil:
			t.release(w)
		}
	}
}

// Add adds what another run was made of; the hash stays.
func (r *Result) Add(o *Result) {
	r.Events += o.Events
	r.Granted += o.Granted
	r.Begun += o.Begun
	r.Virtual += o.Virtual
	r.Faults.Add(&o.Faults)
}
