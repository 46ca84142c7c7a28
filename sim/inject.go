package sim

import (
	"fmt"
	"math"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// trouble injects one fault of the plan and plans the next one.
func (w *World) trouble() {
	if w.healing || w.plan.every == 0 {
		return
	}
	w.after(w.around(w.plan.every), w.trouble)
	f := w.plan.draw(w)
	if w.inject(f) {
		w.counts[f]++
	}
}

// inject lets a fault happen to somebody. It reports whether it could.
func (w *World) inject(f fault.Kind) bool {
	switch f {
	case fault.AgentLink, fault.RestartList, fault.RestartNoList, fault.Tags, fault.Grow, fault.Shrink,
		fault.Lies, fault.Silence, fault.TwoAgents, fault.Deregister, fault.Removed, fault.DeadLink, fault.NoDatagrams, fault.Repair, fault.Drain,
		fault.Resources, fault.Broken, fault.Devices, fault.SharedGPUs, fault.GPUs,
		fault.Forgery:
		a := w.agents[w.rng.IntN(len(w.agents))]
		return !a.down && w.injectAgent(f, a)
	case fault.Cordon:
		ids := w.workerIDs()
		w.operator.cordonFor(ids[w.rng.IntN(len(ids))], w.around(6000))
	case fault.Poison:
		w.poison()
	case fault.Scheduler:
		w.restartScheduler(3000)
	case fault.SchedulerPause:
		w.host.pausedUntil = w.now + sched.Time(w.around(3000))
		w.say("scheduler: stands still until %d", w.host.pausedUntil)
	default:
		return w.injectClient(f, w.clients[w.rng.IntN(len(w.clients))])
	}
	return true
}

func (w *World) injectClient(f fault.Kind, c *client) bool {
	switch f {
	case fault.ClientLink:
		if c.link == nil {
			return false
		}
		w.hangUpAny(c.link)
	case fault.ClientCrash:
		c.crash()
	case fault.ClientPause:
		c.paused = w.now + sched.Time(w.around(5000))
		w.say("%s: stands still until %d", c.id, c.paused)
	}
	return true
}

func (w *World) injectAgent(f fault.Kind, a *agent) bool {
	switch f {
	case fault.AgentLink:
		if a.link == nil {
			return false
		}
		w.hangUpAny(a.link)
	case fault.RestartList, fault.RestartNoList:
		if f == fault.RestartNoList && a.machine != 0 && w.chance(1, 3) { // the machine was started anew
			a.machine = w.random64()
		}
		a.restart(f == fault.RestartList)
	case fault.Tags:
		a.announce(offer.Kit{Tags: w.someTags(), Slots: a.Slots, Resources: a.Resources, Devices: a.Devices})
	case fault.Grow:
		a.announce(offer.Kit{Tags: a.Tags, Slots: a.Slots + uint32(w.between(1, 2)), Resources: a.Resources, Devices: a.Devices})
	case fault.Shrink:
		a.announce(offer.Kit{Tags: a.Tags, Slots: uint32(w.rng.IntN(int(a.Slots) + 1)), Resources: a.Resources, Devices: a.Devices})
	case fault.Lies:
		a.tellLies()
	case fault.Silence:
		a.pause(w.between(1, 3) * w.between(1000, 25_000))
	case fault.TwoAgents:
		w.rival(a, a.worker, w.between(1000, maxLate))
	case fault.GPUs:
		for _, o := range w.agents { // where tasks use some, if anywhere
			if !o.down && slices.ContainsFunc(o.open, func(l *lease) bool { return l.running && len(l.gpus) > 0 }) {
				a = o
			}
		}
		if !a.loseGPUs() {
			return false
		}
		a.restart(w.chance(3, 4))
	case fault.SharedGPUs:
		if !a.shareGPUs(w.between(1000, 2*maxLate)) {
			return false
		}
		if w.chance(1, 2) { // a new scheduler must learn which of them has tasks there
			w.after(w.between(500, 3000), func() { w.restartScheduler(3000) })
		}
	case fault.Deregister:
		return a.leave()
	case fault.Removed:
		w.remove(a.worker)
	case fault.DeadLink:
		return w.deaden(a.link)
	case fault.NoDatagrams:
		a.mute = w.now + sched.Time(w.around(10_000))
		w.say("%s: its datagrams are lost until %d", a.name(), a.mute)
		return a.datagrams
	case fault.Repair:
		a.repair()
	case fault.Drain:
		return a.drain()
	case fault.Resources:
		a.announce(offer.Kit{Tags: a.Tags, Slots: a.Slots, Resources: w.otherAmounts(a.Resources), Devices: a.Devices})
	case fault.Broken:
		a.breakDown()
	case fault.Devices:
		a.restart(true)
		a.offer(a.Resources, w.someDevices())
		return w.manners.needy > 0
	case fault.Forgery:
		return a.forge()
	}
	return true
}

// forge sends the scheduler a datagram that bears a later number than any of
// the agent's own. The acknowledgement goes to who sent it.
func (a *agent) forge() bool {
	w := a.w
	seq := uint64(a.sent) + uint64(w.between(1, 3*wire.BeatSkip))
	if w.chance(1, 2) {
		seq = math.MaxUint32 - uint64(w.between(0, 3))
	}
	w.say("somebody sends beat %d of %s", seq, a.name())
	w.land(a, wire.AppendDatagram(nil, 0, &wire.Beat{Worker: []byte(a.worker), Incarnation: a.book.Incarnation(), Seq: uint32(seq)}))
	return a.datagrams
}

// repair is a machine that is taken out of service, stopped and started again,
// and put back, perhaps before its agent is.
func (a *agent) repair() {
	w := a.w
	w.operator.cordonFor(a.worker, w.between(200, 5000))
	w.after(w.between(10, 500), func() {
		switch {
		case a.down:
		case w.chance(1, 3):
			a.restart(w.chance(1, 2))
		case w.chance(1, 2):
			w.remove(a.worker)
		default:
			a.leave()
		}
	})
}

// drain is an agent that is to stop: it takes itself out of service and is
// started again, or leaves and comes back, when it is empty or has waited long
// enough.
func (a *agent) drain() bool {
	if a.link == nil || !a.book.Connected() {
		return false
	}
	a.send(&wire.Cordon{Worker: a.worker, On: true, Reason: "stopping", Drain: true, Own: true})
	inc, until := a.book.Incarnation(), a.w.now+sched.Time(a.w.around(5000))
	var wait func()
	wait = func() {
		switch {
		case a.down || a.book.Incarnation() != inc: // another fault came before
		case a.book.Running() == 0 && a.w.chance(1, 2) && a.rename():
		case a.book.Running() == 0 && a.w.chance(1, 2) && a.leave():
		case a.book.Running() == 0 || a.w.now >= until || a.w.healing:
			a.restart(a.book.Running() > 0)
		default:
			a.w.after(200, wait)
		}
	}
	a.w.after(200, wait)
	return true
}

// hangUpAny breaks a connection: of what is on its way to the scheduler some is
// lost, and the rest may come seconds later.
func (w *World) hangUpAny(l *link) {
	if l == nil {
		return
	}
	until := w.now
	if w.chance(1, 2) {
		until += sched.Time(w.around(2000))
	}
	w.hangUp(l, w.rng.IntN(len(l.up)+1), until)
}

// someTags draws the tags of a worker.
func (w *World) someTags() []string {
	tags := []string{agentTag}
	for _, tag := range allTags {
		if w.chance(2, 3) && (tag != "rare" || w.chance(1, 3)) {
			tags = append(tags, tag)
		}
	}
	for _, z := range offer.Zones {
		if w.chance(1, 3) {
			tags = append(tags, "zone="+z)
		}
	}
	if w.chance(1, 2) {
		tags = append(tags, "cuda="+offer.Versions[w.rng.IntN(len(offer.Versions))])
	}
	return tags
}

// restart ends an agent's process and starts another some time later.
func (a *agent) restart(keep bool) { a.restartIn(a.w.around(3000), keep) }

// restartIn is restart with a time in milliseconds.
func (a *agent) restartIn(ms int, keep bool) {
	w := a.w
	if l := a.link; l != nil && w.chance(1, 2) {
		w.hangUpAny(l)
	}
	a.stop(keep)
	life := a.life
	w.after(ms, func() {
		if a.life == life {
			a.start()
		}
	})
}

// leave deregisters an agent in the middle of its work; it comes back.
func (a *agent) leave() bool {
	if !a.book.Connected() {
		return false
	}
	m := a.book.Deregister()
	a.w.say("%s: leaves", a.name())
	a.send(m)
	a.book.Superseded(a.w.random64())
	a.w.truth.touch(a)
	a.w.quit(a.link)
	return true
}

// remove takes a worker out by hand, as an operator does over HTTP.
func (w *World) remove(id string) {
	w.say("an operator removes %s", id)
	if w.twin != nil {
		w.twin.Remove(id)
	}
	w.host.state.RemoveWorker(w.now, id, &w.host.out)
	w.settle(question{})
	for _, a := range w.agents {
		if a.worker == id {
			a.forgetBeats()
		}
	}
}

// rival starts a second agent with what another has, its GPUs among them, for
// so many milliseconds: with its id, or with one of its own.
func (w *World) rival(a *agent, id string, ms int) {
	if len(w.agents) >= maxAgents {
		return
	}
	b := w.newAgent(id, a.Slots, a.Tags...)
	if a.machine != 0 && w.chance(3, 4) {
		b.machine = w.random64()
	}
	b.offer(a.Resources, slices.Clone(a.gpus))
	b.rival, b.datagrams = true, w.chance(1, 2)
	w.say("%s: has the GPUs of %s", b.name(), a.name())
	b.live()
	w.after(ms, b.endRival)
}

// shareGPUs starts a second agent with the GPUs of a machine and an id of its
// own, for so many milliseconds.
func (a *agent) shareGPUs(ms int) bool {
	w := a.w
	if a.rival || !slices.ContainsFunc(a.Devices, func(d wire.Device) bool { return d.UUID != "" }) {
		return false
	}
	w.rival(a, fmt.Sprintf("%s-%d", a.worker, len(w.agents)), ms)
	return true
}

// rename is a machine that comes back under another id, and later under its own.
func (a *agent) rename() bool {
	if !a.shareGPUs(a.w.between(30_000, 60_000)) {
		return false
	}
	a.restartIn(a.w.between(20_000, 50_000), false)
	return true
}

// endRival stops a rival. One that has an id of its own is removed by an
// operator: it would keep its GPUs as long as the scheduler believes that tasks
// run there.
func (a *agent) endRival() {
	a.stop(false)
	if !slices.ContainsFunc(a.w.agents, func(o *agent) bool { return o != a && o.worker == a.worker }) {
		a.w.remove(a.worker)
	}
}

// maxAgents bounds the agents of one run, rivals included.
const maxAgents = 40

// tellLies makes an agent lie for a while. A new process is honest again.
func (a *agent) tellLies() {
	a.lying = true
	life := a.life
	a.w.after(a.w.around(8000), func() {
		if a.life == life {
			a.restart(true)
		}
	})
}

// lie sends reports that no honest agent sends.
func (a *agent) lie() {
	w := a.w
	handle, seq := a.handle, uint32(w.rng.IntN(1<<20))
	id := wire.LeaseID{Epoch: uint32(w.rng.IntN(3)), Instance: uint32(w.random64()), Counter: w.rng.Uint64()}
	if n := len(w.truth.list); n > 0 && w.chance(3, 4) {
		id = w.truth.list[n-1-w.rng.IntN(min(n, 20))].id
	}
	w.say("%s: lies", a.name())
	switch w.rng.IntN(9) {
	case 0:
		a.send(&wire.Heartbeat{Handle: handle, Seq: seq, External: w.rng.Uint32()})
	case 1:
		a.send(&wire.Begun{Handle: handle, Seq: seq, Record: w.lyingRecord(id, "lie", "c0")})
	case 2:
		w.sendUp(a.link, a.next(), &wire.End{Handle: handle, Seq: seq, Lease: id, Outcome: wire.Reason(w.between(1, 4))})
	case 3:
		a.send(&wire.Revoked{Handle: handle, Seq: seq, Lease: id})
	case 4:
		a.send(&wire.Heartbeat{Handle: w.rng.Uint32(), Seq: seq})
	case 5:
		m := a.book.Register()
		m.Seq = seq
		for i := range w.between(1, 5) {
			id.Counter += uint64(i) // perhaps one that will be given next
			m.Leases = append(m.Leases, w.lyingRecord(id, fmt.Sprint("lie", i), ""))
		}
		a.send(m)
	case 6:
		w.cast(a, &wire.Beat{Worker: []byte(a.worker), Incarnation: a.book.Incarnation(), Seq: seq, External: w.rng.Uint32(), Digest: w.rng.Uint64()})
	case 7:
		ids := w.workerIDs() // in the name of another, whose incarnation it cannot know
		w.cast(a, &wire.Beat{Worker: []byte(ids[w.rng.IntN(len(ids))]), Incarnation: w.random64(), Seq: seq})
	case 8:
		m := a.book.Register()
		m.Promised = w.lyingPromise()
		a.send(m)
	}
}

// lyingPromise is a grantor that there never was, at the ends of what a
// scheduler might believe.
func (w *World) lyingPromise() wire.Grantor {
	g := w.host.state.Grantor()
	if w.chance(1, 2) {
		g.Instance = uint32(w.random64()) | 1
	}
	switch w.rng.IntN(5) {
	case 0:
		g.Epoch += uint32(w.between(1, 1000))
	case 1:
		g.Epoch = wire.MaxEpoch - 1
	case 2:
		g.Epoch = wire.MaxEpoch
	case 3:
		g.Epoch = math.MaxUint32 - uint32(w.between(0, 2))
	}
	return g
}

// lyingRecord is a record of a lease with whatever it might take.
func (w *World) lyingRecord(id wire.LeaseID, task, client string) wire.Record {
	r := wire.Record{Lease: id, Task: []byte(task), Exclusive: w.manners.needy > 0 && w.chance(1, 5)}
	if client != "" {
		r.Client = []byte(client)
	}
	if w.chance(w.manners.needy, 20) {
		r.Resources, r.Devices = wire.AppendResources(nil, w.someAmounts()), uint64(w.rng.IntN(16))
	}
	return r
}
