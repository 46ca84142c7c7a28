package sched

import "slices"

// level is a priority at which tasks wait.
type level struct {
	priority    int32
	first, last *turn
	byOwner     map[string]*turn
	seeking     int // as queue.seeking
}

// turn is an owner with tasks that wait at a level.
type turn struct {
	owner       string
	level       *level
	next, prev  *turn
	first, last *line // in order of their heads
	byWant      map[*want]*line
	n           int // waiters
	seeking     int // as queue.seeking
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
}

// turnOf returns the turn of an owner at a priority.
func (q *queue) turnOf(priority int32, owner string) *turn {
	i, found := slices.BinarySearchFunc(q.levels, priority, func(l *level, p int32) int { return int(p) - int(l.priority) })
	if !found {
		q.levels = slices.Insert(q.levels, i, &level{priority: priority, byOwner: map[string]*turn{}})
	}
	l := q.levels[i]
	t := l.byOwner[owner]
	if t == nil {
		t = &turn{owner: owner, level: l, byWant: map[*want]*line{}}
		l.byOwner[owner] = t
		l.push(t)
	}
	return t
}

// push puts a turn at the end of the round.
func (l *level) push(t *turn) {
	t.prev, t.next = l.last, nil
	if l.last != nil {
		l.last.next = t
	} else {
		l.first = t
	}
	l.last = t
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
	if l.head != 0 {
		l.turn.unlink(l)
	}
	l.head = slot + 1
	l.place(q)
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
		t.unlink(l)
		delete(t.byWant, l.want)
	case l.next != nil && q.number(l) > q.number(l.next):
		t.unlink(l)
		l.place(q)
	}
	if t.n > 0 {
		return
	}
	t.level.unlink(t)
	delete(t.level.byOwner, t.owner)
	if t.level.first == nil {
		q.levels = slices.DeleteFunc(q.levels, func(o *level) bool { return o == t.level })
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
