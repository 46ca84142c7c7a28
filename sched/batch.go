package sched

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// admission is who asks for places, and what the tasks of one message share while
// they are placed one after the other.
type admission struct {
	sess    *session
	request request // the task that is being placed
	member  *member // what it requires if it comes from the queue, else nil

	batch   bool
	gang    bool                     // all of its tasks are placed, or none
	workers map[int32]bool           // of a distinct gang: those that hold one of its tasks
	spreads map[string]*index.Spread // of a batch, by tag key
	made    []made                   // of a gang, to undo it
	opened  opened                   // of a batch that is no gang
}

// alone returns the admission of a task that comes alone. It is valid until the
// next call.
func (s *State) alone(sess *session, of *member) *admission {
	a := &s.single
	a.sess, a.member = sess, of
	return a
}

// made is a lease that a gang was granted, and the give stamp of its worker from
// before.
type made struct {
	slot  int32
	stamp uint32
}

// add notes the lease of a task of a batch.
func (a *admission) add(s *State, slot int32, stamp uint32) {
	n := s.leases.slots.At(slot).worker
	if r := &a.request; !r.plain && r.query.Spread != nil {
		s.index.Count(r.query.Spread, index.Worker(n), 1)
	}
	if a.gang {
		a.made = append(a.made, made{slot, stamp})
	}
	if a.workers != nil {
		a.workers[n] = true
	}
}

// batch goes on with a batch. It reports false if the turn is over before it is
// answered.
func (s *State) batch(c *caller, j *Job, m *wire.Batch) bool {
	j.admission.sess = c.sess
	if ok, err := s.checkTasks(j, m); err != nil {
		c.reply(err)
		return true
	} else if !ok {
		return false
	}
	if m.AllOrNone {
		if err := s.queue.owners.checkOwners(m.Tasks); err != nil {
			c.reply(err)
			return true
		}
		return s.gang(c, j, m)
	}
	if j.all == nil {
		j.all = &wire.PlacedAll{Results: make([]wire.BatchResult, len(m.Tasks))}
	}
	at := len(c.out.Items)
	c.reply(j.all)
	defer s.shut(&j.admission)
	for ; j.placed < len(m.Tasks); j.placed++ {
		i := j.placed
		s.spend(taskWork)
		if s.late() || !s.batched(c, j, bundle{tasks: m.Tasks[i : i+1], index: uint32(i) + 1}) {
			c.out.Items = slices.Delete(c.out.Items, at, at+1)
			return false
		}
	}
	s.hint(j.all)
	return true
}

// checkTasks looks for a task with something wrong in it, and has what the tasks
// require found out. It reports false if the turn is over before it is through.
func (s *State) checkTasks(j *Job, m *wire.Batch) (bool, *wire.Error) {
	for ; j.checked < len(m.Tasks); j.checked++ {
		task := &m.Tasks[j.checked]
		err := s.checkPreempt(j.admission.sess, task, m.AllOrNone)
		if err == nil && (!simple(task) || m.AllOrNone && s.hasty) {
			err = s.read(&j.admission, task)
			s.spend(taskWork)
		}
		if err == notReady || s.late() {
			return false, nil
		}
		if err != nil {
			named := *err
			named.Field = fmt.Sprintf("tasks[%d].%s", j.checked, err.Field)
			return false, &named
		}
	}
	return true, nil
}

// batched places the next task of a batch, or lets it wait. It reports false if
// the turn is over.
func (s *State) batched(c *caller, j *Job, one bundle) bool {
	m, r := &one.tasks[0], &j.all.Results[j.placed]
	if s.queue.n > 0 {
		if err, handled := s.again(c, one); handled {
			if r.Code = wire.CodeWaiting; err != nil {
				r.Refuse(err)
			}
			s.shut(&j.admission) // what was held for who left the queue is there for all
			return true
		}
	}
	err := s.placeOver(&j.admission, m, &r.Placed)
	if err == notReady {
		return false
	}
	if err != nil && s.waits(m, err.Code) {
		if err = s.enqueue(c, one); err == nil {
			r.Code = wire.CodeWaiting
			return true
		}
	}
	if err != nil {
		r.Refuse(s.explain(&j.admission.request, err))
	}
	return true
}

// gang places all tasks of a gang, or none, or lets it wait. It reports false if
// the requirement of a task is to be found out anew.
func (s *State) gang(c *caller, j *Job, m *wire.Batch) bool {
	b := bundle{tasks: m.Tasks, gang: true, distinct: m.Distinct}
	if s.queue.n > 0 {
		if err, handled := s.again(c, b); handled {
			if err != nil {
				c.reply(gangRefused(len(m.Tasks), err))
			}
			return true
		}
	}
	all := &wire.PlacedAll{Results: make([]wire.BatchResult, len(m.Tasks))}
	a, failed := s.placeGangOver(c.sess, m, all.Results)
	if failed >= 0 && all.Results[failed].Code == notReady.Code {
		j.checked = failed
		return false
	}
	if failed >= 0 && s.waits(&m.Tasks[0], all.Results[failed].Code) && !s.queue.owners.neverFits(m.Tasks) {
		err := s.enqueue(c, b)
		if err == nil {
			return true
		}
		all = gangRefused(len(m.Tasks), err)
	} else if failed >= 0 {
		if why := s.refusal(all.Results[failed].Code); why != nil {
			all.Results[failed].Refuse(s.explain(&a.request, why))
		}
	}
	if failed >= 0 {
		s.hint(all)
	}
	c.reply(all)
	return true
}

// gangRefused is the answer to a gang of which the first task is refused.
func gangRefused(tasks int, why *wire.Error) *wire.PlacedAll {
	all := &wire.PlacedAll{Results: make([]wire.BatchResult, tasks)}
	for i := range all.Results {
		all.Results[i].Code = wire.CodeAllOrNone
	}
	all.Results[0].Refuse(why)
	return all
}

// placeGang places all tasks of a gang, or none: then it returns the place of
// the one that found no room, else -1. The admission is that of the last task.
func (s *State) placeGang(sess *session, tasks []wire.Schedule, distinct bool, results []wire.BatchResult) (*admission, int) {
	a := &admission{sess: sess, batch: true, gang: true}
	s.index.KeepStamps(uint32(len(tasks)))
	defer s.index.FreeStamps()
	if distinct {
		a.workers = s.holders(sess, tasks)
	}
	for i := range tasks {
		if err := s.place(a, &tasks[i], &results[i].Placed); err != nil {
			results[i].Code = err.Code
			s.disband(a, results, i)
			return a, i
		}
	}
	for i := range a.made {
		s.passed(s.leases.slots.At(a.made[i].slot).worker)
	}
	s.queue.seatOwner(tasks[0].Owner)
	return a, -1
}

// simple reports whether nothing in a task can be wrong that the decoder does
// not see.
func simple(m *wire.Schedule) bool {
	return len(m.Selector)+len(m.Prefer)+len(m.Policy)+len(m.SpreadBy)+len(m.Resources) == 0
}

// holders returns the workers on which tasks of a batch hold leases already.
func (s *State) holders(sess *session, tasks []wire.Schedule) map[int32]bool {
	workers := map[int32]bool{}
	for i := range tasks {
		if slot, ok, _, _ := s.held(sess, &tasks[i]); ok {
			workers[s.leases.slots.At(slot).worker] = true
		}
	}
	return workers
}

// disband undoes what was granted to a gang whose task at place failed could
// not be placed, the last first.
func (s *State) disband(a *admission, results []wire.BatchResult, failed int) {
	for i := len(a.made) - 1; i >= 0; i-- {
		s.undo(a.made[i].slot, a.made[i].stamp)
	}
	for i := range results {
		if i != failed {
			results[i] = wire.BatchResult{Code: wire.CodeAllOrNone}
		}
	}
}
