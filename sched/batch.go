package sched

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// set is what the tasks of one batch share while it is being placed.
type set struct {
	gang    bool
	workers map[int32]bool           // of a distinct gang: those that hold one of its tasks
	spreads map[string]*index.Spread // by tag key
	made    []made                   // of a gang, to undo it
}

// made is a lease that the batch was granted, and the give stamp of its worker
// from before.
type made struct {
	slot  int32
	stamp uint32
}

// add notes the lease of a task; nil is allowed.
func (b *set) add(s *State, slot int32, stamp uint32) {
	if b == nil {
		return
	}
	n := s.leases.slots.at(slot).worker
	if sp := s.asking.query.Spread; sp != nil {
		s.index.Count(sp, index.Worker(n), 1)
	}
	if b.gang {
		b.made = append(b.made, made{slot, stamp})
	}
	if b.workers != nil {
		b.workers[n] = true
	}
}

func (s *State) batch(now Time, sess *session, from Session, request uint64, m *wire.Batch, out *Outbox) {
	b := &set{gang: m.AllOrNone}
	if b.gang {
		s.index.Reserve(uint32(len(m.Tasks)))
	}
	for i := range m.Tasks {
		if simple(&m.Tasks[i]) {
			continue
		}
		if _, err := s.read(&m.Tasks[i], b); err != nil {
			named := *err
			named.Field = fmt.Sprintf("tasks[%d].%s", i, err.Field)
			out.put(from, request, &named)
			return
		}
	}
	if m.AllOrNone && m.Distinct {
		b.workers = s.holders(sess, m)
	}
	all := &wire.PlacedAll{Results: make([]wire.BatchResult, len(m.Tasks))}
	for i := range m.Tasks {
		r := &all.Results[i]
		err := s.place(now, sess, &m.Tasks[i], b, &r.Placed)
		if err == nil {
			continue
		}
		r.Code = err.Code
		if m.AllOrNone {
			s.disband(b, all, i)
			break
		}
	}
	out.put(from, request, all)
}

// simple reports whether nothing in a task can be wrong that the decoder does
// not see.
func simple(m *wire.Schedule) bool {
	return len(m.Selector)+len(m.Prefer)+len(m.Policy)+len(m.SpreadBy)+len(m.Resources) == 0
}

// holders returns the workers on which tasks of a batch hold leases already.
func (s *State) holders(sess *session, m *wire.Batch) map[int32]bool {
	workers := map[int32]bool{}
	for i := range m.Tasks {
		if slot, ok, _ := s.held(sess, &m.Tasks[i]); ok {
			workers[s.leases.slots.at(slot).worker] = true
		}
	}
	return workers
}

// disband undoes what was granted to a gang whose task at place failed could
// not be placed, the last first.
func (s *State) disband(b *set, all *wire.PlacedAll, failed int) {
	for i := len(b.made) - 1; i >= 0; i-- {
		s.undo(b.made[i].slot, b.made[i].stamp)
	}
	for i := range all.Results {
		if i != failed {
			all.Results[i] = wire.BatchResult{Code: wire.CodeAllOrNone}
		}
	}
}
