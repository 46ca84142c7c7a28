package sched

import "slices"

// level is a priority at which tasks wait.
type level struct {
	priority    int32
	first, last *turn // in order of their stamps
	seeking     int   // as queue.seeking, in the round
}

// turn is an owner with tasks that wait at a level. It stands in the round of
// the level while it has a line whose head its owner may have a lease for.
type turn struct {
	owner       *owner
	level       *level
	next, prev  *turn
	first, last *line // in order of their heads
	byWant      map[*want]*line
	n           int    // waiters
	seeking     int    // as queue.seeking
	stamp       uint64 // grows with each turn that begins or is over
	in          bool   // the round
	returns     uint64 // how often it came back
	back        bool   // it may have what its owner's limit kept from it, on any worker
}

// line is the tasks of a turn that need the same.
type line struct {
	turn       *turn
	want       *want
	next, prev *line
	head, tail int32 // slot + 1
	n          int
	places     uint32 // that were given
	seeking    int    // as queue.seeking
	looked     uint64 // turn.returns when a worker with room for it was looked for
	aside      bool   // of a gang that is larger than what its owner may have now
}

// turnOf returns the turn of an owner at a priority. A new one joins the round
// with its first line.
func (q *queue) turnOf(priority int32, o *owner) *turn {
	i, found := slices.BinarySearchFunc(o.turns, priority, func(t *turn, p int32) int { return int(p) - int(t.level.priority) })
	if !found {
		q.stamp++
		t := &turn{owner: o, level: q.levelOf(priority), byWant: map[*want]*line{}, stamp: q.stamp}
		o.turns = slices.Insert(o.turns, i, t)
	}
	return o.turns[i]
}

// levelOf returns the level of a priority, a new one if no turn stands there.
func (q *queue) levelOf(priority int32) *level {
	if i, found := q.findLevel(priority); found {
		return q.levels[i]
	}
	return &level{priority: priority}
}

func (q *queue) findLevel(priority int32) (int, bool) {
	return slices.BinarySearchFunc(q.levels, priority, func(l *level, p int32) int { return int(p) - int(l.priority) })
}

// seat puts a turn into the round of its level if it belongs there, at the
// place that its stamp gives it, and takes it out if not.
func (q *queue) seat(t *turn) {
	in := t.first != nil && !q.owners.full(t.owner)
	switch {
	case in && !t.in:
		i, found := q.findLevel(t.level.priority)
		if !found {
			q.levels = slices.Insert(q.levels, i, t.level)
		}
		t.level = q.levels[i]
		t.level.link(t)
		t.in = true
		t.count(1)
		t.level.seeking += t.seeking
	case !in && t.in:
		q.isBack(t)
		t.count(-1)
		t.level.seeking -= t.seeking
		t.in = false
		t.level.unlink(t)
		q.shaken = true
		if i, _ := q.findLevel(t.level.priority); t.level.first == nil {
			q.levels = slices.Delete(q.levels, i, i+1)
		}
	}
}

// count adds the lines of a turn to those that are in a round, or with -1 takes
// them out.
func (t *turn) count(by int) {
	for l := t.first; l != nil; l = l.next {
		l.want.lines += by
	}
}

// isOver puts a turn that was served at the end of the round.
func (q *queue) isOver(t *turn) {
	q.stamp++
	t.stamp = q.stamp
	if t.in {
		t.level.unlink(t)
		t.level.link(t)
	}
}

// link puts a turn behind all that have older stamps, looked for from both
// ends: the one whose turn is over goes to the end, and one that comes back
// after long to the front.
func (l *level) link(t *turn) {
	after, before := l.last, l.first
	for after != nil && after.stamp > t.stamp {
		if before.stamp > t.stamp {
			after = before.prev
			break
		}
		after, before = after.prev, before.next
	}
	t.prev, t.next = after, l.first
	if after != nil {
		t.next, after.next = after.next, t
	} else {
		l.first = t
	}
	if t.next != nil {
		t.next.prev = t
	} else {
		l.last = t
	}
}

func (l *level) unlink(t *turn) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.last = t.prev
	}
	t.next, t.prev = nil, nil
}

// lineOf returns the line of a turn for those that need the same. A new one
// gets its place with its first waiter.
func (t *turn) lineOf(g *want) *line {
	l := t.byWant[g]
	if l == nil {
		l = &line{turn: t, want: g}
		t.byWant[g] = l
	}
	return l
}

// insert adds a waiter to a line, behind those that came before it: the youngest
// of all, or one that comes back and is older than nearly all.
func (l *line) insert(q *queue, slot int32) {
	w := q.at(slot)
	l.n++
	l.turn.n++
	if l.tail == 0 || q.at(l.tail-1).number < w.number {
		if w.prev = l.tail; l.tail != 0 {
			q.at(l.tail - 1).next = slot + 1
		}
		l.tail, w.place = slot+1, l.places
		l.places++
	} else {
		next := l.head
		for q.at(next-1).number < w.number {
			next = q.at(next - 1).next
		}
		n := q.at(next - 1)
		if w.next, w.prev, w.place = next, n.prev, n.place; w.prev == 0 {
			w.place-- // it wraps around, as their differences do
		} else {
			q.at(w.prev - 1).next = slot + 1
		}
		n.prev = slot + 1
	}
	if w.prev != 0 {
		return
	}
	if l.head, slot = slot+1, l.head; slot == 0 {
		q.open(l)
	} else if !l.aside {
		l.turn.unlink(l)
		l.place(q)
	}
}

// position is the place of a waiter in its line, 1 for the head. Those that
// were cancelled between are still counted.
func (q *queue) position(slot int32) uint64 {
	w := q.at(slot)
	return uint64(w.place-q.at(w.line.head-1).place) + 1
}

// remove takes a waiter out; lines, turns and levels without any go with it.
func (l *line) remove(q *queue, slot int32) {
	w, t := q.at(slot), l.turn
	l.n--
	t.n--
	if w.next != 0 {
		q.at(w.next - 1).prev = w.prev
	} else {
		l.tail = w.prev
	}
	if w.prev != 0 {
		q.at(w.prev - 1).next = w.next
		return
	}
	l.head = w.next
	switch {
	case l.head == 0:
		q.close(l)
		delete(t.byWant, l.want)
	case l.next != nil && q.number(l) > q.number(l.next):
		t.unlink(l)
		l.place(q)
	}
	if t.n == 0 {
		t.owner.turns = slices.DeleteFunc(t.owner.turns, func(o *turn) bool { return o == t })
	}
}

// number is the arrival of the head of a line.
func (q *queue) number(l *line) uint64 { return q.at(l.head - 1).number }

// place puts a line where its head belongs, looked for from the end: heads are
// mostly young.
func (l *line) place(q *queue) {
	t := l.turn
	after := t.last
	for after != nil && q.number(after) > q.number(l) {
		after = after.prev
	}
	l.prev = after
	if after != nil {
		l.next, after.next = after.next, l
	} else {
		l.next, t.first = t.first, l
	}
	if l.next != nil {
		l.next.prev = l
	} else {
		t.last = l
	}
}

func (t *turn) unlink(l *line) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		t.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		t.last = l.prev
	}
	l.next, l.prev = nil, nil
}
