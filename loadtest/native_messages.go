package loadtest

import (
	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// Data implements poll.Handler.
func (n *native) Data(now int64, buf []byte) int {
	conn := n.conn
	used, err := n.sh.frames(buf, func(m wire.Message, request uint64) bool {
		n.message(now, m, request)
		return n.conn == conn
	})
	if err != nil {
		n.sh.run.judge.Broken(judge.Unexpected, "%s: cannot read the scheduler: %v", n.spec.id, err)
		n.drop(now)
	}
	return used
}

func (n *native) message(now int64, m wire.Message, request uint64) {
	switch m := m.(type) {
	case *wire.HelloOK:
		n.register(now)
	case *wire.Registered:
		n.registered(now, m)
	case *wire.Ended:
		n.acknowledged(request)
	case *wire.Revoke:
		n.revoke(now, m.Lease)
	case *wire.Preempt:
		n.preempt(now, m)
	case *wire.Superseded:
		if m.Incarnation == n.ledger.Incarnation() {
			n.renew(now)
		}
	case *wire.Gone:
		n.drop(now)
	case *wire.Error:
		n.failed(now, m)
	default:
		n.sh.run.judge.Broken(judge.Unexpected, "%s: the scheduler sent kind %v", n.spec.id, m.Kind())
		n.drop(now)
	}
}

// registered promises the scheduler that answered; one that is older than the
// promised one is left alone.
func (n *native) registered(now int64, m *wire.Registered) {
	reports, obey := n.ledger.Registered(m)
	if !obey {
		n.drop(now)
		return
	}
	for _, report := range reports {
		if end, is := report.(*wire.End); is {
			n.sendEnd(now, end)
			continue
		}
		n.send(0, report)
	}
	n.beats.settled()
	n.worker.registered()
}

// revoke answers the scheduler's wish to have a lease back.
func (n *native) revoke(now int64, id wire.LeaseID) {
	n.sh.counts.Revokes++
	m := n.ledger.Revoke(id)
	switch m := m.(type) {
	case *wire.Revoked:
		n.sh.counts.GivenBack++
		n.sh.run.judge.Revoked(n.index, id)
		n.send(0, m)
	case *wire.Begun:
		n.send(0, m)
	}
	n.tidy(now)
}

// tidy starts a new incarnation when the memory of the present one is full.
// While the worker is not registered that waits for the next registration.
func (n *native) tidy(now int64) {
	if n.stage == stageReady && n.ledger.MemoryFull() {
		n.renew(now)
	}
}

func (n *native) sendEnd(now int64, m *wire.End) {
	n.ends = append(n.ends, unacknowledged{n.call(m), m.Lease, now})
}

func (n *native) acknowledged(request uint64) {
	for i := range n.ends {
		if n.ends[i].request == request {
			n.ledger.Ended(n.ends[i].lease)
			n.ends = append(n.ends[:i], n.ends[i+1:]...)
			return
		}
	}
}

// failed handles an error of the scheduler. Most say that it does not know
// this registration any more, or not now: the worker comes back later.
func (n *native) failed(now int64, e *wire.Error) {
	switch e.Code {
	case wire.CodeBusy, wire.CodeDraining, wire.CodeNotRegistered, wire.CodeSlowConsumer, wire.CodeTimeout:
	case wire.CodeSuperseded:
		n.renew(now)
		return
	default:
		n.sh.run.judge.Broken(judge.Unexpected, "%s: the scheduler answered %v", n.spec.id, e)
	}
	n.drop(now)
}
