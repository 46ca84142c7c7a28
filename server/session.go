package server

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// session is one connection of the native protocol. Most of a large fleet's memory is
// in them, so flags stand together, and what few sessions need stands apart.
type session struct {
	id   sched.Session // never used again
	conn gnet.Conn
	loop *loop

	source netip.Addr // as which it was admitted

	// The fields below belong to the loop of the connection.

	opened        sched.Time
	heard         sched.Time // when something last came in
	checked       sched.Time // when it was put into the loop's list of quiet sessions
	partial       sched.Time // when the first byte of an unfinished frame came
	before, after *session   // in that list; nil at its ends
	need          int32      // bytes until the next frame is complete
	held          int32      // bytes left over, as counted in Server.input

	wrote    uint64     // bytes handed to gnet
	drained  uint64     // of them gone to the kernel
	moved    sched.Time // when drained grew, or the first byte began to wait
	buffered int        // bytes that wait in gnet, as counted in Server.output

	parked *parked // the frame that is with the lane: no further one is taken; else nil

	helloed bool // hello was accepted
	closing bool // nothing more is read; the connection is about to close
	closed  bool // OnClose ran
	watched bool // stands in the loop's watch list
	armed   bool // another OnTraffic was asked for
	more    bool // complete frames are left over
	quiet   bool // stands in the loop's list of quiet sessions
	probed  bool // a probe was sent since heard
	halfway bool // partial is set

	// The fields below are guarded by core.mu.

	listed   bool   // stands in the courier's list
	overflow bool   // too much waits: the connection closes
	pending  []byte // frames that wait for the courier
	inflight int    // bytes that the courier handed over and gnet has not sent
	job      *job   // the request that is carried out in turns, nil for none
}

// parked is a frame that is with the lane.
type parked struct {
	bytes int
	done  atomic.Bool   // it is answered
	as    request       // what was answered, set before done
	took  time.Duration // the same
}

// job is a request that is carried out in turns.
type job struct {
	request uint64
	settled []byte // frames that follow its answer
}

// lengthBytes is the size of a frame's length.
const lengthBytes = 4

// limit is the size of the largest frame that s may send now.
func (s *session) limit() int {
	if s.helloed {
		return wire.MaxFrame
	}
	return wire.MaxFrameBeforeHello
}

// expect notes how many bytes the frame at the start of rest needs. A length
// that is out of bounds needs no more than itself: it is refused at once.
func (s *session) expect(rest []byte) {
	s.need = lengthBytes
	if len(rest) < lengthBytes {
		return
	}
	n := uint32(rest[0])<<24 | uint32(rest[1])<<16 | uint32(rest[2])<<8 | uint32(rest[3])
	if n <= uint32(s.limit()) {
		s.need += int32(n)
	}
}

// woken runs on the loop after the OnTraffic that the courier asked for.
func (s *session) woken(gnet.Conn, error) error {
	s.armed = false
	if s.more && !s.closed && (s.parked == nil || s.parked.done.Load()) {
		s.armed = true
		s.loop.srv.core.courier.rearm(s)
	}
	return nil
}

// closes reports whether an error of this code ends the connection.
func closes(c wire.Code) bool {
	switch c {
	case wire.CodeBadFrame, wire.CodeFrameTooLarge, wire.CodeProtocol, wire.CodeUnsupportedVersion,
		wire.CodeUnauthorized, wire.CodeSlowConsumer, wire.CodeTimeout:
		return true
	}
	return false
}
