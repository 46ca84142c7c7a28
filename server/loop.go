package server

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Bounds of one wake-up of a loop for one connection.
const (
	// maxFrames is how much is handled before other connections have a turn, in
	// frames; a frame that costs more counts for more.
	maxFrames = 256
	// peekBytes is how much input is looked at in one batch.
	peekBytes = 64 << 10
	// floodBytes of leftovers show a peer that sends faster than its turns
	// come. It then gets floodFrames for each turn, which is at least what one
	// read can bring, so that the rest waits in the kernel and not here.
	// Questions that cost far more than their bytes do not profit.
	floodBytes  = 256 << 10
	floodFrames = peekBytes / 8
	// maxLeftover closes a peer that asks such questions faster than they can
	// be answered.
	maxLeftover = 2 * wire.MaxFrame
	// aheadBytes is how long a frame is that is decoded before the core is locked:
	// a list of leases takes milliseconds.
	aheadBytes = 32 << 10
	// maxScratch is how much memory for answers a loop keeps between batches.
	maxScratch = 1 << 20
)

// loop is what one event loop of gnet owns: scratch memory that no other
// goroutine touches.
type loop struct {
	srv    *Server
	el     gnet.EventLoop
	dec    wire.Decoder
	ahead  decoded // the first frame of the batch, if it is a long one
	out    sched.Outbox
	gone   sched.Outbox // of OnClose, which may run inside a write
	buf    []byte       // answers on their way out
	lines  []registered // what to log after the lock
	logged struct {     // registrations in the second that began at at
		at    sched.Time
		lines int
	}
	watch map[*session]struct{}
	quiet quietList

	metered bool // what the loop does is measured
	meter   batchMeter

	// Of the latest batch:
	began  time.Duration // when it had the core
	waited time.Duration // for the core
	now    sched.Time    // began in the unit of the core
	spent  int           // of its budget
	costly bool          // it held a question that ends the turn
	direct bool          // its answers need not wait for the courier
}

// decoded is a frame that was decoded before the core was locked.
type decoded struct {
	frame   []byte
	m       wire.Message
	request uint64
	err     error
}

// registered is one accepted registration.
type registered struct {
	worker, address string
	slots           uint32
	leases          int
}

func newLoop(srv *Server, el gnet.EventLoop) *loop {
	return &loop{srv: srv, el: el, watch: make(map[*session]struct{}), metered: srv.cfg.measured()}
}

// traffic handles what has come in on s: batch after batch, each with one lock,
// one reading of the clock and one write. What it leaves for the next turn it
// asks the courier to remember.
func (l *loop) traffic(s *session) gnet.Action {
	budget := maxFrames
	if s.conn.InboundBuffered() > floodBytes {
		budget = floodFrames
	}
	advanced := false
	for budget > 0 && !l.unpark(s) {
		avail := s.conn.InboundBuffered()
		if avail < int(s.need) {
			break
		}
		in, err := s.conn.Peek(min(avail, max(int(s.need), peekBytes)))
		if err != nil {
			return gnet.Close
		}
		if !s.helloed && l.turnAway(s, in) {
			return gnet.Close
		}
		used := l.batch(s, in, min(budget, maxFrames))
		if poison := l.srv.hooks.poison; poison != nil {
			poison(in[:used])
		}
		l.report()
		if !l.answer(s) || s.closing {
			return gnet.Close
		}
		if used > 0 {
			_, _ = s.conn.Discard(used)
			advanced = true
		}
		if budget -= l.spent; l.costly {
			break
		}
	}
	return l.leave(s, advanced)
}

// turnAway answers a peer that speaks HTTP or TLS with a sentence.
func (l *loop) turnAway(s *session, in []byte) bool {
	f := recognise(in)
	if f == notForeign {
		return false
	}
	s.closing = true
	_, _ = s.conn.Write([]byte(f.sentence(l.srv.HTTPAddr())))
	l.srv.foreignSeen(f)
	return true
}

// batch takes frames from in until they are handled, or the budget is spent. It
// returns how many bytes it took.
func (l *loop) batch(s *session, in []byte, budget int) (used int) {
	c := l.srv.core
	l.decodeAhead(s, in)
	l.began, l.waited = c.acquire()
	defer c.unlock()
	l.now = coreTime(l.began)
	s.heard = l.now
	l.out.Reset()
	l.costly, l.spent = false, 0
	for l.spent < budget && !s.closing && s.parked == nil && (used == 0 || l.ahead.frame == nil) {
		frame, n, err := wire.Split(in[used:], s.limit())
		if err != nil {
			l.refuse(s, 0, 0, err)
			break
		}
		if frame == nil || len(frame) > aheadBytes && used > 0 {
			break
		}
		used += n
		l.spent += l.handle(s, frame)
	}
	s.expect(in[used:])
	l.direct = !c.courier.holds(s)
	c.route(&l.out, s.id, l.direct)
	return used
}

// decodeAhead decodes the first frame of a batch if it is a long one.
func (l *loop) decodeAhead(s *session, in []byte) {
	l.ahead = decoded{}
	if frame, _, err := wire.Split(in, s.limit()); err == nil && len(frame) > aheadBytes {
		m, request, err := l.dec.Decode(frame)
		l.ahead = decoded{frame, m, request, err}
	}
}

// decode decodes a frame, unless decodeAhead did.
func (l *loop) decode(frame []byte) (m wire.Message, request uint64, err error) {
	if a := &l.ahead; a.frame != nil {
		return a.m, a.request, a.err // it is the first of its batch, and the only one
	}
	return l.dec.Decode(frame)
}

// handle decodes one frame and lets the core apply it. It returns what the
// frame counts for in the budget. The lock is held.
func (l *loop) handle(s *session, frame []byte) int {
	m, request, err := l.decode(frame)
	if err != nil {
		if kind, ok := wire.KindOf(frame); ok && kind >= uint64(wire.FirstAnswer) {
			err = forTheScheduler(strconv.FormatUint(kind, 10))
		}
		l.refuse(s, 0, request, err)
		return 1
	}
	k := m.Kind()
	if err := l.outOfTurn(s, m, k); err != nil {
		l.refuse(s, k, request, err)
		return 1
	}
	if aside(m) && s.helloed {
		l.park(s, frame, k, nil)
		return 1
	}
	before := len(l.out.Items)
	if job := l.srv.core.apply(l.now, s.id, request, m, &l.out); job != nil {
		l.begun(s, request, before)
		l.park(s, frame, k, job)
		return cost(m)
	}
	for i := before; i < len(l.out.Items); i++ {
		l.notice(s, m, &l.out.Items[i])
	}
	if l.metered {
		l.meter.note(requestOf(k, codeOf(k, s.id, request, l.out.Items[before:])))
	}
	l.costly = l.costly || k == wire.KindGetStats
	return cost(m) + l.srv.core.state.Work()/requestWork
}

// begun notes that a request of s goes on in the lane. What the core has settled
// of it already, among the messages from before on, follows the answer.
func (l *loop) begun(s *session, request uint64, before int) {
	s.job = &job{request: request}
	kept := l.out.Items[:before]
	for _, it := range l.out.Items[before:] {
		if it.To == s.id && it.Request == request {
			l.srv.core.send(s, &it)
		} else {
			kept = append(kept, it)
		}
	}
	l.out.Items = kept
}

// forTheScheduler refuses a kind that only the scheduler may send, known and
// well-formed or not.
func forTheScheduler(kind string) *wire.Error {
	return &wire.Error{Code: wire.CodeProtocol, Message: "kind " + kind + " is for the scheduler to send"}
}

// outOfTurn reports why s may not send m now, or nil.
func (l *loop) outOfTurn(s *session, m wire.Message, k wire.Kind) error {
	if k.IsAnswer() {
		return forTheScheduler(k.String())
	}
	hello, isHello := m.(*wire.Hello)
	switch {
	case isHello && s.helloed:
		return &wire.Error{Code: wire.CodeProtocol, Message: "hello comes once, as the first message"}
	case isHello:
		return checkVersion(hello)
	case !s.helloed:
		return &wire.Error{Code: wire.CodeProtocol, Message: "the first message must be hello"}
	case l.srv.core.draining && (k == wire.KindSchedule || k == wire.KindBatch):
		return errStopping
	}
	return nil
}

// notice looks at an answer of the core for what concerns the connection
// itself.
func (l *loop) notice(s *session, m wire.Message, it *sched.Item) {
	if it.To != s.id {
		return
	}
	switch it.Kind {
	case wire.KindHelloOK:
		s.helloed = true
		s.heard = l.now
		l.quiet.add(s, l.now)
		l.srv.core.sessions[s.id] = s
	case wire.KindError:
		if e, ok := it.Other.(*wire.Error); ok && (closes(e.Code) || !s.helloed) {
			s.closing = true
		}
	case wire.KindRegistered:
		if r, ok := m.(*wire.Register); ok {
			l.lines = append(l.lines, registeredBy(r))
		}
	}
}

// refuse answers a message of a kind, 0 if that is not known, with an error that
// the core has no part in. Before hello, and for codes that say so, the
// connection closes after it.
func (l *loop) refuse(s *session, k wire.Kind, request uint64, err error) {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = &wire.Error{Code: wire.CodeBadFrame, Message: err.Error()}
	}
	if l.metered {
		l.meter.note(requestOf(k, e.Code))
	}
	l.out.Items = append(l.out.Items,
		sched.Item{To: s.id, Request: request, Kind: wire.KindError, Other: e})
	if closes(e.Code) || !s.helloed {
		s.closing = true
		l.srv.countClose(e.Code)
	}
}

// requestWork is how many units of the core's work take as long as a request.
const requestWork = 32

// cost is what a message counts for in the budget of a wake-up: about how many
// single requests it keeps the loop from handling.
func cost(m wire.Message) int {
	switch m := m.(type) {
	case *wire.Batch:
		return max(1, len(m.Tasks))
	case *wire.Renew:
		return max(1, len(m.Leases)/4)
	case *wire.Register:
		return 16 + len(m.Leases)
	case *wire.GetStats:
		return 16
	}
	return 1
}

// answer writes what the latest batch has for s itself. It reports false if the
// connection is closed or must be.
func (l *loop) answer(s *session) bool {
	if !l.direct {
		l.measure()
		return !s.closed
	}
	l.encode(s)
	l.measure()
	if len(l.buf) == 0 {
		return true
	}
	ok := l.write(s, l.buf)
	if cap(l.buf) > maxScratch {
		l.buf = nil
	}
	return ok
}

// measure notes how long the latest batch took: until now, when its answers are
// encoded. One that wakes many others is never a small one.
func (l *loop) measure() {
	if !l.metered || l.meter.n == 0 || l.meter.skips(l.began, max(l.spent, len(l.out.Items))) {
		return
	}
	ended := l.srv.core.clock.Since()
	worked := ended - l.began
	if limit := l.srv.cfg.SlowDecision; limit > 0 && worked > limit {
		l.srv.slowDecision(opName(l.meter.kind()), l.spent, worked, "")
	}
	l.meter.finish(l.waited, worked, ended)
}

// encode puts the frames of the latest batch for s into the scratch buffer.
func (l *loop) encode(s *session) {
	l.buf = l.buf[:0]
	for i := range l.out.Items {
		if it := &l.out.Items[i]; it.To == s.id {
			l.buf = wire.Append(l.buf, it.Request, it.Message())
		}
	}
}

// write hands b to the connection of s. It reports false if the connection is
// closed or must be. gnet closes inside a failing write, and OnClose has run
// then.
func (l *loop) write(s *session, b []byte) bool {
	if _, err := s.conn.Write(b); err != nil || s.closed {
		return false
	}
	s.wrote += uint64(len(b))
	return l.account(s)
}

// leave notes what is left over of the input when a turn ends.
func (l *loop) leave(s *session, advanced bool) gnet.Action {
	parked := l.unpark(s)
	rest := s.conn.InboundBuffered()
	total := int32(rest)
	if parked {
		total += int32(s.parked.bytes)
	}
	if total != s.held {
		all := l.srv.input.Add(int64(total - s.held))
		s.held = total
		if all > int64(l.srv.cfg.MaxInput) || rest > maxLeftover {
			return l.fail(s, &wire.Error{Code: wire.CodeBusy, Message: "too much input waits", Limit: maxLeftover})
		}
	}
	s.more = parked || rest >= int(s.need)
	switch {
	case rest == 0 || s.more:
		s.halfway = false
	case advanced:
		s.halfway, s.partial = true, l.now
	case !s.halfway:
		s.halfway, s.partial = true, l.srv.core.clock.now()
	}
	if s.halfway || s.more {
		l.watched(s)
	}
	if s.more && !s.armed && !parked {
		s.armed = true
		l.srv.core.courier.rearm(s)
	}
	return gnet.None
}

// registrationLines is how many registrations a loop logs in a second: all on
// an ordinary day, and a few of the storm after a restart.
const registrationLines = 20

// report logs the registrations of the latest batch.
func (l *loop) report() {
	for _, r := range l.lines {
		if l.now-l.logged.at >= logEvery {
			l.logged.at, l.logged.lines = l.now, 0
		}
		if l.logged.lines++; l.logged.lines > registrationLines {
			if l.logged.lines == registrationLines+1 {
				l.srv.log.Info("many workers register; others of this second are not logged")
			}
			continue
		}
		l.srv.logRegistered(&r)
	}
	clear(l.lines)
	l.lines = l.lines[:0]
}

// registeredBy describes an accepted registration.
func registeredBy(m *wire.Register) registered {
	return registered{strings.Clone(m.Worker), strings.Clone(m.Address), m.Slots, len(m.Leases)}
}

func (s *Server) logRegistered(r *registered) {
	s.log.Info("worker registered", "worker", r.worker, "address", r.address, "slots", r.slots, "leases", r.leases)
}
