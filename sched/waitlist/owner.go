package waitlist

import (
	"math"
	"slices"
)

// OwnersKept is how many owners without leases and waiters are remembered.
const OwnersKept = 4096

// Owner has tasks that wait or, if leases are limited, leases. Tasks without an owner
// are those of the owner without a name.
type Owner struct {
	Name string
	// Reserved is how many workers are reserved for its waiters; the caller counts.
	Reserved int

	waiting int           // tasks
	leases  int           // live; not counted without a limit
	applied int           // what was left when its queues were last brought up to date
	queues  []*OwnerQueue // the highest priority first
	gangs   []*Bucket     // with a limit, those of gangs, the smallest first
	idle    bool          // stands in owners.idle
}

// owners are all that have waiters and, with a limit, leases.
type owners struct {
	most   int // live leases of one owner; 0: any number
	byName map[string]*Owner
	idle   []*Owner // had nothing when they were put here, the longest first
	full   int      // owners that may have no further lease
}

// of returns an owner by its name. One that has nothing is forgotten unless it gets
// something soon.
func (t *owners) of(name []byte) *Owner {
	o := t.byName[string(name)]
	if o == nil {
		o = &Owner{Name: string(name), applied: t.most}
		t.byName[o.Name] = o
	}
	return o
}

func (t *owners) left(o *Owner) int {
	if t.most == 0 {
		return math.MaxInt
	}
	return t.most - o.leases
}

func (t *owners) isFull(o *Owner) bool { return t.left(o) <= 0 }

// countWaiting adds to the tasks of an owner that wait.
func (t *owners) countWaiting(o *Owner, tasks int) {
	o.waiting += tasks
	t.forgetIdle(o)
}

// forgetIdle forgets an owner without waiters and leases: at once if leases are not
// limited, or when it has been so for longest and they are too many.
func (t *owners) forgetIdle(o *Owner) {
	switch {
	case o.waiting > 0 || o.leases > 0 || o.idle:
		return
	case t.most == 0:
		delete(t.byName, o.Name)
		return
	}
	o.idle = true
	t.idle = append(t.idle, o)
	if len(t.idle) <= OwnersKept {
		return
	}
	oldest := t.idle[0]
	t.idle[0] = nil
	t.idle = t.idle[1:]
	if oldest.idle = false; oldest.waiting == 0 && oldest.leases == 0 {
		delete(t.byName, oldest.Name)
	}
}

// MaxLeases returns how many leases one owner may have at once, 0 for any number.
func (l *List) MaxLeases() int { return l.owners.most }

// Left returns how many more leases an owner may have; below 0 if it has more than
// the limit.
func (l *List) Left(o *Owner) int { return l.owners.left(o) }

// AtLimit reports whether the owner of a name may have no further lease.
func (l *List) AtLimit(name []byte) bool {
	if l.owners.most == 0 {
		return false
	}
	o := l.owners.byName[string(name)]
	return o != nil && l.owners.isFull(o)
}

// Owners returns all owners that have waiters or leases, or had lately, by name. The
// caller must not change the map, which changes with the list.
func (l *List) Owners() map[string]*Owner { return l.owners.byName }

// OwnersAtLimit returns the number of owners that may have no further lease.
func (l *List) OwnersAtLimit() int { return l.owners.full }

// OwnerWaiting returns how many tasks of an owner wait.
func (l *List) OwnerWaiting(name []byte) int {
	if o := l.owners.byName[string(name)]; o != nil {
		return o.waiting
	}
	return 0
}

// CountLease counts a lease of an owner, or with -1 its end. ApplyLimit must follow,
// unless that is taken back.
func (l *List) CountLease(name []byte, by int) {
	if l.owners.most > 0 {
		o := l.owners.of(name)
		o.leases += by
		l.owners.forgetIdle(o)
	}
}

// ApplyLimit brings the owner queues and gangs of an owner up to date with what is
// left to it. What comes back may find capacity on any worker.
func (l *List) ApplyLimit(name []byte) {
	t := &l.owners
	if t.most == 0 {
		return
	}
	o := t.byName[string(name)]
	if o == nil || o.applied == t.left(o) {
		return
	}
	was, left := o.applied, t.left(o)
	o.applied = left
	for i := o.gangsUpTo(min(was, left)); i < o.gangsUpTo(max(was, left)); i++ {
		l.setAside(o.gangs[i], left < was)
	}
	switch {
	case was > 0 && left <= 0:
		t.full++
	case was <= 0 && left > 0:
		t.full--
	default:
		return
	}
	for _, q := range o.queues {
		if l.updateTurns(q); q.inTurn {
			l.setUnsought(q)
		}
	}
}

// gangsUpTo returns how many buckets of an owner are of gangs up to a size.
func (o *Owner) gangsUpTo(size int) int {
	i, _ := slices.BinarySearchFunc(o.gangs, size+1, func(b *Bucket, size int) int { return b.Class.Size - size })
	return i
}

// setAside takes the bucket of a gang out of its owner queue, or puts it back.
func (l *List) setAside(b *Bucket, aside bool) {
	b.Aside = aside
	if aside {
		l.takeOut(b)
		return
	}
	b.sought = 0
	l.putIn(b)
	if b.Queue.inTurn {
		l.setUnsought(b.Queue)
	}
}
