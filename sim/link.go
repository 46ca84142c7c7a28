package sim

import (
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// peer is one end of a connection that is not the scheduler.
type peer interface {
	name() string
	// receive handles a message; it keeps no byte of it.
	receive(l *link, request uint64, m wire.Message)
	// lost says that the connection is gone. The link is still the peer's.
	lost(l *link)
	// tasksOf returns the tasks that a request asks a place for.
	tasksOf(l *link, request uint64) []*task
	// busyUntil is until when the peer stands still.
	busyUntil() sched.Time
}

// frame is one message on its way. If it grants leases, answers say to whom.
type frame struct {
	bytes   []byte
	answers []*answer
}

// answer is a lease on its way to a task that asked for it.
type answer struct {
	lease *lease
	task  *task
}

// link is one connection of a peer to one life of the scheduler. Each
// direction is in order.
type link struct {
	session  sched.Session
	host     *host
	peer     peer
	up, down []frame
	upAt     sched.Time // when the last message up arrives
	downAt   sched.Time
	holdUp   sched.Time // nothing arrives before: the rest of a broken connection
	peerOpen bool       // the peer still uses it
	hostOpen bool       // the scheduler was not told of its end
	dead     bool       // it carries nothing, and nobody has noticed yet

	calls map[uint64]call // of a client, not answered yet, by request; never walked
}

// arrived says that the answers of a frame are not under way any more.
func (f *frame) arrived() {
	for _, a := range f.answers {
		a.lease.answers = slices.DeleteFunc(a.lease.answers, func(o *answer) bool { return o == a })
	}
}

// dial opens a connection to the present scheduler.
func (w *World) dial(p peer) *link {
	l := &link{session: sched.Session(len(w.links) + 1), host: w.host, peer: p, peerOpen: true, hostOpen: true}
	w.links = append(w.links, l)
	w.live = append(w.live, l)
	return l
}

// sendUp sends a message to the scheduler. On a broken connection it is lost.
func (w *World) sendUp(l *link, request uint64, m wire.Message) {
	if l == nil || !l.peerOpen {
		return
	}
	w.sendRaw(l, w.encode(request, m))
}

// sendRaw sends an encoded message to the scheduler.
func (w *World) sendRaw(l *link, bytes []byte) {
	if l.host != w.host || !l.hostOpen || l.dead {
		w.counts[fault.Lost]++
		return
	}
	l.up = append(l.up, frame{bytes: bytes})
	if w.auto {
		l.upAt = max(l.upAt, w.now+w.delay())
		w.at(l.upAt, func() { w.deliverUp(l) })
	}
}

// sendDown sends a message to the peer.
func (w *World) sendDown(l *link, request uint64, m wire.Message, answers []*answer) {
	if !l.peerOpen || l.dead {
		w.counts[fault.Lost]++
		return
	}
	for _, a := range answers {
		a.lease.answers = append(a.lease.answers, a)
	}
	l.down = append(l.down, frame{w.encode(request, m), answers})
	if w.auto {
		l.downAt = max(l.downAt, w.now+w.delay())
		w.at(l.downAt, func() { w.deliverDown(l) })
	}
}

// encode returns the frame of a message, in memory that is used again.
func (w *World) encode(request uint64, m wire.Message) []byte {
	var b []byte
	if n := len(w.pool); n > 0 {
		b, w.pool = w.pool[n-1], w.pool[:n-1]
	}
	return wire.Append(b, request, m)
}

// scribble spoils a frame whose message was handled: whoever kept a piece of
// it is found out.
func (w *World) scribble(b []byte) {
	for i := range b {
		b[i] = 0xA5
	}
	w.pool = append(w.pool, b[:0])
}

// deliverUp lets the next message of a link reach the scheduler. It reports
// whether there was one.
func (w *World) deliverUp(l *link) bool {
	if wait := max(l.holdUp, l.host.pausedUntil); wait > w.now && w.auto {
		w.await(wait, func() { w.deliverUp(l) })
		return false
	}
	if len(l.up) == 0 || l.host != w.host || !l.hostOpen {
		return false
	}
	f := l.up[0]
	l.up = l.up[1:]
	if !l.peerOpen {
		w.counts[fault.Late]++
	}
	w.trace.number(uint64(l.session))
	w.trace.bytes(f.bytes)
	request, m, ok := w.decode(&w.host.dec, f.bytes)
	if !ok {
		return false
	}
	if w.trace.out != nil {
		w.say("%s -> scheduler  %s", l.label(), describe(m))
	}
	w.apply(l, request, m, f.bytes)
	return true
}

// deliverDown lets the next message of a link reach the peer. It reports
// whether there was one.
func (w *World) deliverDown(l *link) bool {
	if wait := l.peer.busyUntil(); wait > w.now && w.auto {
		w.await(wait, func() { w.deliverDown(l) })
		return false
	}
	if len(l.down) == 0 || !l.peerOpen {
		return false
	}
	f := l.down[0]
	l.down = l.down[1:]
	f.arrived()
	w.trace.number(uint64(l.session) | 1<<63)
	w.trace.bytes(f.bytes)
	request, m, ok := w.decode(&w.dec, f.bytes)
	if !ok {
		return false
	}
	if w.trace.out != nil {
		w.say("scheduler -> %s  %s", l.label(), describe(m))
	}
	l.peer.receive(l, request, m)
	w.scribble(f.bytes)
	return true
}

// decode reads one frame, which must be whole and good.
func (w *World) decode(d *wire.Decoder, b []byte) (request uint64, m wire.Message, ok bool) {
	body, n, err := wire.Split(b, wire.MaxFrame)
	if err != nil || n != len(b) {
		w.fail("the codec cut %d of %d bytes of its own frame: %v", n, len(b), err)
		return 0, nil, false
	}
	m, request, err = d.Decode(body)
	if err != nil {
		w.fail("the codec does not read its own frame: %v", err)
		return 0, nil, false
	}
	return request, m, true
}

// hangUp is the end of a connection as its peer sees it. What is on its way
// down is lost; of what is on its way up the first keep messages still arrive,
// not before the given time.
func (w *World) hangUp(l *link, keep int, until sched.Time) {
	if !l.peerOpen {
		return
	}
	l.peerOpen = false
	w.drop(&l.down, 0)
	w.drop(&l.up, keep)
	l.holdUp = until
	if w.auto && !l.dead {
		w.at(max(l.upAt, until)+w.delay(), func() { w.closeHost(l) })
	}
	l.peer.lost(l)
}

// deaden makes a connection carry nothing, in either direction, until its ends
// notice.
func (w *World) deaden(l *link) bool {
	if l == nil || l.dead {
		return false
	}
	w.say("the connection of %s is dead", l.label())
	l.dead = true
	w.drop(&l.down, 0)
	w.drop(&l.up, 0)
	w.after(w.between(1000, maxLate), func() {
		l.dead = false
		w.hangUp(l, 0, w.now)
		w.closeHost(l)
	})
	return true
}

// quit is a peer that closes its connection: what it sent still arrives.
func (w *World) quit(l *link) {
	if l != nil {
		w.hangUp(l, len(l.up), w.now)
	}
}

// drop loses all messages but the first keep.
func (w *World) drop(q *[]frame, keep int) {
	keep = min(keep, len(*q))
	for _, f := range (*q)[keep:] {
		w.counts[fault.Lost]++
		f.arrived()
		w.scribble(f.bytes)
	}
	*q = (*q)[:keep]
}

// closeHost tells the scheduler that a connection is gone. What had not
// arrived by then is lost.
func (w *World) closeHost(l *link) {
	if !l.hostOpen {
		return
	}
	l.hostOpen = false
	w.drop(&l.up, 0)
	w.forgetLink(l)
	if l.host == w.host {
		w.say("scheduler: the connection of %s is gone", l.label())
		w.closeSession(l)
	}
}

// forgetLink takes a link out of those that may carry messages.
func (w *World) forgetLink(l *link) {
	for i, o := range w.live {
		if o == l {
			w.live = append(w.live[:i], w.live[i+1:]...)
			return
		}
	}
}

func (l *link) label() string {
	if l.peerOpen {
		return l.peer.name()
	}
	return l.peer.name() + " (old connection)"
}
