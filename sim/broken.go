package sim

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// failFast is the mean time, in milliseconds, that a task takes to fail on a
// machine that is broken, or of an owner whose tasks fail everywhere.
const failFast = 40

// drawQuarantine draws the numbers of quarantines: small ones, so that a short
// run sees many.
func (w *World) drawQuarantine(cfg *sched.Config) {
	cfg.Quarantine = w.chance(7, 8)
	cfg.QuarantineFailures = w.between(2, 6)
	cfg.QuarantineOwners = w.between(1, min(cfg.QuarantineFailures, 3))
	cfg.QuarantineShare = w.between(0, 1) * w.between(0, 100)
	cfg.QuarantineFirst = sched.Time(w.between(1, 30) * w.between(20, 100))
	cfg.QuarantineMost = cfg.QuarantineFirst * sched.Time(w.between(1, 10))
	cfg.QuarantineMemory = sched.Time(w.between(2, 60)) * 1000
}

// breakDown lets a machine fail its tasks for a while, as one with a dead GPU
// does. Sometimes somebody takes it away when it is in quarantine.
func (a *agent) breakDown() {
	w := a.w
	a.broken = w.now + sched.Time(w.around(15_000))
	w.say("%s: fails its tasks until %d", a.name(), a.broken)
	if w.chance(1, 2) {
		w.after(200, a.takeAway)
	}
}

// takeAway lets a broken machine leave when it is in quarantine.
func (a *agent) takeAway() {
	w := a.w
	switch {
	case w.now >= a.broken || a.down: // another fault came before, or none is left
	case !w.twin.Quarantined(a.worker) || !a.leave():
		w.after(200, a.takeAway)
	default:
		a.restartIn(w.between(2000, 30_000), w.chance(1, 2))
	}
}

// poison lets the tasks of an owner fail everywhere for a while.
func (w *World) poison() {
	owner := []string{"ann", "bob", ""}[w.rng.IntN(3)]
	w.poisoned[owner] = w.now + sched.Time(w.around(10_000))
	w.say("the tasks of %q fail until %d", owner, w.poisoned[owner])
}

// spoils reports whether a task must fail.
func (a *agent) spoils(l *lease) bool {
	return a.w.now < a.broken || a.w.now < a.w.poisoned[l.target.Owner]
}

// runsFor is the mean time that a task takes.
func (a *agent) runsFor(l *lease) int {
	if a.spoils(l) {
		return failFast
	}
	return a.w.manners.runs
}

// outcome draws how a task ends.
func (a *agent) outcome(l *lease) wire.Reason {
	switch {
	case a.spoils(l):
		return []wire.Reason{wire.ReasonFailed, wire.ReasonFailed, wire.ReasonLost, wire.ReasonRefused}[a.w.rng.IntN(4)]
	case a.w.chance(1, 5):
		return wire.ReasonFailed
	}
	return wire.ReasonOK
}
