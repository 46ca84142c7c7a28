package sched

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

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
		if err := s.queue.checkOwners(m.Tasks); err != nil {
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
	for ; j.placed < len(m.Tasks); j.placed++ {
		s.spend(taskWork)
		if s.late() || !s.batched(c, j, m) {
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
func (s *State) batched(c *caller, j *Job, m *wire.Batch) bool {
	i := j.placed
	_, err := s.admit(c, &j.admission, bundle{tasks: m.Tasks[i : i+1], index: uint32(i) + 1}, j.all.Results[i:i+1])
	if err != nil && err != notReady {
		j.all.Results[i].Refuse(err)
	}
	return err != notReady
}

// gang places all tasks of a gang, or none, or lets it wait. It reports false if
// the requirement of a task is to be found out anew.
func (s *State) gang(c *caller, j *Job, m *wire.Batch) bool {
	j.admission.plan = &j.plan
	all := &wire.PlacedAll{Results: make([]wire.BatchResult, len(m.Tasks))}
	failed, err := s.admit(c, &j.admission, bundle{tasks: m.Tasks, gang: true, distinct: m.Distinct}, all.Results)
	switch {
	case err == nowWaiting:
		return true
	case err == planUndecided:
		return false
	case err == notReady:
		j.checked = failed
		return false
	case err != nil:
		all = gangRefused(len(m.Tasks), failed, err)
		s.hint(all)
	}
	c.reply(all)
	return true
}

// gangRefused is the answer to a gang of which one task is refused.
func gangRefused(tasks, failed int, why *wire.Error) *wire.PlacedAll {
	all := &wire.PlacedAll{Results: make([]wire.BatchResult, tasks)}
	for i := range all.Results {
		all.Results[i].Code = wire.CodeAllOrNone
	}
	all.Results[failed].Refuse(why)
	return all
}

// simple reports whether nothing in a task can be wrong that the decoder does
// not see.
func simple(m *wire.Schedule) bool {
	return len(m.Selector)+len(m.Prefer)+len(m.Policy)+len(m.SpreadBy)+len(m.Resources) == 0
}
