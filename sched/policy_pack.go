package sched

import "github.com/dtask/dtask-scheduler/wire"

func init() { policies["pack"] = pack }

// pack chooses the most loaded worker that fits, and of equals the one given
// last: machines stay empty for tasks that need much.
func pack(_ *State, a *admission) *wire.Error {
	a.request.query.Most = true
	return nil
}
