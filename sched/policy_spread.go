package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

func init() { policies["spread"] = spread }

// spread chooses among the workers whose value of a tag key has got the fewest
// tasks of the batch so far, and of these the least loaded. Workers without
// the key share a value.
func spread(s *State, a *admission) *wire.Error {
	m, q := a.request.m, &a.request.query
	switch {
	case !a.batch:
		return badField("policy", "spread needs a batch: there is nothing to spread one task over")
	case len(m.SpreadBy) == 0:
		return badField("spread_by", "is missing: the policy spread needs a tag key")
	case m.WaitMS > 0 && !a.gang:
		return badField("wait_ms", "does not go with the policy spread, unless the batch is a gang")
	}
	q.Spread = a.spreads[string(m.SpreadBy)]
	if q.Spread == nil {
		q.Spread = s.index.NewSpread(string(m.SpreadBy))
		if a.spreads == nil {
			a.spreads = map[string]*index.Spread{}
		}
		a.spreads[string(m.SpreadBy)] = q.Spread
	}
	return nil
}
