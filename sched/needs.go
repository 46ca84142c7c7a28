package sched

import (
	"encoding/binary"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// needs is what the waiters of one request class need: the same of a worker.
type needs struct {
	members []member // the distinct needs of a gang; else one
	rate    rate

	dims uint64 // dimTable.changes for which the requirements of its members hold

	failed uint64 // queue.look when there were no victims

	fleet    uint64 // State.offered for which takeable holds
	takeable bool   // a known worker could take each of the tasks, were it idle

	round uint64 // queue.round for which at holds
	at    int    // in queue.freed: those before have no capacity for it
}

// needsOf returns what the waiters of a bucket need.
func (q *queue) needsOf(b *waitlist.Bucket) *needs { return q.needs.At(b.Class.Slot) }

// member is what one task needs.
type member struct {
	ask    wire.Schedule // without the texts of a task
	demand uint32        // held
	req    *index.Requirement

	preferred *index.Requirement // nil: nothing is preferred
}

// classFor returns the class of a request; nil if there are too many, or too large.
func (s *State) classFor(b bundle) *waitlist.Class {
	q, tasks := &s.queue, b.tasks
	key := q.keyBuf[:0]
	if b.gang {
		key = binary.AppendUvarint(key, uint64(len(tasks)))
		key = appendFlag(key, b.distinct)
	}
	for i := range tasks {
		key = tasks[i].AppendNeeds(key)
	}
	q.keyBuf = key
	if c := q.list.Class(key); c != nil {
		return c
	}
	if !q.list.CanAdd(key) {
		return nil
	}
	slot := int32(q.needs.Len())
	if n := len(q.freeNeeds); n > 0 {
		slot, q.freeNeeds = q.freeNeeds[n-1], q.freeNeeds[:n-1]
	} else {
		q.needs.Grow(int(slot) + 1)
	}
	g, seen := q.needs.At(slot), map[string]bool{}
	for i := range tasks {
		if needs := string(tasks[i].AppendNeeds(nil)); !seen[needs] {
			seen[needs] = true
			m := member{ask: tasks[i].Needs(), demand: s.demands.find(tasks[i].Resources)}
			s.demands.hold(m.demand)
			g.members = append(g.members, m)
		}
	}
	s.resolveNeeds(g)
	return q.list.NewClass(key, slot, b.gang, len(tasks))
}

// dropNeeds frees the needs of a class that has no waiter any more.
func (s *State) dropNeeds(slot int32) {
	g := s.queue.needs.At(slot)
	for i := range g.members {
		s.demands.drop(g.members[i].demand)
	}
	*g = needs{}
	s.queue.freeNeeds = append(s.queue.freeNeeds, slot)
}

func appendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}

// cloneTasks copies the tasks of a gang. What they need of a worker they share with
// their class, which bounds its bytes.
func (g *needs) cloneTasks(tasks []wire.Schedule) []wire.Schedule {
	asks, clones, key := map[string]*wire.Schedule{}, make([]wire.Schedule, len(tasks)), []byte{}
	for i := range g.members {
		asks[string(g.members[i].ask.AppendNeeds(nil))] = &g.members[i].ask
	}
	for i := range tasks {
		key = tasks[i].AppendNeeds(key[:0])
		clones[i] = withTexts(*asks[string(key)], &tasks[i])
	}
	return clones
}

// membersOf returns the members of a class with requirements for the present
// dimensions.
func (s *State) membersOf(g *needs) []member {
	if g.dims != s.dims.changes {
		s.resolveNeeds(g)
	}
	return g.members
}

// resolveNeeds finds the requirements of a class.
func (s *State) resolveNeeds(g *needs) {
	g.dims = s.dims.changes
	for i := range g.members {
		m := &g.members[i]
		d := s.demands.at(m.demand)
		s.resolve(d)
		if req, err := s.requirement(&m.ask, d.mask, false); err == nil {
			m.req = req
		}
		if len(m.ask.Prefer) > 0 {
			m.preferred, _ = s.requirement(&m.ask, d.mask, true)
		}
	}
}

// rate counts events of about the last minute, in two halves of it.
type rate struct {
	minute    Time
	now, past uint64
}

const rateSpan Time = 60_000

func (r *rate) turn(now Time) {
	switch minute := now / rateSpan; {
	case minute == r.minute:
	case minute == r.minute+1:
		r.past, r.now, r.minute = r.now, 0, minute
	default:
		r.past, r.now, r.minute = 0, 0, minute
	}
}

func (r *rate) add(now Time, n int) {
	r.turn(now)
	r.now += uint64(n)
}

// lastMinute takes of the minute before as much as is not a minute ago.
func (r *rate) lastMinute(now Time) uint64 {
	r.turn(now)
	return r.now + r.past*uint64(rateSpan-now%rateSpan)/uint64(rateSpan)
}
