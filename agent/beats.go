package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Heartbeat intervals of a worker whose heartbeats are datagrams.
const (
	// restIntervals is how long the TCP connection may be silent while datagrams
	// are acknowledged; a ping is sent halfway.
	restIntervals = 20
	// probeIntervals is how often a datagram tries whether they pass again.
	probeIntervals = 20
	// resyncIntervals is how often a worker whose datagrams do not pass registers
	// again, which tells the scheduler their numbers: forged ones may have used
	// greater ones.
	resyncIntervals = 200
)

// beats sends the heartbeats of one session as datagrams and reads what
// acknowledges them. The fields below conn are guarded by the agent's lock.
//
// Two datagrams in a row without an answer have a heartbeat go over TCP as
// well. After silentIntervals of them the worker registers again, with the
// number of its last datagram; if that many more are not answered, none gets
// through, and the heartbeats go over TCP until an occasional datagram is
// acknowledged.
type beats struct {
	session *session
	conn    net.Conn

	buf         []byte // of the sender alone
	first, last uint32 // numbers of the beats that may still be acknowledged; 0 for none
	unanswered  int    // beats behind the last one that was acknowledged
	answered    bool   // one was, since the registration
	tried       bool   // none was between the registration before and this one
	strange     bool   // another grantor acknowledged since one was
	ticks       int    // heartbeats since the registration
	due         bool   // the worker will soon register again
}

// openBeats opens a socket to the address that the session is connected to.
// Without one it returns nil, and the heartbeats of the session go over TCP.
func openBeats(ctx context.Context, s *session) *beats {
	c, err := s.native.agent.cfg.dial(ctx, "udp", s.life.RemoteAddr().String())
	if err != nil {
		s.native.agent.log.Warn("heartbeats go over TCP: no socket for datagrams", "error", err)
		return nil
	}
	b := &beats{session: s, conn: c}
	s.native.agent.wg.Go(b.read)
	return b
}

// close ends read.
func (b *beats) close() {
	if b != nil {
		b.conn.Close()
	}
}

// plan says how the next heartbeat travels. The lock is held.
func (b *beats) plan() (tcp, udp bool) {
	if b == nil {
		return true, false
	}
	b.ticks++
	switch {
	case b.session.native.blocked:
		if b.ticks > resyncIntervals {
			b.again()
		}
		return true, b.ticks%probeIntervals == 1
	case b.unanswered < silentIntervals:
	case b.answered || !b.tried:
		b.again()
	default:
		b.block(true)
		return true, false
	}
	return b.unanswered >= silentIntervals-1, true
}

// next counts a beat that is sent now, and returns its bytes. The lock is held.
func (b *beats) next(m *wire.Beat) []byte {
	if b.first == 0 {
		b.first = m.Seq
	}
	b.last = m.Seq
	b.unanswered++
	b.buf = wire.AppendDatagram(b.buf[:0], 0, m)
	return b.buf
}

// send sends a datagram. One that cannot be sent is as good as lost.
func (b *beats) send(datagram []byte) {
	b.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	b.conn.Write(datagram)
}

// settled starts the count anew when the worker has registered. The lock is
// held.
func (b *beats) settled() {
	if b != nil {
		b.tried = b.ticks > 0 && !b.answered
		b.first, b.last, b.unanswered, b.answered, b.ticks = 0, 0, 0, false, 0
	}
}

// read takes acknowledgements until the socket is closed. Any other
// datagram is ignored: its sender is not known.
func (b *beats) read() {
	var d wire.Decoder
	buf := make([]byte, wire.MaxDatagram)
	for {
		n, err := b.conn.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // the answer to one datagram: no socket listens
		}
		if err != nil {
			return
		}
		if m, _, err := d.Decode(buf[:n]); err == nil {
			if ack, ok := m.(*wire.BeatAck); ok {
				b.acknowledged(ack)
			}
		}
	}
}

// acknowledged reads one acknowledgement. One that names another grantor shows
// that the datagrams reach another scheduler, and acknowledges nothing here: the
// worker registers again, once.
func (b *beats) acknowledged(ack *wire.BeatAck) {
	n := b.session.native
	n.agent.mu.Lock()
	defer n.agent.mu.Unlock()
	if n.session != b.session || !n.ledger.Connected() || b.first == 0 || ack.Seq < b.first || ack.Seq > b.last {
		return
	}
	if ack.Grantor.Instance != n.ledger.Promised().Instance { // its epoch may have risen since
		if !b.strange {
			b.strange = b.again()
		}
		return
	}
	b.first = ack.Seq + 1
	b.unanswered, b.answered, b.strange = int(b.last-ack.Seq), true, false
	n.contact.Store(int64(now()))
	if n.blocked {
		b.block(false)
	}
	if ack.Connect {
		b.again()
	}
}

// block has the heartbeats go over TCP, or as datagrams again. The lock is held.
func (b *beats) block(blocked bool) {
	n := b.session.native
	n.blocked = blocked
	b.session.life.allow(b.session.patience())
	if blocked {
		n.agent.log.Warn("heartbeats go over TCP: no datagram is acknowledged", "scheduler", b.session.addr)
	} else {
		n.agent.log.Info("heartbeats go by datagram again", "scheduler", b.session.addr)
	}
}

// again has the worker register again within one interval, at a random moment,
// so that a fleet does not do so in step. It reports false if it is too early:
// the worker has registered in the last silentIntervals. The lock is held.
func (b *beats) again() bool {
	if b.ticks < silentIntervals {
		return false
	}
	if !b.due {
		b.due = true
		time.AfterFunc(rand.N(b.session.life.every()), b.register)
	}
	return true
}

// register registers again on the living connection. Whether it does live, the
// answer shows.
func (b *beats) register() {
	n := b.session.native
	n.agent.mu.Lock()
	defer n.agent.mu.Unlock()
	b.due = false
	if n.session == b.session && n.ledger.Connected() {
		n.agent.log.Debug("the worker registers again", "unanswered", b.unanswered)
		if b.unanswered >= silentIntervals {
			n.ledger.SkipBeats()
		}
		b.session.register()
	}
}
