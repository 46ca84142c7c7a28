package loadtest

import (
	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	gangShare   = 0.2 // of the requests of the profile gangs; each has several tasks
	largestGang = 6
)

// gang is some jobs that are asked for at once: all are placed, or none.
type gang struct {
	jobs     []*job
	distinct bool
	batch    wire.Batch
}

// gather makes a gang of a job and some more that need the same.
func (c *client) gather(first *job) *gang {
	s := c.sh
	g := &gang{jobs: []*job{first}, distinct: s.rng.IntN(2) == 0}
	for range 1 + s.rng.IntN(largestGang-1) {
		j := c.newJob(false)
		j.need, j.web = first.need, false
		g.jobs = append(g.jobs, j)
	}
	for _, j := range g.jobs {
		j.apart = g.distinct
	}
	return g
}

// message builds the request, the same each time.
func (g *gang) message() wire.Message {
	g.batch = wire.Batch{AllOrNone: true, Distinct: g.distinct, Tasks: g.batch.Tasks[:0]}
	for _, j := range g.jobs {
		g.batch.Tasks = append(g.batch.Tasks, *j.message(stepSchedule).(*wire.Schedule))
	}
	return &g.batch
}

// answered goes on with the answer to all of a gang.
func (g *gang) answered(now int64, k *call, m wire.Message) {
	j := g.jobs[0].client.sh.run.judge
	all, ok := m.(*wire.PlacedAll)
	if e, refused := m.(*wire.Error); refused || !ok || len(all.Results) != len(g.jobs) {
		if !refused {
			j.Broken(judge.Unexpected, "%v: a gang was answered with %v", g.jobs[0].task, m.Kind())
			e = &wire.Error{Code: wire.CodeInternal}
		}
		for _, job := range g.jobs {
			job.refused(now, k, e)
		}
		return
	}
	placed, workers := 0, map[string]bool{}
	for i := range all.Results {
		if r := &all.Results[i]; r.Code == wire.CodeOK {
			id, _ := wire.ReadTarget(r.Placed.Target)
			placed++
			workers[id] = true
		}
	}
	if placed > 0 && placed < len(g.jobs) {
		j.Broken(judge.GangInPart, "%v: of a gang of %d tasks %d were placed", g.jobs[0].task, len(g.jobs), placed)
	}
	if g.distinct && len(workers) < placed {
		j.Broken(judge.NotDistinct, "%v: %d tasks of a gang that wants distinct workers are on %d", g.jobs[0].task, placed, len(workers))
	}
	for i, job := range g.jobs {
		if r := &all.Results[i]; r.Code == wire.CodeOK {
			job.placed(now, k, &r.Placed)
		} else {
			job.refused(now, k, &wire.Error{Code: r.Code})
		}
	}
}
