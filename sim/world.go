package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/sim/twin"
	"github.com/dtask/dtask-scheduler/wire"
)

// World is one scheduler with its agents, clients and workers that speak
// HTTP, under one virtual clock.
type World struct {
	now    sched.Time
	rng    *rand.Rand
	queue  queue
	auto   bool // messages and timers move by themselves; else a script moves them
	seed   uint64
	events int

	host     *host
	links    []*link // by session
	live     []*link // those that may still carry messages to the scheduler
	agents   []*agent
	clients  []*client
	webs     []*web
	gateway  *gateway
	operator *operator

	truth    truth
	twin     *twin.Twin // nil in a script
	manners  manners
	plan     plan
	counts   fault.Counts
	formulas map[string]*offer.Formula // that were ever asked for, by their texts; never walked
	healing  bool                      // no further faults, nothing new is asked for

	dec   wire.Decoder
	pool  [][]byte
	trace trace
	err   error

	gpus     int                   // how many have a UUID
	poisoned map[string]sched.Time // the tasks of an owner fail until then; never walked
}

// manners are the numbers of one run that are drawn once.
type manners struct {
	latency     int // milliseconds that most messages take at most
	slow        int // one message in so many is much slower
	lateBegin   int // one begin in so many takes seconds
	twice       int // one begin, heartbeat or datagram in so many comes twice
	lossy       int // one datagram in so many is lost
	lateBeat    int // one datagram in so many takes seconds
	latePulse   int // one pulse in so many is late
	runs        int // mean milliseconds of a task
	rest        int // mean milliseconds from one task of a client to the next
	tasksAtOnce int // of one client
	patient     int // of ten tasks so many wait for room
	needy       int // of ten tasks so many ask for more than tags
}

// Longest times of the simulation, in milliseconds.
const (
	maxLate = 20_000 // a message or begin under way
	startBy = 60_000 // from a grant to its begin
)

func newWorld(seed uint64) *World {
	w := &World{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x9E3779B97F4A7C15))}
	w.trace.hash = hashStart
	w.truth.byID, w.truth.sworn = map[wire.LeaseID]*lease{}, map[wire.LeaseID]uint64{}
	w.truth.cordoned, w.truth.emptied = map[string]bool{}, map[string]sched.Time{}
	w.formulas = map[string]*offer.Formula{}
	w.poisoned = map[string]sched.Time{}
	return w
}

// at lets something happen at a moment, now at the earliest.
func (w *World) at(t sched.Time, do func()) { w.queue.push(max(t, w.now), do) }

// await tries again when somebody who stands still should move, and every
// second, because it may move earlier.
func (w *World) await(t sched.Time, do func()) { w.at(min(t, w.now+1000), do) }

// after lets something happen after so many milliseconds.
func (w *World) after(ms int, do func()) { w.at(w.now+sched.Time(ms), do) }

// between draws a number of [low, high].
func (w *World) between(low, high int) int { return low + w.rng.IntN(high-low+1) }

// chance is true n times in of.
func (w *World) chance(n, of int) bool { return w.rng.IntN(of) < n }

// drawn is true once in so many times, never if that is 0 or the faults are over.
func (w *World) drawn(oneIn int) bool { return !w.healing && oneIn > 0 && w.chance(1, oneIn) }

// around draws a waiting time with the given mean, at most ten times that.
func (w *World) around(mean int) int {
	return min(int(w.rng.ExpFloat64()*float64(mean))+1, 10*mean)
}

// delay draws how long a message takes.
func (w *World) delay() sched.Time {
	if !w.healing && w.manners.slow > 0 && w.chance(1, w.manners.slow) {
		return sched.Time(min(w.between(1, 100*w.manners.latency), maxLate/4))
	}
	return sched.Time(w.rng.IntN(w.manners.latency + 1))
}

// random64 draws a number that is not 0.
func (w *World) random64() uint64 { return w.rng.Uint64() | 1 }

func (w *World) say(format string, args ...any) { w.trace.printf(w.now, format, args...) }

// fail notes the first violation; the run ends there.
func (w *World) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.say("VIOLATION  %v", w.err)
	}
}

var errNoEvents = errors.New("nothing is left to happen")

// runUntil lets everything happen that is due until a moment.
func (w *World) runUntil(end sched.Time) error {
	for w.err == nil {
		if len(w.queue.heap) == 0 {
			return errNoEvents
		}
		if w.queue.heap[0].at > end {
			w.now = end
			return nil
		}
		e := w.queue.pop()
		w.now = e.at
		e.do()
		w.events++
		w.trace.number(uint64(w.now))
		w.judge()
	}
	return w.err
}

// checkEvery is how many events lie between two looks at everything.
const checkEvery = 64

// judge looks at what an event touched, and at everything every 64 events.
func (w *World) judge() {
	w.truth.judge(w)
	if w.twin != nil {
		w.twin.Judge()
	}
	if w.events%checkEvery == 0 {
		w.judgeAll()
	}
}

// judgeAll looks at everything.
func (w *World) judgeAll() {
	if err := w.host.state.Check(); err != nil {
		w.fail("Check: %w", err)
	}
	for _, a := range w.agents {
		w.truth.touch(a)
		if err := a.book.Check(); err != nil {
			w.fail("agent %s: %w", a.name(), err)
		}
	}
	w.truth.judge(w)
	if w.twin != nil {
		w.twin.JudgeAll()
		w.judgeTotals()
	}
}
