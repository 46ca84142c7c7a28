package sim

import "github.com/dtask/dtask-scheduler/wire"

// beat predicts what a datagram changes, and its acknowledgement.
func (t *twin) beat(m *wire.Beat) (ack wire.BeatAck, answered bool) {
	ack = wire.BeatAck{Seq: m.Seq, Grantor: t.grantor(), Connect: true}
	w := t.find(string(m.Worker))
	if w == nil || w.incarnation != m.Incarnation {
		t.w.counts[FaultBeatUnknown]++
		return ack, true
	}
	if m.Seq <= w.beat {
		t.w.counts[FaultBeatStale]++
		return ack, false
	}
	w.beat, w.external = m.Seq, m.External
	t.heard(w)
	if m.Digest == t.digest(w) {
		w.differs = 0
	} else {
		w.differs++
	}
	switch {
	case w.session == 0:
		t.w.counts[FaultNoConnection]++
	case w.differs > 1:
		t.w.counts[FaultDigest]++
	default:
		ack.Connect = false
	}
	t.settleDrains()
	return ack, true
}

// digest joins the leases that have begun on a worker.
func (t *twin) digest(w *twinWorker) (sum uint64) {
	for _, l := range t.of(w) {
		if l.state == wire.StateBegun {
			sum ^= l.id.Digest()
		}
	}
	return sum
}
