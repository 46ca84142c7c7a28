package sim

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

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

// twinCordon is a worker that is out of service, known or not.
type twinCordon struct {
	reason, by string
	since      sched.Time
}

// cordon predicts the answer to a cordon, or to its end.
func (t *twin) cordon(s *twinSession, to said, m *wire.Cordon) {
	w, is := t.find(m.Worker), t.cordons[m.Worker] != nil
	if w == nil && !(is && !m.On) {
		to.kind, to.code = wire.KindError, wire.CodeNotFound
		t.say(to)
		return
	}
	to.kind, to.changed = wire.KindCordoned, is != m.On
	t.say(to)
	if is == m.On {
		t.w.counts[FaultCordonAgain]++
		return
	}
	c := &twinCordon{reason: m.Reason, by: m.By, since: t.w.now}
	if c.by == "" {
		c.by = s.client
	}
	what := "cordoned"
	if t.cordons[m.Worker] = c; !m.On {
		what = "uncordoned"
		delete(t.cordons, m.Worker)
	}
	e := t.note(what, m.Worker)
	e.Reason, e.By = c.reason, c.by
	if w == nil {
		t.w.counts[FaultCordonGone]++
		return
	}
	t.touch(w)
}
