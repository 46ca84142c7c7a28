package sim

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// missingAcks is how many beats in a row an agent sends without an
// acknowledgement before it registers again.
const missingAcks = 3

// flight says what may happen to a datagram on its way, to be counted.
type flight struct{ lost, twice, late fault.Kind }

var (
	beatFlight = flight{fault.BeatLost, fault.BeatTwice, fault.BeatLate}
	ackFlight  = flight{fault.AckLost, fault.AckTwice, fault.AckLate}
)

// fly lets a datagram travel to or from an agent. Nothing keeps the order.
func (w *World) fly(a *agent, f flight, arrive func()) {
	if a.mute > w.now || w.drawn(w.manners.lossy) {
		w.counts[f.lost]++
		return
	}
	copies := 1
	if w.drawn(w.manners.twice) {
		w.counts[f.twice]++
		copies = 2
	}
	for range copies {
		wait := int(w.delay())
		if w.drawn(w.manners.lateBeat) {
			w.counts[f.late]++
			wait = w.between(1000, maxLate)
		}
		w.after(wait, arrive)
	}
}

// tell builds the next beat of an agent. One that had no acknowledgement for
// too long registers again.
func (a *agent) tell() *wire.Beat {
	m := a.book.Beat(a.external)
	if m.Seq == 1 {
		a.acked, a.since = 0, 0
	}
	a.sent = m.Seq
	if a.unanswered() > missingAcks && a.book.Connected() {
		a.w.counts[fault.NoAck]++
		a.w.say("%s: misses acknowledgements", a.name())
		a.book.SkipBeats()
		a.again()
	}
	return m
}

// unanswered is how many beats were sent since the last acknowledgement, or the
// registration after it.
func (a *agent) unanswered() uint32 { return a.sent - max(a.acked, a.since) }

// again registers once more, on its connection or on another.
func (a *agent) again() {
	if a.w.auto && a.w.chance(1, 2) {
		a.w.quit(a.link)
		return
	}
	a.register()
}

// cast sends a beat on its way to whatever life of the scheduler it meets.
func (w *World) cast(a *agent, m *wire.Beat) {
	bytes := wire.AppendDatagram(nil, uint64(m.Seq), m)
	sent, life := w.host, a.life
	w.fly(a, beatFlight, func() { w.meet(a, sent, life, bytes) })
}

// meet lets a beat reach the scheduler, once that is awake, and sends the
// acknowledgement to the process that asked for it.
func (w *World) meet(a *agent, sent *host, life int, bytes []byte) {
	if until := w.host.pausedUntil; until > w.now {
		w.await(until, func() { w.meet(a, sent, life, bytes) })
		return
	}
	if sent != w.host {
		w.counts[fault.BeatOtherLife]++
	}
	if ack := w.land(a, slices.Clone(bytes)); ack != nil {
		w.fly(a, ackFlight, func() { a.acknowledged(life, ack) })
	}
}

// land gives a beat to the core and returns its answer, nil if there is none.
// The bytes are spoiled.
func (w *World) land(a *agent, bytes []byte) (answer []byte) {
	w.trace.bytes(bytes)
	h := w.host
	m, request, err := h.dec.Decode(bytes)
	b, ok := m.(*wire.Beat)
	if err != nil || !ok {
		w.fail("the codec does not read its own beat: %v", err)
		return nil
	}
	if w.trace.out != nil {
		w.say("%s -> scheduler  %s", a.name(), describe(m))
	}
	a.countBeat(b)
	var ack wire.BeatAck
	answered := h.state.Beat(w.now, b, &ack)
	if w.twin != nil {
		w.twin.Beat(b, answered, ack.Connect)
	}
	size := len(bytes)
	w.scribble(bytes)
	w.armPulse()
	if !answered {
		return nil
	}
	if answer = wire.AppendDatagram(nil, request, &ack); len(answer) > size {
		w.fail("a beat of %d bytes is answered with %d", size, len(answer))
	}
	return answer
}

// acknowledged lets an acknowledgement reach the process that it is for.
func (a *agent) acknowledged(life int, bytes []byte) {
	w := a.w
	if a.paused > w.now {
		w.await(a.paused, func() { a.acknowledged(life, bytes) })
		return
	}
	if a.down || a.life != life {
		return
	}
	w.trace.bytes(bytes)
	m, _, err := w.dec.Decode(bytes)
	ack, ok := m.(*wire.BeatAck)
	if err != nil || !ok {
		w.fail("the codec does not read its own acknowledgement: %v", err)
		return
	}
	if w.trace.out != nil {
		w.say("scheduler -> %s  %s", a.name(), describe(ack))
	}
	a.acknowledge(ack)
}

// acknowledge reads an acknowledgement. One that is older than the last
// registration asks for nothing that was not done.
func (a *agent) acknowledge(m *wire.BeatAck) {
	if m.Seq <= a.acked || m.Seq > a.sent {
		return
	}
	a.acked = m.Seq
	if m.Connect && m.Seq > a.since && a.book.Connected() {
		a.again()
	}
}

// countBeat notes for the judges that the scheduler hears of an agent: not by
// a repetition.
func (a *agent) countBeat(m *wire.Beat) {
	if string(m.Worker) == a.worker && m.Seq > a.beats[m.Incarnation] {
		a.beats[m.Incarnation] = m.Seq
		a.heard = a.w.now
	}
}

// forgetBeats is for a scheduler that knows nothing of the worker.
func (a *agent) forgetBeats() { a.beats = map[uint64]uint32{} }
