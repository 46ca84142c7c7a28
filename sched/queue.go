package sched

import (
	"bytes"
	"slices"

	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/wire"
)

// queue holds the tasks that wait for room. Each stands in a line: those of one
// priority and owner that need the same, the oldest first.
//
//	level (a priority) -> turn (an owner there) -> line -> waiters
//
// Room goes to the first level, in it to the turn that was served least lately,
// and of its lines to the one whose head came first, as far as they fit.
type queue struct {
	waiters ds.Chunks[waiter]
	free    int32        // the free slot to use next, + 1; each names the one behind it by next
	n       int          // waiters
	gangs   int          // of these, gangs
	tasks   int          // the same, each task of a gang counted
	classed [classes]int // of tasks, by class
	last    uint64
	stamp   uint64           // of turns, the last
	levels  []*level         // the highest priority first, each with a round
	byKey   map[uint64]int32 // the first waiter of each hash of client and key; slot + 1
	waits   ds.Wheel         // when waits are over
	owners  ownerTable

	wants     map[string]*want
	all       []*want
	wantBytes int // of their keys
	log       wantLog

	remembered  int    // wants, by all kits
	rememberers []*kit // those that remember some, the one that began first in front

	freed     []int32 // workers that may have got room since serve looked
	undecided bool    // so is that of a gang
	cut       bool    // the walk through the queue goes on in the next pulse, with
	marked    int     // how many of freed wants were marked for,
	left      int     // how many marked wants there may be room for,
	flagged   int     // how many of freed may have been passed by
	until     int     // what turnLeft is when the present event has done enough for those who wait
	work      int     // serveWork, smaller in tests
	found     []int32 // waiters whose task turned out to run
	closed    []int32 // waiters of closed sessions, the first of each; slot + 1
	round     uint64  // of serve

	shaken   bool    // a preemption may have become hopeless
	seeking  int     // waiters that preempt and have no claim
	seekAt   Time    // when they look for victims
	soughtAt Time    // when they did
	look     uint64  // how often they did
	looking  bool    // a look goes on in the next pulse
	fresh    []int32 // waiters that came without a look at all workers

	serving int32 // the slot that is being served, + 1
	keyBuf  []byte
	one     [1]wire.BatchResult
	task    [1]wire.Schedule
}

// waiter is one task that waits, or a gang.
type waiter struct {
	body       []byte // task, owner, group, key, one behind the other
	gang       *gang  // nil: one task
	line       *line
	session    Session
	request    uint64
	number     uint64 // in order of arrival
	content    uint64
	hash       uint64 // of client and key; 0: it has none
	arrived    Time
	over       Time  // when its wait is over
	next, prev int32 // in its line; slot + 1
	later      int32 // the next of its session; slot + 1
	earlier    int32
	same       int32 // the next of the same hash; slot + 1
	client     int32
	ttl        uint32
	index      uint32 // its place in a batch + 1; 0: it came alone
	bypassed   uint32
	place      uint32 // in its line, in order of arrival
	taskLen    uint8
	ownerLen   uint8
	groupLen   uint8
	keyLen     uint8 // 0: the task id is the key
	onPreempt  wire.OnPreempt
	preempt    bool // tasks of a lower priority are to make room
	claimed    bool // some do
	mute       bool // it was requeued, and nobody has asked for it since
	live       bool
}

// gang is what a gang that waits asks for.
type gang struct {
	tasks    []wire.Schedule
	distinct bool
	plan     gangPlan
}

func (w *waiter) task() []byte { return w.body[:w.taskLen] }

func (w *waiter) owner() []byte { return w.body[w.taskLen:][:w.ownerLen] }

func (w *waiter) group() []byte { return w.body[int(w.taskLen)+int(w.ownerLen):][:w.groupLen] }

// idempotency returns the Idempotency-Key, nil if it has none.
func (w *waiter) idempotency() []byte {
	return w.body[int(w.taskLen)+int(w.ownerLen)+int(w.groupLen):][:w.keyLen]
}

// key returns what the waiter is idempotent by.
func (w *waiter) key() []byte {
	if w.keyLen == 0 {
		return w.task()
	}
	return w.idempotency()
}

// size is how many tasks wait together.
func (w *waiter) size() int {
	if w.gang != nil {
		return len(w.gang.tasks)
	}
	return 1
}

// priority is that of the task, or of its gang.
func (w *waiter) priority() int32 { return w.line.turn.level.priority }

func (w *waiter) class() class { return classOf(w.priority()) }

func newQueue(cfg *Config) queue {
	return queue{work: serveWork, byKey: map[uint64]int32{}, wants: map[string]*want{}, owners: newOwnerTable(cfg.MaxOwnerLeases)}
}

// at returns the waiter of a slot.
func (q *queue) at(slot int32) *waiter { return q.waiters.At(slot) }

// waitHash is the hash of a client and a key, never 0.
func (s *State) waitHash(client int32, key []byte) uint64 {
	return hashBytes(s.clients.list[client].hash, key) | 1
}

// waitingFor returns the slot of the waiter of a client with a key.
func (s *State) waitingFor(client int32, key []byte) (int32, bool) {
	q := &s.queue
	if client == noClient || s.clients.list[client].waiting == 0 {
		return 0, false
	}
	for e := q.byKey[s.waitHash(client, key)]; e != 0; {
		w := q.at(e - 1)
		if w.client == client && bytes.Equal(w.key(), key) {
			return e - 1, true
		}
		e = w.same
	}
	return 0, false
}

// add puts a waiter, whose texts and numbers are set, into its line: at the end,
// or if it came before, as number and arrived say, where it was.
func (s *State) add(w waiter, priority int32, g *want) int32 {
	q := &s.queue
	var slot int32
	if q.free != 0 {
		slot = q.free - 1
		q.free = q.at(slot).next
	} else {
		slot = int32(q.waiters.Len())
		q.waiters.Grow(q.waiters.Len() + 1)
	}
	if w.number == 0 {
		q.last++
		w.number, w.arrived = q.last, s.now
	}
	w.live = true
	w.line = q.turnOf(priority, q.owners.of(w.owner())).lineOf(g)
	p := q.at(slot)
	*p = w
	p.line.insert(q, slot)
	q.soughtOn(p, s.now)
	if p.hash != 0 {
		p.same = q.byKey[p.hash]
		q.byKey[p.hash] = slot + 1
	}
	sess := s.sessions[p.session]
	if p.later = sess.waiting; p.later != 0 {
		q.at(p.later - 1).earlier = slot + 1
	}
	sess.waiting = slot + 1
	s.clients.holdAgain(p.client)
	s.clients.list[p.client].waiting++
	q.waits.Set(slot, p.over)
	q.n++
	if p.gang != nil {
		q.gangs++
	}
	q.tasks += p.size()
	q.classed[classOf(priority)] += p.size()
	q.owners.wait(p.line.turn.owner, p.size())
	g.n++
	return slot
}

// leave takes a waiter out of the queue.
func (s *State) leave(slot int32) {
	q := &s.queue
	w := q.at(slot)
	reserved := s.reservedFor(slot)
	if !w.claimed {
		q.soughtOff(w)
	}
	q.waits.Remove(slot)
	q.unkey(slot)
	s.unlinkSession(slot)
	q.owners.wait(w.line.turn.owner, -w.size())
	g, class := w.line.want, w.class()
	w.line.remove(q, slot)
	q.n--
	if w.gang != nil {
		q.gangs--
	}
	q.tasks -= w.size()
	q.classed[class] -= w.size()
	s.clients.list[w.client].waiting--
	s.clients.drop(w.client)
	if g.n--; g.n == 0 {
		s.dropWant(g)
	}
	*w = waiter{next: q.free}
	q.free = slot + 1
	for _, v := range reserved {
		s.unreserve(v)
	}
}

// unkey takes a waiter out of the table of keys.
func (q *queue) unkey(slot int32) {
	w := q.at(slot)
	if w.hash == 0 {
		return
	}
	at := q.byKey[w.hash]
	if at == slot+1 {
		if q.byKey[w.hash] = w.same; w.same == 0 {
			delete(q.byKey, w.hash)
		}
		return
	}
	for q.at(at-1).same != slot+1 {
		at = q.at(at - 1).same
	}
	q.at(at - 1).same = w.same
}

// unlinkSession takes a waiter out of the list of its session.
func (s *State) unlinkSession(slot int32) {
	q := &s.queue
	w := q.at(slot)
	if w.later != 0 {
		q.at(w.later - 1).earlier = w.earlier
	}
	switch {
	case w.earlier != 0:
		q.at(w.earlier - 1).later = w.later
	case s.sessions[w.session] != nil:
		s.sessions[w.session].waiting = w.later
	default:
		i := slices.Index(q.closed, slot+1)
		if q.closed[i] = w.later; w.later == 0 {
			q.closed = slices.Delete(q.closed, i, i+1)
		}
	}
	w.later, w.earlier = 0, 0
}
