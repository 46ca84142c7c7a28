package loadtest

import (
	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// Data implements poll.Handler.
func (w *worker) Data(now int64, buf []byte) int {
	conn := w.conn
	used, err := w.sh.frames(buf, func(m wire.Message, request uint64) bool {
		w.message(now, m, request)
		return w.conn == conn
	})
	if err != nil {
		w.sh.run.judge.Broken(judge.Unexpected, "%s: cannot read the scheduler: %v", w.spec.id, err)
		w.drop(now)
	}
	return used
}

func (w *worker) message(now int64, m wire.Message, request uint64) {
	switch m := m.(type) {
	case *wire.HelloOK:
		w.register(now)
	case *wire.Registered:
		w.registered(now, m)
	case *wire.Ended:
		w.acknowledged(request)
	case *wire.Revoke:
		w.revoke(now, m.Lease)
	case *wire.Superseded:
		if m.Incarnation == w.ledger.Incarnation() {
			w.renew(now)
		}
	case *wire.Gone:
		w.drop(now)
	case *wire.Error:
		w.failed(now, m)
	default:
		w.sh.run.judge.Broken(judge.Unexpected, "%s: the scheduler sent kind %v", w.spec.id, m.Kind())
		w.drop(now)
	}
}

// registered promises the scheduler that answered; one that is older than the
// promised one is left alone.
func (w *worker) registered(now int64, m *wire.Registered) {
	reports, obey := w.ledger.Registered(m)
	if !obey {
		w.drop(now)
		return
	}
	for _, report := range reports {
		if end, is := report.(*wire.End); is {
			w.sendEnd(now, end)
			continue
		}
		w.send(0, report)
	}
	w.stage, w.failures = stageReady, 0
	if !w.ready {
		w.ready = true
		w.sh.run.ready.Add(1)
		w.sh.startWorkers(1)
	}
}

// revoke answers the scheduler's wish to have a lease back.
func (w *worker) revoke(now int64, id wire.LeaseID) {
	w.sh.counts.Revokes++
	m := w.ledger.Revoke(id)
	switch m := m.(type) {
	case *wire.Revoked:
		w.sh.counts.GivenBack++
		w.sh.run.judge.Revoked(w.index, id)
		w.send(0, m)
	case *wire.Begun:
		w.send(0, m)
	}
	w.tidy(now)
}

// tidy starts a new incarnation when the memory of the present one is full.
// While the worker is not registered that waits for the next registration.
func (w *worker) tidy(now int64) {
	if w.stage == stageReady && w.ledger.MemoryFull() {
		w.renew(now)
	}
}

func (w *worker) sendEnd(now int64, m *wire.End) {
	w.ends = append(w.ends, unacknowledged{w.call(m), m.Lease, now})
}

func (w *worker) acknowledged(request uint64) {
	for i := range w.ends {
		if w.ends[i].request == request {
			w.ledger.Ended(w.ends[i].lease)
			w.ends = append(w.ends[:i], w.ends[i+1:]...)
			return
		}
	}
}

// failed handles an error of the scheduler. Most say that it does not know
// this registration any more, or not now: the worker comes back later.
func (w *worker) failed(now int64, e *wire.Error) {
	switch e.Code {
	case wire.CodeBusy, wire.CodeDraining, wire.CodeNotRegistered, wire.CodeSlowConsumer, wire.CodeTimeout:
	case wire.CodeSuperseded:
		w.renew(now)
		return
	default:
		w.sh.run.judge.Broken(judge.Unexpected, "%s: the scheduler answered %v", w.spec.id, e)
	}
	w.drop(now)
}
