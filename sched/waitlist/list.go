// Package waitlist keeps waiting tasks in the order in which they are served. It
// knows neither workers nor what a task needs: the caller looks for capacity, in the
// order that the list gives, and tells the list what became of it.
//
//	Band (a priority) -> OwnerQueue -> Bucket (a request class) -> Waiter
//
// The first band goes first. In it the owner queue that was served least lately goes
// first, and in that the bucket whose head arrived first. An owner that has as many
// leases as one may have has no owner queue in any band's turns.
//
// Nothing here has a clock or a lock. The caller embeds Waiter in its own record of
// a waiter, which must not move.
package waitlist

import (
	"slices"

	"github.com/dtask/dtask-scheduler/ds"
)

// List is the order of all waiters.
type List struct {
	bands    []*Band // the highest priority first, each with an owner queue in turn
	arrivals uint64  // the last number that was given
	turns    uint64  // the last turn that was given
	waiters  int
	tasks    int
	owners   owners
	classes  classes
	seeking  int // waiters that seek
	takenOut uint64
	unsought int // owner queues in turn that must be searched for anywhere
}

// New returns an empty list. One owner may have maxLeases leases at once; 0 sets no
// limit.
func New(maxLeases int) List {
	return List{owners: owners{most: maxLeases, byName: map[string]*Owner{}}, classes: classes{byKey: map[string]*Class{}}}
}

// Waiter is the place of a task, or of a gang, in the list.
type Waiter struct {
	ds.Links[Waiter]         // in its bucket
	Slot             int32   // the caller's number of it
	Number           uint64  // in order of arrival over all waiters
	Bucket           *Bucket // nil: it does not wait
	place            uint32  // in its bucket, in order of arrival
	seeks            bool
}

// Priority returns the priority of the band in which the waiter stands.
func (w *Waiter) Priority() int32 { return w.Bucket.Queue.Band.Priority }

// Position is the place of a waiter in its bucket, 1 for the head. Those that left
// from between are still counted.
func (w *Waiter) Position() uint64 { return uint64(w.place-w.Bucket.Head().place) + 1 }

// TakeNumber returns the number of a new arrival.
func (l *List) TakeNumber() uint64 {
	l.arrivals++
	return l.arrivals
}

// Add enters a waiter, of a class, for an owner: at the end of its bucket or, if its
// Number is that of an earlier arrival, where it stood.
func (l *List) Add(w *Waiter, priority int32, owner []byte, c *Class) {
	if w.Number == 0 {
		w.Number = l.TakeNumber()
	}
	w.Bucket = l.queueOf(priority, l.owners.of(owner)).bucketOf(c)
	w.Bucket.insert(l, w)
	l.waiters++
	l.tasks += c.Size
	l.owners.countWaiting(w.Bucket.Queue.Owner, c.Size)
	c.waiters++
}

// Remove takes a waiter out. It reports whether its class is gone with it.
func (l *List) Remove(w *Waiter) (classGone bool) {
	l.SetSeeks(w, false)
	c := w.Bucket.Class
	l.owners.countWaiting(w.Bucket.Queue.Owner, -c.Size)
	w.Bucket.remove(l, w)
	w.Bucket = nil
	l.waiters--
	l.tasks -= c.Size
	if c.waiters--; c.waiters == 0 {
		l.classes.remove(c)
		return true
	}
	return false
}

// SetSeeks notes whether a waiter seeks what others must give up for it.
func (l *List) SetSeeks(w *Waiter, seeks bool) {
	if w.seeks == seeks {
		return
	}
	by := 1
	if w.seeks = seeks; !seeks {
		by = -1
	}
	b := w.Bucket
	l.seeking += by
	b.Seeking += by
	b.Queue.Seeking += by
	if b.Queue.inTurn {
		b.Queue.Band.Seeking += by
	}
}

// Seeking returns the number of waiters that seek.
func (l *List) Seeking() int { return l.seeking }

// Len returns the number of waiters.
func (l *List) Len() int { return l.waiters }

// Tasks returns the number of tasks of all waiters.
func (l *List) Tasks() int { return l.tasks }

// Bands returns the priorities at which a waiter may be served, the highest first.
// The caller must not change the slice, which changes with the list.
func (l *List) Bands() []*Band { return l.bands }

// FirstBand returns the band of the highest priority, nil if there is none.
func (l *List) FirstBand() *Band {
	if len(l.bands) == 0 {
		return nil
	}
	return l.bands[0]
}

// After returns the band that follows a priority, nil if there is none.
func (l *List) After(priority int32) *Band {
	i, found := l.find(priority)
	if found {
		i++
	}
	if i == len(l.bands) {
		return nil
	}
	return l.bands[i]
}

func (l *List) find(priority int32) (int, bool) {
	return slices.BinarySearchFunc(l.bands, priority, func(b *Band, p int32) int { return int(p) - int(b.Priority) })
}
