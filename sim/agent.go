package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// agent is one agent process on one machine, and the tasks that run there. Two
// agents may have the id of one worker; their addresses differ.
type agent struct {
	w       *World
	worker  string
	address string
	book    *ledger.Ledger
	link    *link
	ends    map[uint64]wire.LeaseID // under way, by request
	request uint64

	machine uint64 // 0: an older agent, which does not name it

	offer.Kit
	gpuRack
	external uint32
	shared   bool // other programs run on the machine: its external load moves
	memory   int

	datagrams bool       // its heartbeats are datagrams
	sent      uint32     // number of its last beat
	acked     uint32     // largest number that was acknowledged
	since     uint32     // number of the last beat before it registered
	mute      sched.Time // its datagrams are lost until then

	broken  sched.Time // its tasks fail until then
	down    bool       // the process does not run
	life    int        // how many processes there were; what an older one planned is void
	paused  sched.Time
	lying   bool
	rival   bool         // a second agent with the id of another
	handle  uint32       // of the last registration
	grantor wire.Grantor // that it named
	asked   sched.Time   // when it registered

	open      []*lease // that run or may still begin here
	touched   bool
	told      []wire.Preempt    // which tasks must make room
	most      int               // how many tasks may run: the slots, or what ran before a cut
	cut       bool              // slots were cut, and the scheduler did not know or they were taken
	announced bool              // the scheduler has read the present slots
	said      offer.Kit         // of the last registration that was answered
	heard     sched.Time        // when the scheduler read something of it
	beats     map[uint64]uint32 // the largest beat that the scheduler read, by incarnation; never walked
	promised  *link             // on which the scheduler has read its last promise
}

// newAgent makes an agent that is not connected yet.
func (w *World) newAgent(worker string, slots uint32, tags ...string) *agent {
	a := &agent{w: w, worker: worker, Kit: offer.Kit{Tags: tags, Slots: slots}, memory: ledger.DefaultMemory}
	a.address = fmt.Sprintf("%s:%d", worker, 9000+len(w.agents))
	w.agents = append(w.agents, a)
	a.forgetBeats()
	a.newBook()
	return a
}

// newBook starts the ledger of a new process.
func (a *agent) newBook() {
	a.ends = map[uint64]wire.LeaseID{}
	a.book = ledger.New(ledger.Config{
		Worker: a.worker, Address: a.address, Tags: a.Tags, Slots: a.Slots,
		Incarnation: a.w.random64(), Machine: a.machine, Memory: a.memory, Resources: a.Resources, Devices: a.Devices,
	})
	a.book.SetExternal(a.external)
}

// offer says what a new process has beside tags and slots. The tasks of the
// one before go on.
func (a *agent) offer(resources map[string]int64, devices []wire.Device) {
	a.cut = a.cut || len(a.open) > 0
	a.Resources, a.Devices = resources, devices
	a.install(devices)
	for _, l := range a.open {
		l.gpus = nil // they are not in the machine any more
	}
	a.renewBook(true)
}

// agentAt returns the agent of an address, nil if there is none.
func (w *World) agentAt(address string) *agent {
	for _, a := range w.agents {
		if a.address == address {
			return a
		}
	}
	return nil
}

func (a *agent) name() string { return a.address }

func (a *agent) tasksOf(*link, uint64) []*task { return nil }

func (a *agent) busyUntil() sched.Time { return a.paused }

// loose reports whether this machine may rightly refuse a begin: somebody
// else's tasks take its slots, they were cut, or it lies.
func (a *agent) loose() bool { return a.shared || a.cut || a.lying }

// mayBegin reports whether a begin of this lease could arrive and be accepted
// as things stand, free slots apart.
func (a *agent) mayBegin(l *lease) bool {
	return a.mayEver(l) && a.book.Promised().Instance == l.id.Instance
}

// mayEver reports whether a begin could be accepted at some time.
func (a *agent) mayEver(l *lease) bool {
	inc := a.book.Incarnation()
	return !a.down && l.incarnation == inc && l.sworn != inc && l.wanted()
}

// connect opens a connection and registers on it.
func (a *agent) connect() {
	if a.link != nil || a.down {
		return
	}
	a.link = a.w.dial(a)
	a.w.say("%s: connects", a.name())
	clear(a.ends)
	a.w.sendUp(a.link, a.next(), &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleAgent, Client: a.worker})
	a.register()
}

// register announces the worker on the present connection.
func (a *agent) register() {
	a.w.sendUp(a.link, a.next(), a.book.Register())
	a.sent = a.book.Beats() // some may have been passed over
	a.asked, a.since, a.acked = a.w.now, a.sent, min(a.acked, a.sent)
}

func (a *agent) next() uint64 {
	a.request++
	return a.request
}

// send sends a report. Ends are remembered until they are acknowledged.
func (a *agent) send(m wire.Message) {
	request := a.next()
	if e, ok := m.(*wire.End); ok {
		a.ends[request] = e.Lease
	}
	a.w.sendUp(a.link, request, m)
}

// receive handles what the scheduler says.
func (a *agent) receive(l *link, request uint64, m wire.Message) {
	if l != a.link {
		return
	}
	switch m := m.(type) {
	case *wire.Registered:
		a.registered(m)
	case *wire.Revoke:
		a.revoke(m.Lease)
	case *wire.Preempt:
		a.preempted(m)
	case *wire.Ended:
		if id, ok := a.ends[request]; ok {
			delete(a.ends, request)
			a.book.Ended(id)
		}
	case *wire.Superseded:
		if m.Worker == a.worker && m.Incarnation == a.book.Incarnation() {
			a.renew()
		}
	case *wire.Error:
		a.refused(m)
	}
}

// registered reads the answer to a registration.
func (a *agent) registered(m *wire.Registered) {
	out, ok := a.book.Registered(m)
	if !ok {
		a.w.say("%s: refuses the answer", a.name())
		if !a.lying {
			a.w.fail("I24: %s refuses the answer of %d-%x, it promised %d-%x", a.name(), m.Grantor.Epoch, m.Grantor.Instance, a.book.Promised().Epoch, a.book.Promised().Instance)
		}
		a.w.quit(a.link)
		return
	}
	a.handle, a.grantor = m.Handle, m.Grantor
	for _, m := range out {
		a.send(m)
	}
	a.w.truth.touch(a)
}

// revoke answers the wish to have a lease back.
func (a *agent) revoke(id wire.LeaseID) {
	if m := a.book.Revoke(id); m != nil {
		a.send(m)
	}
	if !a.book.Runs(id) && !a.book.MemoryFull() {
		a.w.truth.swear(id, a.book.Incarnation())
	}
	a.w.truth.touch(a)
	a.roomy()
}

// refused handles an error of the scheduler: the worker is not registered by
// this connection, or the registration was wrong.
func (a *agent) refused(m *wire.Error) {
	switch m.Code {
	case wire.CodeNotRegistered, wire.CodeTagLimit, wire.CodeWorkerLimit, wire.CodeSuperseded, wire.CodeDeviceInUse, wire.CodeWorkerInUse:
		a.w.quit(a.link)
	case wire.CodeBusy, wire.CodeUnavailable:
	default:
		if !a.lying {
			a.w.fail("the agent %s is told: %v", a.name(), m)
		}
	}
}

// renew draws a new incarnation and registers again.
func (a *agent) renew() {
	a.w.say("%s: draws a new incarnation", a.name())
	a.book.Superseded(a.w.random64())
	a.w.truth.touch(a)
	a.w.quit(a.link)
}

// roomy draws a new incarnation when nothing more can be remembered.
func (a *agent) roomy() {
	if a.book.MemoryFull() {
		a.w.counts[fault.MemoryFull]++
		a.renew()
	}
}

// lost says that the connection is gone.
func (a *agent) lost(l *link) {
	if l != a.link {
		return
	}
	a.link = nil
	a.book.Disconnected()
	a.w.say("%s: connection lost", a.name())
	if a.w.auto && !a.down {
		life := a.life
		a.w.after(a.w.between(10, mostReconnect), func() {
			if a.life == life {
				a.connect()
			}
		})
	}
}

// begin is a task that arrives with its lease. by names who brings it. It
// reports whether the task runs.
func (a *agent) begin(bytes []byte, by string) error {
	var h wire.Handover
	if err := json.Unmarshal(bytes, &h); err != nil {
		a.w.fail("the handover %s: %v", bytes, err)
		return err
	}
	ran := a.book.Runs(h.Lease)
	report, err := a.book.Begin(&h, by)
	l := a.w.truth.byID[h.Lease]
	switch {
	case errors.Is(err, ledger.ErrFull):
		a.full(l)
	case err == nil && ran && by != l.caller:
		a.w.fail("%v was begun by %s, and %s may begin it, too", l.id, l.caller, by)
	case err == nil && !ran:
		a.w.say("%s: begins %v", a.name(), h.Lease)
		l.caller = by
		if l.id.Instance != a.grantor.Instance {
			a.w.fail("I11: %v begins on %s, which promised instance %x", l.id, a.name(), a.grantor.Instance)
		}
		l.running = true
		a.judgeGPUs(l)
		a.w.truth.begun++
		a.w.truth.reopen(l)
		if a.w.auto {
			a.w.after(a.w.around(a.runsFor(l)), func() { a.over(l) })
		}
	}
	if report != nil {
		a.send(report)
	}
	a.w.truth.touch(a)
	a.roomy()
	return err
}

// full refuses a begin for lack of a slot, which an honest worker never has to.
func (a *agent) full(l *lease) {
	l.sworn = a.book.Incarnation()
	a.w.counts[fault.RefusedFull]++
	if !a.loose() {
		a.w.fail("A: %s with %d slots, %v and %v has no room for %v, which takes %+v", a.name(), a.Slots, a.Resources, a.Devices, l.id, l.takes)
	}
	if m := a.book.Refused(); m != nil {
		a.send(m)
	}
}

// over is the end of a task, if it still runs. A stopped agent learns of it
// when it is back.
func (a *agent) over(l *lease) {
	if !l.running {
		return
	}
	if a.down {
		a.w.after(a.w.between(100, 1000), func() { a.over(l) })
		return
	}
	a.end(l, a.outcome(l))
}

// end ends a running task.
func (a *agent) end(l *lease, outcome wire.Reason) {
	m, err := a.book.End(l.id, outcome)
	if err != nil {
		a.w.fail("the end of %v: %v", l.id, err)
		return
	}
	a.w.say("%s: ends %v", a.name(), l.id)
	l.running = false
	l.sworn = a.book.Incarnation()
	a.w.truth.ended++
	a.w.truth.touch(a)
	if m != nil {
		a.send(m)
	}
	a.roomy()
}

// announce changes what the worker says of itself, by a new registration.
func (a *agent) announce(k offer.Kit) {
	a.cut = a.cut || k.Slots < a.Slots || !maps.Equal(k.Resources, a.Resources)
	a.announced = a.announced && k.Slots == a.Slots && maps.Equal(k.Resources, a.Resources)
	a.most = max(a.most, int(k.Slots))
	a.Kit = k
	a.book.Announce(k.Tags, k.Slots, k.Resources)
	a.w.quit(a.link)
}

// stop ends the process; tasks go on if they are kept.
func (a *agent) stop(keep bool) {
	a.w.say("%s: stops, tasks go on: %v", a.name(), keep)
	a.down = true
	a.life++
	a.w.quit(a.link)
	a.lying = false
	a.arrange(keep)
	a.renewBook(keep)
	if !keep {
		for _, l := range a.open {
			l.running = false
		}
	}
	a.announced = false
	a.w.truth.touch(a)
}

// renewBook starts the ledger of a new process, perhaps with what ran before.
func (a *agent) renewBook(keep bool) {
	old := a.book
	a.newBook()
	if keep {
		for r, caller := range old.All() {
			if err := a.book.Restore(*r, caller); err != nil {
				a.w.fail("restore: %v", err)
			}
		}
	}
}

// start begins a new process on the machine.
func (a *agent) start() {
	a.down = false
	a.w.truth.touch(a)
	a.connect()
}

// taken counts what the running tasks take.
func (a *agent) taken() *offer.Tally {
	t := a.Kit.Tally()
	for _, l := range a.open {
		if l.running {
			t.Add(&l.takes)
		}
	}
	return t
}

// hasRoom reports whether one more task would have room.
func (a *agent) hasRoom(t *task) bool {
	q := offer.Asked{Tags: t.tags, Resources: t.needs.resources}
	taken := a.taken()
	_, ok := taken.Place(q.Resources, false)
	return ok && q.Wants(a.worker, &a.Kit) && taken.Load(a.external) < offer.LoadUnit
}
