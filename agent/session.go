package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// Times of a connection.
const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	// silentIntervals is how many heartbeat intervals without a byte from the
	// scheduler end the connection; a ping is sent halfway.
	silentIntervals = 3
)

// session is one connection to a scheduler. Its fields below addr are guarded by
// the agent's lock, except life, which looks after itself.
type session struct {
	native *native
	addr   string
	life   *lifeline
	conn   *client.Conn

	beats *beats                  // nil: heartbeats are no datagrams
	ends  map[wire.LeaseID]uint64 // ends on their way, by the tick they were sent at
	ticks uint64

	asking bool // whether the scheduler has anything left for the worker; see Drain
	empty  bool // its last answer: no
}

// connect serves one connection until it breaks or the context ends. lived
// reports that it was of use: the worker was registered for a while.
func (n *native) connect(ctx context.Context, addr string) (lived bool, err error) {
	a := n.agent
	nc, err := a.cfg.dial(ctx, "tcp", addr)
	if err != nil {
		return false, err
	}
	s := &session{native: n, addr: addr, life: &lifeline{Conn: nc, contact: &n.contact}, ends: make(map[wire.LeaseID]uint64)}
	hello := &wire.Hello{Role: wire.RoleAgent, Client: a.cfg.Worker, Token: a.cfg.Token}
	s.conn, err = client.NewConn(ctx, s.life, hello, s.push)
	if err != nil {
		return false, err
	}
	s.life.watch(n.interval(s.conn.Welcome().HeartbeatMS), silentIntervals)
	if a.cfg.HeartbeatBy == ByUDP {
		s.beats = openBeats(ctx, s)
		defer s.beats.close()
	}
	a.mu.Lock()
	n.session = s
	s.register()
	a.mu.Unlock()

	lived = s.serve(ctx)
	err = s.conn.Err()
	a.mu.Lock()
	n.session = nil
	n.ledger.Disconnected()
	a.mu.Unlock()
	return lived, err
}

// interval returns how often to report, given the scheduler's wish.
func (n *native) interval(ms uint32) time.Duration {
	wish := min(max(time.Duration(ms)*time.Millisecond, MinHeartbeat), MaxHeartbeat)
	if ms == 0 {
		wish = defaultHeartbeat
	}
	if own := n.agent.cfg.Heartbeat; own != 0 {
		return min(own, wish)
	}
	return wish
}

// serve reports at every interval until the connection ends.
func (s *session) serve(ctx context.Context) (lived bool) {
	timer := time.NewTimer(jitter(s.life.every()))
	defer timer.Stop()
	for {
		select {
		case <-s.conn.Gone():
			return lived
		case <-ctx.Done():
			s.conn.Abort(ctx.Err())
			<-s.conn.Gone()
			return lived
		case <-timer.C:
			lived = s.tick() || lived
			timer.Reset(jitter(s.life.every()))
		}
	}
}

// tick reports that the worker lives, repeats ends that were not acknowledged,
// and asks a silent scheduler for a sign. It reports whether the worker is
// registered. An answer to the registration that does not come counts as
// silence.
func (s *session) tick() (registered bool) {
	registered, datagram := s.beat(s.native.agent.external())
	if datagram != nil {
		s.beats.send(datagram)
	}
	return registered
}

// beat does what tick does, but for the datagram that is to be sent without the
// lock.
func (s *session) beat(external uint32) (registered bool, datagram []byte) {
	n := s.native
	n.agent.mu.Lock()
	defer n.agent.mu.Unlock()
	n.ledger.SetExternal(external)
	if !n.ledger.Connected() {
		return false, nil
	}
	s.ticks++
	tcp, udp := s.beats.plan()
	if tcp {
		s.report(n.ledger.Heartbeat(external))
	}
	if udp {
		datagram = s.beats.next(n.ledger.Beat(external))
	}
	for _, at := range s.ends {
		if s.ticks-at >= silentIntervals {
			s.repeatEnds()
			break
		}
	}
	if s.life.quiet() {
		s.failed(s.conn.Go(&wire.Ping{}, func(wire.Message, error) {}))
	}
	return true, datagram
}

func (s *session) repeatEnds() {
	clear(s.ends)
	for _, m := range s.native.ledger.Resend() {
		s.end(m)
	}
}

// patience returns how many intervals the connection may be silent.
func (s *session) patience() int {
	if s.beats != nil && !s.native.blocked {
		return restIntervals
	}
	return silentIntervals
}

// register sends the registration of the present incarnation. The lock is held.
func (s *session) register() {
	s.life.allow(silentIntervals)
	s.native.ledger.Identify(s.native.identity.number())
	m := s.native.ledger.Register()
	clear(s.ends)
	incarnation := m.Incarnation
	s.failed(s.conn.Go(m, func(answer wire.Message, err error) { s.registered(incarnation, answer, err) }))
}

// registered reads the answer to a registration.
func (s *session) registered(incarnation uint64, answer wire.Message, err error) {
	n := s.native
	n.agent.mu.Lock()
	defer n.agent.mu.Unlock()
	if n.session != s {
		return
	}
	if n.ledger.Incarnation() != incarnation {
		s.refusedBefore(err)
		return
	}
	if err != nil {
		if tooHigh(err) && !n.drawnLately() { // from a scheduler that does not send superseded before it
			n.draw()
		}
		if e, ok := err.(*wire.Error); ok {
			err = &refusal{cause: e}
		}
		s.conn.Abort(err)
		return
	}
	m, ok := answer.(*wire.Registered)
	if !ok {
		s.read(answer)
		return
	}
	reports, ok := n.ledger.Registered(m)
	if !ok {
		s.conn.Abort(errOlder)
		return
	}
	n.store.forgetIf(func(id wire.LeaseID) bool { r, _ := n.ledger.Record(id); return r == nil })
	s.life.watch(n.interval(m.HeartbeatMS), s.patience())
	s.beats.settled()
	for _, r := range reports {
		if end, ok := r.(*wire.End); ok {
			s.end(end)
		} else {
			s.report(r)
		}
	}
	if n.agent.draining {
		s.drain()
	}
	if n.lastError != "" {
		n.agent.log.Info("registered", "scheduler", s.addr, "epoch", m.Grantor.Epoch, "running", n.ledger.Running())
	}
	n.lastError = ""
}

// tooHigh reports whether the scheduler refused a registration because no epoch
// can follow the one that was promised. A new incarnation promises nothing.
func tooHigh(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && e.Code == wire.CodeBadRequest && e.Field == "epoch"
}

// refusedBefore tells why the scheduler refused an incarnation that is over.
func (s *session) refusedBefore(err error) {
	var e *wire.Error
	if errors.As(err, &e) {
		s.native.agent.log.Warn("the scheduler refused the incarnation before this one", "error", e.Error())
	}
}

// push reads what the scheduler sends unasked.
func (s *session) push(m wire.Message) {
	n := s.native
	n.agent.mu.Lock()
	defer n.agent.mu.Unlock()
	if n.session == s {
		s.read(m)
	}
}

// read handles a message that acknowledges no end. The lock is held.
func (s *session) read(m wire.Message) {
	n := s.native
	switch m := m.(type) {
	case *wire.Revoke:
		if m.Handle != n.ledger.Handle() {
			return
		}
		if answer := n.ledger.Revoke(m.Lease); answer != nil {
			s.report(answer)
		}
		n.renewIfFull()
	case *wire.Preempt:
		n.preempt(m)
	case *wire.Superseded:
		if m.Worker != n.agent.cfg.Worker || m.Incarnation != n.ledger.Incarnation() {
			return
		}
		if n.drawnLately() {
			n.draw()
			s.conn.Abort(errConflict)
			return
		}
		n.draw()
		s.register()
	case *wire.Error:
		if m.Code == wire.CodeNotRegistered {
			s.conn.Abort(fmt.Errorf("agent: the scheduler: %w", m))
			return
		}
		n.agent.log.Warn("the scheduler refused a report", "error", m.Error())
	}
}

// report sends what has no answer. The lock is held.
func (s *session) report(m wire.Message) { s.failed(s.conn.Send(m)) }

// end sends the end of a lease and waits for the acknowledgement. With too many
// on their way it is repeated later. The lock is held.
func (s *session) end(m *wire.End) {
	lease := m.Lease
	err := s.conn.Go(m, func(answer wire.Message, err error) { s.acknowledged(lease, answer, err) })
	s.ends[lease] = s.ticks
	if !errors.Is(err, client.ErrFull) {
		s.failed(err)
	}
}

// acknowledged reads the answer to an end.
func (s *session) acknowledged(lease wire.LeaseID, answer wire.Message, err error) {
	n := s.native
	n.agent.mu.Lock()
	defer n.agent.mu.Unlock()
	if n.session != s {
		return
	}
	if err != nil {
		if e, ok := err.(*wire.Error); ok {
			s.read(e)
		}
		return
	}
	if _, ok := answer.(*wire.Ended); !ok {
		s.read(answer)
		return
	}
	delete(s.ends, lease)
	n.ledger.Ended(lease)
	n.store.forget(lease)
}

// failed ends a connection that takes no more: what was not sent is in the next
// registration.
func (s *session) failed(err error) {
	if err != nil {
		s.conn.Abort(err)
	}
}
