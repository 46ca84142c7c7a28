package agent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

// conflictWindow is how soon after one new incarnation the need for another
// means that two agents speak for one worker.
const conflictWindow = 10 * time.Second

// errConflict makes two agents with one worker id take turns slowly.
var errConflict = errors.New("agent: another agent registers as this worker")

// errOlder says that a scheduler answered that a newer one has replaced.
var errOlder = errors.New("agent: this scheduler is older than the one that was promised")

// refusal is a registration that the scheduler refused.
type refusal struct{ cause *wire.Error }

func (r *refusal) Error() string {
	return "agent: the scheduler refuses this worker: " + r.cause.Error()
}

func (r *refusal) Unwrap() error { return r.cause }

// native is the side that speaks leases. Its fields below agent are guarded by
// the agent's lock.
type native struct {
	agent *Agent
	addrs []string
	store *store // nil without a state directory

	identity  identity
	ledger    *ledger.Ledger
	session   *session // nil while there is no connection
	drawn     time.Time
	lastError string
	lastKind  string       // of failure: the same is logged once
	blocked   bool         // datagrams are not acknowledged: heartbeats go over TCP
	contact   atomic.Int64 // when the scheduler was last heard, as now told; 0: never
}

// newNative builds the side and takes over what the state directory lists.
func newNative(a *Agent, addrs []string) (*native, error) {
	c := &a.cfg
	c.VisibleDevices = c.names()
	n := &native{agent: a, addrs: addrs, identity: newIdentity(c.Worker, addrs), lastError: "not connected yet"}
	if c.StateDir == "" {
		n.newLedger()
		return n, nil
	}
	s, cut, err := openStore(c.StateDir, c.Worker)
	if err != nil {
		return nil, err
	}
	if cut > 0 {
		a.log.Warn("a torn record was cut off the state file", "dir", c.StateDir, "bytes", cut)
	}
	n.store = s
	left := n.leftBehind()
	if err = n.arrange(left); err == nil {
		n.newLedger()
		err = n.restore(left)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return n, nil
}

func (n *native) newLedger() {
	c := &n.agent.cfg
	n.ledger = ledger.New(ledger.Config{
		Worker: c.Worker, Address: c.Address, Tags: c.Tags, Slots: c.Slots,
		Resources: c.Resources, Devices: c.Devices, Incarnation: newIncarnation(),
	})
}

// newIncarnation draws a random number other than 0.
func newIncarnation() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:])
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// isDead reports whether the process that began a lease of an earlier agent
// cannot run any more. Others that it started may.
func (n *native) isDead(k *kept) bool {
	return n.agent.cfg.TasksDieWithAgent || k.watch.PID != 0 && k.watch.process.dead()
}

// restore takes over the leases of an earlier agent: those whose task is dead
// are lost, the others run on. left are the leases of which processes live.
func (n *native) restore(left map[wire.LeaseID]bool) error {
	a := n.agent
	for id, k := range n.store.leases {
		r := k.handover.Record()
		dead := n.isDead(k)
		if r.Outcome = k.outcome; r.Outcome == wire.ReasonNone && dead && !left[id] {
			r.Outcome = wire.ReasonLost
		}
		if err := n.ledger.Restore(r, k.watch.Token); err != nil {
			return fmt.Errorf("agent: lease %v of the state directory: %w", id, err)
		}
		if r.Outcome == wire.ReasonNone {
			t := a.add(k.handover, k.watch)
			if dead {
				t.finish(wire.ReasonLost, time.Now())
			}
		}
	}
	for r := range n.ledger.All() {
		if r.Outcome != wire.ReasonNone && n.store.leases[r.Lease].outcome == wire.ReasonNone {
			n.store.ended(r.Lease, r.Outcome)
		}
	}
	if len(n.store.leases) == 0 {
		return nil
	}
	a.log.Info("leases of an earlier agent", "running", len(a.tasks), "ended", n.ledger.Unacknowledged())
	return nil
}

// leftBehind returns the leases in the store of which processes live.
func (n *native) leftBehind() map[wire.LeaseID]bool {
	left := make(map[wire.LeaseID]bool)
	s, err := look()
	if err != nil {
		return left
	}
	roots := make(map[process]bool)
	for _, k := range n.store.leases {
		roots[k.watch.process] = true
	}
	for id, k := range n.store.leases {
		own := k.watch.PID == 0 || k.watch.Here || s.above(k.watch.PID, os.Getpid())
		left[id] = !own && k.outcome == wire.ReasonNone && len(newTree(&k.watch).members(s, roots)) > 0
	}
	return left
}

func (n *native) begin(h *wire.Handover, w *watch) (uint64, error) {
	runs := n.ledger.Runs(h.Lease)
	m, err := n.ledger.Begin(h, w.Token)
	if errors.Is(err, ledger.ErrFull) {
		n.sendEnd(n.ledger.Refused())
	}
	if err != nil {
		n.renewIfFull()
		return 0, err
	}
	if !runs && m != nil {
		n.send(m)
	}
	return n.store.begun(h, w), nil
}

func (n *native) settle(mark uint64) error { return n.store.sync(mark) }

func (n *native) end(k key, outcome wire.Reason) error {
	m, err := n.ledger.End(k.lease, outcome)
	if err != nil {
		return err
	}
	n.store.ended(k.lease, outcome)
	n.sendEnd(m)
	n.renewIfFull()
	return nil
}

func (n *native) status(s *Status) {
	s.Connected = n.ledger.Connected()
	s.Grantor = n.ledger.Promised()
	s.Incarnation = n.ledger.Incarnation()
	s.Unacknowledged = n.ledger.Unacknowledged()
	s.Refused = n.ledger.Refusals()
	s.LastError = n.lastError
	s.HeartbeatBy = ByTCP
	if at := n.contact.Load(); at != 0 {
		s.LastContact = started.Add(time.Duration(at))
	}
	if n.session != nil {
		s.Scheduler, s.Interval = n.session.addr, n.session.life.every()
		if n.session.beats != nil && !n.blocked {
			s.HeartbeatBy = ByUDP
		}
	}
}

// renewIfFull draws a new incarnation when the present one can remember no
// more, and registers it if there is a connection.
func (n *native) renewIfFull() {
	if !n.ledger.MemoryFull() {
		return
	}
	n.draw()
	if n.session != nil {
		n.session.register()
	}
}

// draw starts a new incarnation.
func (n *native) draw() {
	n.drawn = time.Now()
	n.ledger.Superseded(newIncarnation())
}

// drawnLately reports whether the present incarnation has only just begun.
func (n *native) drawnLately() bool {
	return !n.drawn.IsZero() && time.Since(n.drawn) < conflictWindow
}

// send sends a report that has no answer.
func (n *native) send(m wire.Message) {
	if n.session != nil {
		n.session.report(m)
	}
}

// sendEnd sends the end of a lease, if the ledger made one.
func (n *native) sendEnd(m *wire.End) {
	if m != nil && n.session != nil {
		n.session.end(m)
	}
}

// run keeps a connection to one of the schedulers until the context ends.
func (n *native) run(ctx context.Context) {
	for fails, turn := 0, 0; ctx.Err() == nil; turn++ {
		lived, err := n.connect(ctx, n.addrs[turn%len(n.addrs)])
		if ctx.Err() != nil {
			return
		}
		fails++
		if lived {
			fails, turn = 0, turn-1
		}
		if !sleep(ctx, n.pause(fails, err)) {
			return
		}
	}
}

// sameFailure reports whether two errors differ by nothing but a local port.
func sameFailure(a, b string) bool { return wire.WithoutLocalEnds(a) == wire.WithoutLocalEnds(b) }

// pause says how long to wait after a failure, and logs it unless it is the
// same as before.
func (n *native) pause(fails int, err error) time.Duration {
	a := n.agent
	a.mu.Lock()
	var refused *refusal
	kind := err.Error()
	if errors.As(err, &refused) { // its sentence tells times
		kind = refused.cause.Code.String() + " " + refused.cause.Field
	}
	repeated := n.lastError != "" && sameFailure(n.lastKind, kind)
	n.lastError, n.lastKind = err.Error(), kind
	a.mu.Unlock()
	switch {
	case repeated:
	case refused != nil:
		a.log.Warn("the scheduler refuses this worker; it is tried again", "scheduler", n.addrs, "reason", refused.cause.Code.String(), "error", refused.cause.Message)
	default:
		a.log.Warn("no connection to the scheduler", "error", err)
	}
	var e *wire.Error
	switch {
	case errors.Is(err, errConflict):
		return a.cfg.backoff(math.MaxInt)
	case errors.As(err, &e): // it is there, and will say the same again
		return min(time.Duration(e.RetryAfterMS)*time.Millisecond, maxBackoff) + a.cfg.backoff(steadyFails+fails)
	}
	return a.cfg.backoff(fails)
}

func (n *native) leave(ctx context.Context, remain bool) {
	a := n.agent
	a.mu.Lock()
	s := n.session
	n.identity.release()
	var last wire.Message = &wire.Ping{}
	if !remain {
		m := n.ledger.Deregister()
		if m == nil {
			s = nil
		}
		last = m
	}
	a.mu.Unlock()
	if s == nil {
		return
	}
	read := make(chan struct{})
	if s.conn.Go(last, func(wire.Message, error) { close(read) }) != nil {
		return
	}
	select {
	case <-read:
	case <-ctx.Done():
	}
}

func (n *native) close() error {
	n.agent.mu.Lock()
	n.identity.release()
	n.agent.mu.Unlock()
	return n.store.close()
}
