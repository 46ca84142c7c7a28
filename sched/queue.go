package sched

import (
	"bytes"
	"slices"

	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// queue holds the tasks that wait for capacity, and what is under way for them. Their
// order is that of package waitlist.
type queue struct {
	list    waitlist.List
	waiters ds.Chunks[waiter]
	free    []int32          // slots of waiters
	gangs   int              // waiters that are gangs
	classed [classes]int     // tasks, by class
	byKey   map[uint64]int32 // the first waiter of each hash of client and key; slot + 1
	waits   ds.Wheel         // when waits are over

	needs        ds.Chunks[needs] // by the slot of their class
	freeNeeds    []int32
	ownerRefusal wire.Error

	freed     []int32 // workers whose free capacity may have grown since serve looked
	undecided bool    // so is that of a gang
	cut       bool    // the walk through the queue goes on in the next pulse, with
	marked    int     // how many of freed classes were marked for,
	left      int     // how many marked classes there may be capacity for,
	flagged   int     // how many of freed may have been passed by
	until     int     // what turnLeft is when the present event has done enough for those who wait
	work      int     // serveWork, smaller in tests
	found     []int32 // waiters whose task turned out to run
	closed    []int32 // waiters of closed sessions, the first of each; slot + 1
	round     uint64  // of serve

	shaken   bool    // a preemption may have become hopeless
	takenOut uint64  // list.TakenOut when that was last looked at
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
	waitlist.Waiter
	body      []byte // task, owner, group, key, one behind the other
	gang      *gang  // nil: one task
	session   Session
	request   uint64
	content   uint64
	hash      uint64 // of client and key; 0: it has none
	arrived   Time
	over      Time  // when its wait is over
	later     int32 // the next of its session; slot + 1
	earlier   int32
	same      int32 // the next of the same hash; slot + 1
	client    int32
	ttl       uint32
	index     uint32 // its place in a batch + 1; 0: it came alone
	bypassed  uint32
	taskLen   uint8
	ownerLen  uint8
	groupLen  uint8
	keyLen    uint8 // 0: the task id is the key
	onPreempt wire.OnPreempt
	preempt   bool // tasks of a lower priority are to make room
	claimed   bool // some do
	mute      bool // it was requeued, and nobody has asked for it since
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

// waits reports whether the record is of a waiter.
func (w *waiter) waits() bool { return w.Bucket != nil }

func (w *waiter) class() class { return classOf(w.Priority()) }

func newQueue(cfg *Config) queue {
	return queue{list: waitlist.New(cfg.MaxOwnerLeases), work: serveWork, byKey: map[uint64]int32{}, ownerRefusal: wire.Error{
		Code: wire.CodeOwnerLimit, Field: "owner", Limit: uint64(cfg.MaxOwnerLeases), Message: wire.CodeOwnerLimit.Sentence()}}
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

// add puts a waiter, whose texts and numbers are set, into the queue: at the end of
// its bucket, or if it came before, as Number and arrived say, where it was.
func (s *State) add(w waiter, priority int32, c *waitlist.Class) int32 {
	q := &s.queue
	slot := int32(q.waiters.Len())
	if n := len(q.free); n > 0 {
		slot, q.free = q.free[n-1], q.free[:n-1]
	} else {
		q.waiters.Grow(int(slot) + 1)
	}
	if w.Number == 0 {
		w.arrived = s.now
	}
	p := q.at(slot)
	*p = w
	p.Slot = slot
	q.list.Add(&p.Waiter, priority, p.owner(), c)
	q.seekFor(p, s.now)
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
	if p.gang != nil {
		q.gangs++
	}
	q.classed[classOf(priority)] += p.size()
	return slot
}

// leave takes a waiter out of the queue.
func (s *State) leave(slot int32) {
	q := &s.queue
	w := q.at(slot)
	reserved := s.reservedFor(slot)
	q.waits.Remove(slot)
	q.unkey(slot)
	s.unlinkSession(slot)
	if w.gang != nil {
		q.gangs--
	}
	q.classed[w.class()] -= w.size()
	c := w.Bucket.Class
	if q.list.Remove(&w.Waiter) {
		s.dropNeeds(c.Slot)
	}
	s.clients.list[w.client].waiting--
	s.clients.drop(w.client)
	*w = waiter{}
	q.free = append(q.free, slot)
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
