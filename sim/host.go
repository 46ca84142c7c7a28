package sim

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/twin"
	"github.com/dtask/dtask-scheduler/wire"
)

// host is one life of the scheduler.
type host struct {
	cfg         sched.Config
	state       *sched.State
	out         sched.Outbox
	aside       sched.Outbox // for questions of the judges
	dec         wire.Decoder
	pulseAt     sched.Time // when the next pulse is planned
	pausedUntil sched.Time
}

// startScheduler begins a new life of the scheduler, which knows nothing.
func (w *World) startScheduler(cfg sched.Config) {
	cfg.Instance = uint32(w.rng.Uint64()) | 1
	cfg.Seed = w.rng.Uint64()
	state, err := sched.New(cfg)
	if err != nil {
		w.fail("New: %w", err)
		return
	}
	w.host = &host{cfg: cfg, state: state, pulseAt: sched.Never}
	w.truth.newScheduler()
	for _, a := range w.agents {
		a.forgetBeats()
	}
	if w.twin != nil {
		w.twin = twin.New(seen{w}, w.host.cfg)
	}
	if cfg.Learning {
		w.learn()
	}
}

// learn ends the time in which the scheduler learns its fleet, some time after its
// start.
func (w *World) learn() {
	h := w.host
	w.after(w.between(0, 12_000), func() {
		if h != w.host {
			return
		}
		w.say("scheduler: has learned its fleet")
		h.state.Learned()
		w.twin.Learned()
	})
}

// restartScheduler ends the present life. What was on its way up is lost, and
// each peer notices within the given time.
func (w *World) restartScheduler(notice int) {
	w.say("scheduler: restarts")
	old := append([]*link(nil), w.live...)
	w.live = w.live[:0]
	for _, l := range old {
		l.hostOpen = false
		w.drop(&l.up, 0)
		if !l.peerOpen {
			continue
		}
		if w.auto {
			w.after(w.between(0, notice), func() { w.hangUp(l, 0, w.now) })
		} else {
			w.hangUp(l, 0, w.now)
		}
	}
	w.startScheduler(w.host.cfg)
}

// apply gives a message to the core and its answers to the connections.
// bytes, if any, are what m points into.
func (w *World) apply(l *link, request uint64, m wire.Message, bytes []byte) {
	h := w.host
	asked := w.truth.asked(w, l, m)
	h.state.Apply(w.now, l.session, request, m, &h.out)
	if w.twin != nil {
		w.twin.Apply(l.session, request, m, h.out.Items)
	}
	if bytes != nil {
		w.scribble(bytes)
	}
	w.settle(asked)
	w.judgeList(m)
}

// closeSession tells the core that a connection is gone.
func (w *World) closeSession(l *link) {
	h := w.host
	if w.twin != nil {
		w.twin.Close(l.session)
	}
	h.state.Close(w.now, l.session, &h.out)
	w.settle(question{})
}

// settle hands out what the core wants sent, and plans its next pulse.
func (w *World) settle(asked question) {
	h := w.host
	if w.twin != nil {
		w.twin.Compare(h.out.Items)
	}
	for i := range h.out.Items {
		it := &h.out.Items[i]
		m := it.Message()
		to := w.linkTo(it.To)
		if to == nil {
			w.fail("a message for session %d, which is closed: %s", it.To, describe(m))
			continue
		}
		w.sendDown(to, it.Request, m, w.truth.observe(w, asked, to.peer.tasksOf(to, it.Request), m))
	}
	h.out.Reset()
	w.armPulse()
}

// linkTo returns the connection of a session, nil if it is closed.
func (w *World) linkTo(id sched.Session) *link {
	if id == 0 {
		return w.gateway.link
	}
	if int(id) > len(w.links) || w.links[id-1].host != w.host || !w.links[id-1].hostOpen {
		return nil
	}
	return w.links[id-1]
}

// ask gives the core a message of session 0 and returns its answer, which is
// valid until the next one.
func (w *World) ask(m wire.Message) wire.Message {
	out := &w.host.aside
	out.Reset()
	w.host.state.Apply(w.now, 0, 1, m, out)
	for i := range out.Items {
		if out.Items[i].To == 0 {
			return out.Items[i].Message()
		}
	}
	w.fail("no answer to %s of session 0", describe(m))
	return &wire.Error{Code: wire.CodeInternal}
}

// armPulse plans the next pulse, sometimes a little late.
func (w *World) armPulse() {
	h := w.host
	next := h.state.NextPulse()
	if !w.auto || next == sched.Never {
		return
	}
	next = max(next, w.now)
	if next >= h.pulseAt {
		return
	}
	h.pulseAt = next
	at := next
	if !w.healing && w.manners.latePulse > 0 && w.chance(1, w.manners.latePulse) {
		w.counts[fault.LatePulse]++
		at += sched.Time(w.between(1, 2000))
	}
	w.at(at, func() { w.runPulse(h, next) })
}

// runPulse is the scheduler's timer. A pulse that was planned anew is skipped.
func (w *World) runPulse(h *host, planned sched.Time) {
	switch {
	case h != w.host || h.pulseAt != planned:
		return
	case h.pausedUntil > w.now:
		w.await(h.pausedUntil, func() { w.runPulse(h, planned) })
		return
	}
	h.pulseAt = sched.Never
	w.pulse()
}

// maxPulses is how many pulses in a row may be wanted at one moment.
const maxPulses = 100

// pulse lets the core handle what is due.
func (w *World) pulse() {
	h := w.host
	for range maxPulses {
		if w.twin != nil {
			w.twin.Pulse()
		}
		h.state.Pulse(w.now, &h.out)
		w.settle(question{})
		if h.state.NextPulse() > w.now {
			return
		}
	}
	w.fail("the core wants a pulse at %d, now and for ever", h.state.NextPulse())
}
