package waitlist

import (
	"slices"

	"github.com/dtask/dtask-scheduler/ds"
)

// Band is a priority at which tasks wait.
type Band struct {
	Priority int32
	Seeking  int                              // waiters in its turns that seek
	queues   ds.List[OwnerQueue, *OwnerQueue] // in order of their turns
}

// First returns the owner queue whose turn it is.
func (b *Band) First() *OwnerQueue { return b.queues.First() }

// Last returns the owner queue that was served last.
func (b *Band) Last() *OwnerQueue { return b.queues.Last() }

// OwnerQueue is what waits for one owner at one priority. It takes part in the turns
// of its band while it has a bucket whose head the owner may have a lease for.
type OwnerQueue struct {
	ds.Links[OwnerQueue]
	Owner    *Owner
	Band     *Band
	Turn     uint64                   // grows with each turn that begins or is over
	Seeking  int                      // waiters that seek
	buckets  ds.List[Bucket, *Bucket] // in order of their heads
	byClass  map[*Class]*Bucket
	waiters  int
	inTurn   bool
	returns  uint64 // how often it came back after the owner's limit had kept it out
	unsought bool   // it came back, and was not searched for anywhere since
}

// First returns the bucket whose head arrived first, nil if there is none.
func (q *OwnerQueue) First() *Bucket { return q.buckets.First() }

// Last returns the bucket whose head arrived last.
func (q *OwnerQueue) Last() *Bucket { return q.buckets.Last() }

// InTurn reports whether the owner queue takes part in the turns of its band.
func (q *OwnerQueue) InTurn() bool { return q.inTurn }

// Unsought reports whether there may be capacity for it anywhere: no search was made
// while its owner could have no lease.
func (q *OwnerQueue) Unsought() bool { return q.unsought }

// Bucket is the waiters of an owner queue that are of one class, the oldest first.
type Bucket struct {
	ds.Links[Bucket]
	Queue   *OwnerQueue
	Class   *Class
	Seeking int  // waiters that seek
	Aside   bool // of gangs larger than what the owner may have now
	waiters ds.List[Waiter, *Waiter]
	places  uint32 // that were given
	sought  uint64 // OwnerQueue.returns when it was searched for anywhere
}

// Head returns the oldest waiter.
func (b *Bucket) Head() *Waiter { return b.waiters.First() }

// CanBeServed reports whether the owner may have a lease for the head.
func (b *Bucket) CanBeServed() bool { return !b.Aside && b.Queue.inTurn }

// Sought reports whether the bucket was searched for since its owner queue came back.
func (b *Bucket) Sought() bool { return b.sought == b.Queue.returns }

// SetSought notes that the bucket is searched for anywhere, or must be again.
func (b *Bucket) SetSought(is bool) {
	if b.sought = 0; is {
		b.sought = b.Queue.returns
	}
}

// queueOf returns the owner queue of an owner at a priority. A new one takes part in
// the turns with its first bucket.
func (l *List) queueOf(priority int32, o *Owner) *OwnerQueue {
	i, found := slices.BinarySearchFunc(o.queues, priority, func(q *OwnerQueue, p int32) int { return int(p) - int(q.Band.Priority) })
	if !found {
		l.turns++
		q := &OwnerQueue{Owner: o, Band: l.bandOf(priority), byClass: map[*Class]*Bucket{}, Turn: l.turns}
		o.queues = slices.Insert(o.queues, i, q)
	}
	return o.queues[i]
}

// bandOf returns the band of a priority, a new one if no owner queue has a turn there.
func (l *List) bandOf(priority int32) *Band {
	if i, found := l.find(priority); found {
		return l.bands[i]
	}
	return &Band{Priority: priority}
}

// updateTurns lets an owner queue take part in the turns of its band if it may, at
// the place that its turn gives it, and takes it out if not.
func (l *List) updateTurns(q *OwnerQueue) {
	in := q.buckets.First() != nil && !l.owners.isFull(q.Owner)
	switch {
	case in && !q.inTurn:
		i, found := l.find(q.Band.Priority)
		if !found {
			l.bands = slices.Insert(l.bands, i, q.Band)
		}
		q.Band = l.bands[i]
		q.Band.insert(q)
		q.inTurn = true
		q.countBuckets(1)
		q.Band.Seeking += q.Seeking
	case !in && q.inTurn:
		l.SetSought(q)
		q.countBuckets(-1)
		q.Band.Seeking -= q.Seeking
		q.inTurn = false
		q.Band.queues.Remove(q)
		l.takenOut++
		if i, _ := l.find(q.Band.Priority); q.Band.queues.First() == nil {
			l.bands = slices.Delete(l.bands, i, i+1)
		}
	}
}

// countBuckets adds the buckets of an owner queue to those of their classes that can
// be served, or with -1 takes them out.
func (q *OwnerQueue) countBuckets(by int) {
	for b := q.First(); b != nil; b = b.Next() {
		b.Class.servable += by
	}
}

// EndTurn puts an owner queue that was served behind all others.
func (l *List) EndTurn(q *OwnerQueue) {
	l.turns++
	q.Turn = l.turns
	if q.inTurn {
		q.Band.queues.Remove(q)
		q.Band.insert(q)
	}
}

// insert puts an owner queue behind all with earlier turns. It looks from both ends:
// one whose turn is over goes to the end, and one that comes back after long to the
// front.
func (b *Band) insert(q *OwnerQueue) {
	after, before := b.Last(), b.First()
	for after != nil && after.Turn > q.Turn {
		if before.Turn > q.Turn {
			after = before.Prev()
			break
		}
		after, before = after.Prev(), before.Next()
	}
	b.queues.InsertAfter(q, after)
}

// bucketOf returns the bucket of an owner queue for a class. A new one gets its place
// with its first waiter.
func (q *OwnerQueue) bucketOf(c *Class) *Bucket {
	b := q.byClass[c]
	if b == nil {
		b = &Bucket{Queue: q, Class: c}
		q.byClass[c] = b
	}
	return b
}

// insert adds a waiter behind those that came before it: the youngest of all, or one
// that comes back and is older than nearly all.
func (b *Bucket) insert(l *List, w *Waiter) {
	b.Queue.waiters++
	head, tail := b.waiters.First(), b.waiters.Last()
	if tail == nil || tail.Number < w.Number {
		b.waiters.InsertAfter(w, tail)
		w.place = b.places
		b.places++
	} else {
		next := head
		for next.Number < w.Number {
			next = next.Next()
		}
		b.waiters.InsertAfter(w, next.Prev())
		if w.place = next.place; w == b.Head() {
			w.place-- // it wraps around, as their differences do
		}
	}
	switch {
	case head == nil:
		l.open(b)
	case w == b.Head() && !b.Aside:
		b.Queue.buckets.Remove(b)
		b.Queue.insert(b)
	}
}

// remove takes a waiter out. What has no waiter then goes with it.
func (b *Bucket) remove(l *List, w *Waiter) {
	q, wasHead := b.Queue, w == b.Head()
	q.waiters--
	b.waiters.Remove(w)
	switch head := b.Head(); {
	case head == nil:
		l.close(b)
		delete(q.byClass, b.Class)
	case wasHead && b.Next() != nil && head.Number > b.Next().Head().Number:
		q.buckets.Remove(b)
		q.insert(b)
	}
	if q.waiters == 0 {
		q.Owner.queues = slices.DeleteFunc(q.Owner.queues, func(o *OwnerQueue) bool { return o == q })
	}
}

// insert puts a bucket where its head belongs. It looks from the end: heads are
// mostly young.
func (q *OwnerQueue) insert(b *Bucket) {
	after := q.Last()
	for after != nil && after.Head().Number > b.Head().Number {
		after = after.Prev()
	}
	q.buckets.InsertAfter(b, after)
}

// open gives a bucket with its first waiter its place.
func (l *List) open(b *Bucket) {
	o := b.Queue.Owner
	if b.Class.Gang && l.owners.most > 0 {
		o.gangs = slices.Insert(o.gangs, o.gangsUpTo(b.Class.Size), b)
		b.Aside = b.Class.Size > l.owners.left(o)
	}
	if !b.Aside {
		l.putIn(b)
	}
}

// close takes out a bucket that has lost its last waiter.
func (l *List) close(b *Bucket) {
	o := b.Queue.Owner
	if b.Class.Gang && l.owners.most > 0 {
		o.gangs = slices.DeleteFunc(o.gangs, func(g *Bucket) bool { return g == b })
	}
	if !b.Aside {
		l.takeOut(b)
	}
}

// putIn puts a bucket into its owner queue.
func (l *List) putIn(b *Bucket) {
	b.Queue.insert(b)
	if b.Queue.inTurn {
		b.Class.servable++
	}
	l.updateTurns(b.Queue)
}

// takeOut takes a bucket out of its owner queue.
func (l *List) takeOut(b *Bucket) {
	if b.Queue.inTurn {
		b.Class.servable--
	}
	b.Queue.buckets.Remove(b)
	l.updateTurns(b.Queue)
}

// setUnsought notes that an owner queue came back.
func (l *List) setUnsought(q *OwnerQueue) {
	if !q.unsought {
		q.unsought = true
		q.returns++
		l.unsought++
	}
}

// SetSought notes that an owner queue was searched for anywhere.
func (l *List) SetSought(q *OwnerQueue) {
	if q.unsought {
		q.unsought = false
		l.unsought--
	}
}

// Unsought returns the number of owner queues that must be searched for anywhere.
func (l *List) Unsought() int { return l.unsought }

// TakenOut returns how often an owner queue was taken out of the turns of its band.
func (l *List) TakenOut() uint64 { return l.takenOut }
