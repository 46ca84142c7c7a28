package loadtest

import (
	"errors"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/loadtest/poll"
	"github.com/dtask/dtask-scheduler/wire"
)

// native is the link of a worker that speaks leases: a ledger and a connection,
// and datagrams if its heartbeats travel so.
type native struct {
	*worker
	ledger  *ledger.Ledger
	conn    *poll.Conn // nil while there is none
	since   int64      // of the stage
	request uint64
	ends    []unacknowledged
	beats   beats
}

// unacknowledged is an End on its way.
type unacknowledged struct {
	request uint64
	lease   wire.LeaseID
	sent    int64
}

func newNative(w *worker) *native {
	n := &native{worker: w}
	n.reset()
	return n
}

// reset gives the worker an empty ledger of a new incarnation.
func (n *native) reset() {
	incarnation := n.sh.incarnation()
	n.ledger = ledger.New(ledger.Config{
		Worker: n.spec.id, Address: n.spec.address, Tags: n.spec.tags, Slots: uint32(n.spec.slots),
		Resources: n.spec.resources, Devices: n.spec.devices, Incarnation: incarnation,
	})
	n.beats = beats{}
	n.sh.run.judge.Incarnation(n.index, incarnation)
}

// Ring implements poll.Alarm.
func (n *native) Ring(now int64, what uint64) {
	if what>>timerBits != n.life {
		return
	}
	switch what & (1<<timerBits - 1) {
	case timerConnect:
		n.connect()
	case timerBeat:
		n.heartbeat(now)
	case timerAgain:
		n.again(now)
	}
}

func (n *native) timer(at int64, what uint64) { n.sh.loop.At(at, n, n.life<<timerBits|what) }

func (n *native) connect() {
	if n.conn != nil || n.quitting {
		return
	}
	c, err := n.sh.loop.Dial(n.sh.to, n)
	if err != nil {
		n.later(n.sh.loop.Now())
		return
	}
	n.conn = c
}

// later tries to connect again after a while.
func (n *native) later(now int64) {
	n.timer(n.sh.back(now, n.failures), timerConnect)
	n.failures++
}

// Opened implements poll.Handler.
func (n *native) Opened(now int64) {
	n.stage, n.since = stageHello, now
	n.send(0, &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleAgent, Client: n.spec.id})
	n.timer(n.firstBeat(now), timerBeat)
}

// Closed implements poll.Handler.
func (n *native) Closed(now int64, _ error) { n.dropped(now) }

// drop closes the connection and comes back later.
func (n *native) drop(now int64) {
	if n.conn != nil {
		n.conn.Close()
		n.dropped(now)
	}
}

func (n *native) dropped(now int64) {
	n.conn, n.stage = nil, stageDown
	n.life++
	n.ends = n.ends[:0]
	n.ledger.Disconnected()
	if n.quitting {
		n.sh.run.gone.Add(1)
		return
	}
	n.sh.counts.Reconnects++
	n.later(now)
}

func (n *native) send(request uint64, m wire.Message) {
	if n.conn != nil {
		n.conn.Put(wire.Append(n.conn.Grab(), request, m))
	}
}

func (n *native) call(m wire.Message) uint64 {
	n.request++
	n.send(n.request, m)
	return n.request
}

// register announces the worker and all it runs. The answer acknowledges the
// ends that are on their way.
func (n *native) register(now int64) {
	if n.ledger.MemoryFull() {
		n.supersede()
	}
	n.stage, n.since = stageRegistering, now
	n.ends = n.ends[:0]
	n.call(n.ledger.Register())
}

// renew draws a new incarnation and registers it on the same connection.
func (n *native) renew(now int64) {
	n.supersede()
	n.register(now)
}

// supersede draws a new incarnation that runs on what the old one ran.
func (n *native) supersede() {
	incarnation := n.sh.incarnation()
	n.ledger.Superseded(incarnation)
	n.beats = beats{}
	n.sh.run.judge.Incarnation(n.index, incarnation)
	n.sh.counts.Superseded++
}

// heartbeat reports that the worker lives, and looks for calls without
// an answer.
func (n *native) heartbeat(now int64) {
	n.timer(n.nextBeat(now), timerBeat)
	switch {
	case n.stage == stageReady && n.spec.over == UDP:
		n.sendBeat(now)
	case n.stage == stageReady:
		if m := n.ledger.Heartbeat(0); m != nil {
			n.send(0, m)
			n.sh.counts.Heartbeats++
		}
	case now-n.since > answerLimit:
		n.sh.run.judge.Broken(judge.Unanswered, "%s: no answer to its hello or registration in 30 s", n.spec.id)
		n.drop(now)
		return
	}
	if len(n.ends) > 0 && now-n.ends[0].sent > answerLimit {
		n.sh.run.judge.Broken(judge.Unanswered, "%s: the end of lease %v was not acknowledged in 30 s", n.spec.id, n.ends[0].lease)
		n.drop(now)
	}
}

// begin implements link: the ledger decides.
func (n *native) begin(now int64, h *wire.Handover, caller string) error {
	report, err := n.ledger.Begin(h, caller)
	switch {
	case err == nil:
		n.sh.run.judge.Began(n.index, h.Lease)
		n.start(now, h.Lease)
		if report != nil {
			n.send(0, report)
		}
		return nil
	case errors.Is(err, ledger.ErrFull):
		n.sh.run.judge.Full(n.index, h.Lease)
		if end := n.ledger.Refused(); end != nil {
			n.sendEnd(now, end)
		}
	}
	n.sh.counts.BeginRefused++
	n.tidy(now)
	return err
}

// ended implements link.
func (n *native) ended(now int64, id wire.LeaseID, outcome wire.Reason) {
	report, err := n.ledger.End(id, outcome)
	if err == nil && report != nil {
		n.sendEnd(now, report)
	}
	n.tidy(now)
}

// crash implements link. A worker that keeps its tasks comes back as a new
// incarnation that runs them.
func (n *native) crash(now int64, keep bool) {
	if n.conn != nil {
		n.conn.Close()
		n.conn, n.stage = nil, stageDown
		n.sh.counts.Reconnects++
	}
	n.life++
	n.ends = n.ends[:0]
	old := n.ledger
	n.reset()
	if keep {
		n.restore(old)
	} else {
		n.lose()
	}
	n.failures = 0
	n.later(now)
}

// restore takes over what the ledger of the former incarnation knew durably.
func (n *native) restore(old *ledger.Ledger) {
	for record, caller := range old.All() {
		if err := n.ledger.Restore(*record, caller); err != nil {
			panic("loadtest: a list that one ledger held does not fit into another: " + err.Error())
		}
	}
}

// quit implements link.
func (n *native) quit() {
	n.quitting = true
	if m := n.ledger.Deregister(); m != nil {
		n.call(m)
		return
	}
	if n.conn != nil {
		n.conn.Close()
		n.conn = nil
	}
	n.life++
	n.sh.run.gone.Add(1)
}

// unacknowledged implements link.
func (n *native) unacknowledged() int { return n.ledger.Unacknowledged() }
