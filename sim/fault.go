package sim

import "github.com/dtask/dtask-scheduler/sim/fault"

// plan says which faults a run has and how often.
type plan struct {
	every   int                // mean milliseconds from one to the next; 0: a quiet run
	weights [fault.Planned]int // of each kind; 0: not in this run
	total   int
}

// drawPlan draws a plan: one run in eight is quiet, the others have some of
// the kinds, each with a weight of its own.
func (w *World) drawPlan() plan {
	var p plan
	if w.chance(1, 8) {
		return p
	}
	p.every = w.between(200, 6000)
	for i := range p.weights {
		if w.chance(1, 2) {
			p.weights[i] = w.between(1, 10)
			p.total += p.weights[i]
		}
	}
	if p.total == 0 {
		p.every = 0
	}
	return p
}

// draw draws one kind of the plan.
func (p *plan) draw(w *World) fault.Kind {
	n := w.rng.IntN(p.total)
	for i, weight := range p.weights {
		if n -= weight; n < 0 {
			return fault.Kind(i)
		}
	}
	return fault.AgentLink
}
