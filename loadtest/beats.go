package loadtest

import (
	"math/bits"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	// silentBeats unanswered datagrams in a row make a worker register again.
	silentBeats = 3
	// beatWindow is how many of the last datagrams may still be acknowledged.
	beatWindow = 64
)

// Datagrams is what became of the heartbeats that travelled as datagrams.
type Datagrams struct {
	Sent     uint64 `json:"sent"`
	Acked    uint64 `json:"acked"`     // each counts once
	Lost     uint64 `json:"lost"`      // sent and not acknowledged: lost there or back, or overtaken
	Repeated uint64 `json:"repeated"`  // acknowledgements that came again
	Told     uint64 `json:"told"`      // acknowledgements that told the worker to connect
	Silences uint64 `json:"silences"`  // three in a row were not acknowledged
	Again    uint64 `json:"registers"` // registrations for one of these reasons
}

// beats is what a worker knows of the datagrams of its present incarnation.
type beats struct {
	last   uint32 // number of the last one
	open   uint64 // bit i: the one i before the last is not acknowledged
	first  uint32 // the first one behind the present registration
	silent int    // sent behind the last one that was acknowledged
	due    bool   // the worker is about to register again
}

// sent notes a new datagram.
func (b *beats) sent(seq uint32) {
	b.last, b.open = seq, b.open<<1|1
	b.silent++
}

// acked notes an acknowledgement and reports whether it is the first of its
// datagram.
func (b *beats) acked(seq uint32) bool {
	age := b.last - seq
	if age >= beatWindow || b.open>>age&1 == 0 {
		return false
	}
	b.open &^= 1 << age
	b.silent = min(b.silent, int(age))
	return true
}

// settled notes a registration: what was acknowledged before it says nothing
// about it.
func (b *beats) settled() {
	b.first, b.silent, b.due = b.last+1, 0, false
}

// tag is the request id of a worker's datagrams. It tells workers apart that
// share a socket, and incarnations of one worker.
func (n *native) tag() uint64 {
	return n.ledger.Incarnation()<<32 | uint64(n.index)
}

// sendBeat sends the heartbeat as a datagram.
func (n *native) sendBeat(now int64) {
	s := n.sh
	if !n.ledger.Connected() {
		return
	}
	if n.beats.silent >= silentBeats {
		s.counts.Datagrams.Silences++
		n.soon(now)
	}
	m := n.ledger.Beat(0)
	n.beats.sent(m.Seq)
	s.counts.Datagrams.Sent++
	s.datagram = wire.AppendDatagram(s.datagram[:0], n.tag(), m)
	s.port.Send(s.datagram)
}

// Datagram implements poll.Receiver: it finds the worker that an
// acknowledgement is for.
func (s *shard) Datagram(now int64, buf []byte) {
	m, request, err := s.decoder.Decode(buf)
	ack, is := m.(*wire.BeatAck)
	index := request & (1<<32 - 1)
	if err != nil || !is || index >= uint64(len(s.run.workers)) {
		s.run.judge.Broken(judge.Unexpected, "a datagram came that acknowledges nothing: %x", buf)
		return
	}
	n, is := s.run.workers[index].link.(*native)
	if !is || n.sh != s {
		s.run.judge.Broken(judge.Unexpected, "a datagram came for %s, which sends none here", s.run.workers[index].spec.id)
		return
	}
	if n.tag() == request {
		n.acknowledge(now, ack)
	}
}

// acknowledge reads the acknowledgement of a datagram.
func (n *native) acknowledge(now int64, ack *wire.BeatAck) {
	c := &n.sh.counts.Datagrams
	switch {
	case ack.Seq == 0 || ack.Seq > n.beats.last:
		n.sh.run.judge.Broken(judge.Unexpected, "%s: datagram %d was acknowledged, the last is %d", n.spec.id, ack.Seq, n.beats.last)
		return
	case !n.beats.acked(ack.Seq):
		c.Repeated++
		return
	}
	c.Acked++
	if ack.Connect {
		c.Told++
		if ack.Seq >= n.beats.first {
			n.soon(now)
		}
	}
}

// soon has the worker register again within one interval, at a moment of its
// own.
func (n *native) soon(now int64) {
	if n.beats.due || n.stage != stageReady {
		return
	}
	n.beats.due = true
	n.timer(now+n.sh.rng.Int64N(int64(n.interval)), timerAgain)
}

// again registers on the connection that stands.
func (n *native) again(now int64) {
	if n.stage == stageReady && !n.quitting {
		n.sh.counts.Datagrams.Again++
		n.register(now)
	}
}

// unanswered implements link.
func (n *native) unanswered() int { return bits.OnesCount64(n.beats.open) }
