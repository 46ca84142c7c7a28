package sched

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file bounds the leases of each owner. Whoever has as many as one owner
// may have is refused, or waits; its turns leave the round of their level, so
// that nobody has to pass them over, and come back when one of its leases ends.
// So do lines of gangs that are larger than what is left to their owner.

// ownersKept is how many owners are remembered of whom nothing waits or runs.
const ownersKept = 4096

// owner is whom tasks belong to that wait or, if leases are bounded, have one.
// Tasks without an owner are those of one whose name is empty.
type owner struct {
	name    string
	waiting int // tasks
	leases  int // live; not counted without a bound
	claims  int // of its waiters
	seated  int // what was left when its turns and gangs were seated
	turns   []*turn
	gangs   []*line // with a bound, those of gangs, the smallest first
	idle    bool    // stands in ownerTable.idle
}

// ownerTable knows every owner of tasks that wait and, with a bound, of leases.
type ownerTable struct {
	most    int // live leases of one owner; 0: any number
	byName  map[string]*owner
	idle    []*owner // had nothing when they were put here, the longest first
	back    int      // turns that are
	fulls   int      // owners that may have no further lease
	refusal wire.Error
}

func newOwnerTable(most int) ownerTable {
	return ownerTable{most: most, byName: map[string]*owner{}, refusal: wire.Error{
		Code: wire.CodeOwnerLimit, Field: "owner", Limit: uint64(most), Message: wire.CodeOwnerLimit.Sentence()}}
}

// of returns an owner by its name. One that has nothing is forgotten unless it
// gets something soon.
func (t *ownerTable) of(name []byte) *owner {
	o := t.byName[string(name)]
	if o == nil {
		o = &owner{name: string(name), seated: t.most}
		t.byName[o.name] = o
	}
	return o
}

// waiting returns how many tasks of an owner wait.
func (t *ownerTable) waiting(name []byte) int {
	if o := t.byName[string(name)]; o != nil {
		return o.waiting
	}
	return 0
}

// left is how many more leases an owner may have; below 0 if its workers
// brought more than that.
func (t *ownerTable) left(o *owner) int {
	if t.most == 0 {
		return math.MaxInt
	}
	return t.most - o.leases
}

// full reports whether an owner may have no further lease.
func (t *ownerTable) full(o *owner) bool { return t.left(o) <= 0 }

// refuses reports whether the owner of a request may have no further lease.
func (t *ownerTable) refuses(name []byte) bool {
	return t.most > 0 && t.atLimit(name)
}

func (t *ownerTable) atLimit(name []byte) bool {
	o := t.byName[string(clip(name))]
	return o != nil && t.full(o)
}

// wait counts tasks of an owner that wait, or with a negative number do not any
// more.
func (t *ownerTable) wait(o *owner, tasks int) {
	o.waiting += tasks
	t.rest(o)
}

// count counts a lease of an owner, or with -1 its end. The owner must be seated
// next, unless that is taken back.
func (t *ownerTable) count(name []byte, by int) {
	if t.most > 0 {
		o := t.of(name)
		o.leases += by
		t.rest(o)
	}
}

// rest forgets an owner of whom nothing waits or runs: at once if leases are
// not counted, or when it has been so for longest and they are too many.
func (t *ownerTable) rest(o *owner) {
	switch {
	case o.waiting > 0 || o.leases > 0 || o.idle:
		return
	case t.most == 0:
		delete(t.byName, o.name)
		return
	}
	o.idle = true
	t.idle = append(t.idle, o)
	if len(t.idle) <= ownersKept {
		return
	}
	oldest := t.idle[0]
	t.idle[0] = nil
	t.idle = t.idle[1:]
	if oldest.idle = false; oldest.waiting == 0 && oldest.leases == 0 {
		delete(t.byName, oldest.name)
	}
}

// seatOwner brings the turns and gangs of an owner up to date with what is left
// to it. What comes back may find room on any worker.
func (q *queue) seatOwner(name []byte) {
	if q.owners.most > 0 {
		q.reseat(name)
	}
}

func (q *queue) reseat(name []byte) {
	t := &q.owners
	o := t.byName[string(clip(name))]
	if o == nil || o.seated == t.left(o) {
		return
	}
	was, left := o.seated, t.left(o)
	o.seated = left
	for i := o.gangsUpTo(min(was, left)); i < o.gangsUpTo(max(was, left)); i++ {
		q.putAside(o.gangs[i], left < was)
	}
	switch {
	case was > 0 && left <= 0:
		t.fulls++
	case was <= 0 && left > 0:
		t.fulls--
	default:
		return
	}
	for _, turn := range o.turns {
		if q.seat(turn); turn.in {
			q.comesBack(turn)
		}
	}
}

// gangsUpTo returns how many lines of an owner are of gangs up to a size.
func (o *owner) gangsUpTo(size int) int {
	i, _ := slices.BinarySearchFunc(o.gangs, size+1, func(l *line, size int) int { return l.want.size - size })
	return i
}

// putAside takes the line of a gang out of its turn, or puts it back.
func (q *queue) putAside(l *line, aside bool) {
	l.aside = aside
	if aside {
		q.takeOut(l)
		return
	}
	l.looked = 0
	q.putIn(l)
	if l.turn.in {
		q.comesBack(l.turn)
	}
}

// open gives a line with its first waiter its place.
func (q *queue) open(l *line) {
	o := l.turn.owner
	if l.want.gang && q.owners.most > 0 {
		o.gangs = slices.Insert(o.gangs, o.gangsUpTo(l.want.size), l)
		l.aside = l.want.size > q.owners.left(o)
	}
	if !l.aside {
		q.putIn(l)
	}
}

// close takes a line out that has lost its last waiter.
func (q *queue) close(l *line) {
	o := l.turn.owner
	if l.want.gang && q.owners.most > 0 {
		o.gangs = slices.DeleteFunc(o.gangs, func(g *line) bool { return g == l })
	}
	if !l.aside {
		q.takeOut(l)
	}
}

// putIn puts a line into its turn.
func (q *queue) putIn(l *line) {
	l.place(q)
	if l.turn.in {
		l.want.lines++
	}
	q.seat(l.turn)
}

// takeOut takes a line out of its turn.
func (q *queue) takeOut(l *line) {
	if l.turn.in {
		l.want.lines--
	}
	l.turn.unlink(l)
	q.seat(l.turn)
}

// comesBack notes that a turn may have room anywhere: nobody has looked while
// its owner could not have it.
func (q *queue) comesBack(t *turn) {
	if !t.back {
		t.back = true
		t.returns++
		q.owners.back++
	}
}

// isBack notes that a turn has what there is for it.
func (q *queue) isBack(t *turn) {
	if t.back {
		t.back = false
		q.owners.back--
	}
}

// overLimit refuses a request whose owner may have no further lease. What can
// never run is refused as such.
func (s *State) overLimit(r *request) *wire.Error {
	if !s.learning && (s.unknown(r) || !s.feasible(r)) {
		s.log.infeasible++
		return refusals[wire.CodeInfeasible]
	}
	s.log.ownerLimited++
	return &s.queue.owners.refusal
}

// checkOwners refuses a gang of several owners where leases of an owner are
// bounded: it would wait for all of them at once.
func (t *ownerTable) checkOwners(tasks []wire.Schedule) *wire.Error {
	for i := range tasks {
		if t.most > 0 && !bytes.Equal(tasks[i].Owner, tasks[0].Owner) {
			field := fmt.Sprintf("tasks[%d].owner", i)
			return badField(field, "must be the same for all tasks of a gang, because the leases of an owner are limited")
		}
	}
	return nil
}

// neverFits reports whether a gang has more tasks than its owner may have
// leases: it would wait in vain.
func (t *ownerTable) neverFits(tasks []wire.Schedule) bool { return t.most > 0 && len(tasks) > t.most }
