package sched

import (
	"encoding/binary"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// want is what the waiters of one group need: the same of a worker.
type want struct {
	key     string
	members []member // the distinct needs of a gang; else one
	n       int      // waiters
	place   int      // in queue.all
	gang    bool
	size    int // tasks of each waiter
	lines   int // that are in a round
	rate    rate

	number uint64 // in queue.log
	gone   bool   // nobody has it any more
	dims   uint64 // dimTable.changes for which the requirements of its members hold

	failed uint64 // queue.look when there were no victims

	fleet    uint64 // State.fleet for which takeable holds
	takeable bool   // a known worker could take each of the tasks, were it idle

	round uint64 // of serve, for which at holds
	at    int    // in queue.freed: those before have no room for it
}

// member is what one task needs.
type member struct {
	ask    wire.Schedule // without the texts of a task
	demand uint32        // held
	req    *index.Requirement

	preferred *index.Requirement // nil: nothing is preferred
}

// maxWants bounds the distinct needs among those that wait: an event may have to
// look at all of them. maxWantBytes bounds their bytes: a gang may have a megabyte.
const (
	maxWants     = 16_384
	maxWantBytes = 64 << 20
)

// wantOf returns the want of a request; nil if there are too many, or too large.
func (s *State) wantOf(b bundle) *want {
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
	if g := q.wants[string(key)]; g != nil {
		return g
	}
	if len(q.all) >= maxWants || q.wantBytes+len(key) > maxWantBytes {
		return nil
	}
	q.wantBytes += len(key)
	g := &want{key: string(key), place: len(q.all), gang: b.gang, size: len(tasks)}
	seen := map[string]bool{}
	for i := range tasks {
		if needs := string(tasks[i].AppendNeeds(nil)); !seen[needs] {
			seen[needs] = true
			m := member{ask: tasks[i].Needs(), demand: s.demands.find(tasks[i].Resources)}
			s.demands.hold(m.demand)
			g.members = append(g.members, m)
		}
	}
	q.wants[g.key] = g
	q.all = append(q.all, g)
	q.log.add(g)
	s.resolveWant(g)
	return g
}

// dropWant forgets a want that nobody has any more.
func (s *State) dropWant(g *want) {
	q := &s.queue
	for i := range g.members {
		s.demands.drop(g.members[i].demand)
	}
	delete(q.wants, g.key)
	q.wantBytes -= len(g.key)
	last := q.all[len(q.all)-1]
	q.all[g.place], last.place = last, g.place
	q.all[len(q.all)-1] = nil
	q.all = q.all[:len(q.all)-1]
	q.log.remove(g)
}

func appendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}

// cloneTasks copies the tasks of a gang. What they need of a worker they share with
// the want, which bounds its bytes.
func (g *want) cloneTasks(tasks []wire.Schedule) []wire.Schedule {
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

// membersOf returns the members of a want with requirements for the present
// dimensions.
func (s *State) membersOf(g *want) []member {
	if g.dims != s.dims.changes {
		s.resolveWant(g)
	}
	return g.members
}

// resolveWant finds the requirements of a want.
func (s *State) resolveWant(g *want) {
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
