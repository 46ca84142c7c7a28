package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
)

// This file knows which wants the workers of a kit could serve, were they idle, so
// that a worker that gets room is compared with these alone. Whether a kit serves a
// want never changes as long as the dimensions do not: each pair is looked at once.

// servesKept bounds the wants that all kits together remember. Beyond it those kits
// forget theirs that have had them longest.
const servesKept = 1 << 21

// wantLog lists the wants in the order in which they came, also such as are gone,
// as long as these are no more than the others.
type wantLog struct {
	list []*want
	gone int    // of list
	last uint64 // number that was given
	left uint64 // how many wants have gone, ever
}

func (l *wantLog) add(g *want) {
	l.last++
	g.number = l.last
	l.list = append(l.list, g)
}

func (l *wantLog) remove(g *want) {
	g.gone = true
	l.left++
	if l.gone++; l.gone <= len(l.list)/2 {
		return
	}
	l.list, l.gone = slices.DeleteFunc(l.list, func(g *want) bool { return g.gone }), 0
}

// after returns the wants behind a number.
func (l *wantLog) after(number uint64) []*want {
	i, _ := slices.BinarySearchFunc(l.list, number+1, func(g *want, n uint64) int {
		if g.number < n {
			return -1
		}
		return 1
	})
	return l.list[i:]
}

// served is what a kit remembers of the wants that its workers could serve.
type served struct {
	wants []*want
	upTo  uint64 // the number of the last want that was looked at
	left  uint64 // wantLog.left when those that are gone were taken out
	dims  uint64 // dimTable.changes for which it holds, plus one
	kept  bool   // in queue.remember

	first       uint64 // the number of a want that was looked at by itself
	servesFirst bool
}

// wantsOf returns the wants that a worker could serve were it idle. It reports false
// if the present event is exhausted before they are all known.
func (s *State) wantsOf(n int32) ([]*want, bool) {
	q, k := &s.queue, s.workers.At(n).kit
	s.checkDims(k)
	if k.served.upTo == q.log.last && k.served.left == q.log.left {
		return k.served.wants, true
	}
	was := len(k.served.wants)
	if k.served.left != q.log.left {
		k.served.wants = slices.DeleteFunc(k.served.wants, func(g *want) bool { return g.gone })
		k.served.left = q.log.left
	}
	done := true
	for _, g := range q.log.after(k.served.upTo) {
		if done = !s.exhausted(); !done {
			break
		}
		if k.served.upTo = g.number; !g.gone && s.serves(n, g) {
			k.served.wants = append(k.served.wants, g)
		}
	}
	if done {
		k.served.upTo = q.log.last
	}
	q.keep(k, was)
	return k.served.wants, done
}

// servesFirst reports whether a worker could serve a want were it idle, as wantsOf
// does, for one want that is asked for again and again.
func (s *State) servesFirst(n int32, g *want) bool {
	k := s.workers.At(n).kit
	if s.checkDims(k); k.served.first != g.number {
		k.served.first, k.served.servesFirst = g.number, s.serves(n, g)
	}
	return k.served.servesFirst
}

// checkDims has a kit forget what it knows once the dimensions have changed.
func (s *State) checkDims(k *kit) {
	if k.served.dims != s.dims.changes+1 {
		s.queue.forget(k)
		k.served.dims = s.dims.changes + 1
	}
}

// serves reports whether a worker could serve one of the tasks of a want were it
// idle.
func (s *State) serves(n int32, g *want) bool {
	k := s.workers.At(n).kit
	return slices.ContainsFunc(s.membersOf(g), func(m member) bool {
		return s.index.Matches(m.req, index.Worker(n)) && capacity.CouldEver(&k.Offer, &s.demands.at(m.demand).Demand)
	})
}

// keep counts what a kit remembers, which was as many wants before, and has others
// forget theirs if it is too much.
func (q *queue) keep(k *kit, was int) {
	q.remembered += len(k.served.wants) - was
	if !k.served.kept {
		k.served.kept = true
		q.rememberers = append(q.rememberers, k)
	}
	for q.remembered > servesKept && q.rememberers[0] != k {
		old := q.rememberers[0]
		q.rememberers[0] = nil
		q.rememberers = q.rememberers[1:]
		old.served.kept = false
		q.forget(old)
	}
}

// forget has a kit forget the wants that its workers could serve.
func (q *queue) forget(k *kit) {
	q.remembered -= len(k.served.wants)
	k.served = served{kept: k.served.kept}
}
