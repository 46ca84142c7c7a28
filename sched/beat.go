package sched

import "github.com/dtask/dtask-scheduler/wire"

// beatDiffers is how many digests in a row may differ from the scheduler's
// before the worker is asked for its list: one may have crossed a report that
// is still on its way over TCP.
const beatDiffers = 2

// Beat applies the heartbeat of a worker that came as a datagram, and fills in
// the acknowledgement. It reports false if the datagram is not answered: it is
// late, or a repetition. Nothing is ever created by a datagram.
func (s *State) Beat(now Time, m *wire.Beat, ack *wire.BeatAck) bool {
	*ack = wire.BeatAck{Seq: m.Seq, Grantor: s.Grantor(), Connect: true}
	s.now = now
	n, ok := s.byID[string(m.Worker)]
	if !ok || s.workers.At(n).incarnation != m.Incarnation {
		s.log.beat(OverUDP, BeatUnknown)
		return true
	}
	w := s.workers.At(n)
	if m.Seq <= w.beatSeq {
		s.log.beat(OverUDP, BeatStale)
		return false
	}
	w.beatSeq = m.Seq
	s.heard(n)
	s.log.beat(OverUDP, BeatOK)
	s.measure(n, w.slots, m.External)
	s.updateDrains()
	w.differs = min(w.differs+1, beatDiffers)
	if m.Digest == w.digest || w.unconfirmed { // or the list is still being applied
		w.differs = 0
	}
	ack.Connect = w.session == 0 || w.differs >= beatDiffers
	return true
}
