package sim

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// answerIn is how many milliseconds an agent waits for the answer to its
// registration before it tries another connection.
const answerIn = 5000

// live lets an agent move by itself.
func (a *agent) live() {
	a.w.after(a.w.between(0, 1000), a.connect)
	a.w.after(a.w.between(0, int(a.w.host.cfg.Heartbeat)), a.beat)
}

// beat sends a heartbeat and repeats what was not acknowledged, for ever.
func (a *agent) beat() {
	w := a.w
	if a.paused > w.now {
		w.await(a.paused, a.beat)
		return
	}
	interval := int(w.host.cfg.Heartbeat)
	w.after(w.between(interval*8/10, interval), a.beat)
	if a.datagrams && !a.down {
		a.drift()
		w.cast(a, a.tell())
	}
	switch {
	case a.down || a.link == nil:
	case a.book.Connected():
		a.report()
	case w.now-a.asked > answerIn:
		w.quit(a.link)
	}
}

// drift moves the external load of a machine that others share, until the world
// heals.
func (a *agent) drift() {
	if a.shared && !a.w.healing && a.w.chance(1, 4) {
		a.external = uint32(a.w.rng.IntN(int(a.Slots) + 1))
	}
}

// report sends a heartbeat, perhaps twice, unless datagrams carry it and are
// acknowledged, and all ends that wait.
func (a *agent) report() {
	w := a.w
	if !a.datagrams || a.unanswered() >= missingAcks-1 {
		a.drift()
		m := a.book.Heartbeat(a.external)
		a.send(m)
		if w.drawn(w.manners.twice) {
			w.counts[fault.DuplicateBeat]++
			a.send(m)
		}
	}
	for _, e := range a.book.Resend() {
		a.send(e)
	}
	if a.lying {
		a.lie()
	}
}

// preempted is told that a task must make room. Some tasks listen; the others
// are killed when they must be.
func (a *agent) preempted(m *wire.Preempt) {
	l := a.w.truth.byID[m.Lease]
	a.told = append(a.told, *m)
	switch {
	case l == nil || !a.book.Runs(m.Lease) || m.Handle != a.handle:
	case m.GraceMS == 0:
		a.w.say("%s: kills %v", a.name(), l.id)
		a.w.after(a.w.between(1, 200), func() {
			if l.running && !a.down && l.agent == a {
				a.end(l, wire.ReasonLost)
			}
		})
	case a.w.chance(1, 2):
		a.w.after(a.w.between(1, int(m.GraceMS)), func() { a.over(l) })
	}
}

// arrive brings a begin to the agent of an address, once it is awake.
func (w *World) arrive(l *lease, bytes []byte, by string) {
	a := l.agent
	if a.paused > w.now {
		w.await(a.paused, func() { w.arrive(l, bytes, by) })
		return
	}
	l.begins--
	w.truth.touch(a)
	if a.down {
		w.say("%s: is down, the begin of %v is lost", a.name(), l.id)
		return
	}
	if err := a.begin(bytes, by); err != nil {
		w.say("%s: refuses %v: %v", a.name(), l.id, err)
	}
}

// pause lets an agent stand still.
func (a *agent) pause(ms int) {
	a.paused = max(a.paused, a.w.now+sched.Time(ms))
	a.w.say("%s: stands still for %d ms", a.name(), ms)
}
