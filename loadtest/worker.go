package loadtest

import (
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// answerLimit is how long a living connection may leave a call unanswered.
const answerLimit = int64(30 * time.Second)

// stage is how far a worker's link has come.
type stage uint8

const (
	stageDown stage = iota
	stageHello
	stageRegistering
	stageReady
)

// worker is one simulated worker: what runs there, and its link to the
// scheduler.
type worker struct {
	sh       *shard
	spec     *spec
	index    int // in the fleet
	link     link
	stage    stage
	ready    bool // has been ready once
	quitting bool
	failures int
	life     uint64 // counts links and their ends, so that timers of earlier ones are distinguished
	interval time.Duration
	running  map[wire.LeaseID]*task
}

// link is how a worker talks to the scheduler.
type link interface {
	// connect takes the first step towards the scheduler.
	connect()
	// begin is the handover: a client gives the worker a lease. The error says
	// why its task does not run.
	begin(now int64, h *wire.Handover, caller string) error
	// ended reports that a task is over.
	ended(now int64, id wire.LeaseID, outcome wire.Reason)
	// crash kills the worker as a process dies, and has it come back. With keep
	// it still runs what it ran, else its tasks die with it.
	crash(now int64, keep bool)
	// quit deregisters the worker; it does not come back.
	quit()
	// unacknowledged returns how many ends the scheduler has not acknowledged.
	unacknowledged() int
	// unanswered returns how many datagrams may still be acknowledged.
	unanswered() int
}

func newWorker(s *shard, spec *spec, index int) *worker {
	w := &worker{sh: s, spec: spec, index: index, interval: s.run.cfg.Heartbeat, running: make(map[wire.LeaseID]*task)}
	if spec.over == HTTP {
		w.link = &reporter{worker: w}
	} else {
		w.link = newNative(w)
	}
	return w
}

// What a worker's timers mean; the number of the link is above these bits.
const (
	timerBeat uint64 = iota
	timerConnect
	timerAgain
	timerBits = 4
)

// registered notes that the scheduler knows the worker.
func (w *worker) registered() {
	w.stage, w.failures = stageReady, 0
	if !w.ready {
		w.ready = true
		w.sh.run.ready.Add(1)
		w.sh.startWorkers(1)
	}
}

// firstBeat returns when a new link sends its first heartbeat.
func (w *worker) firstBeat(now int64) int64 {
	if w.sh.run.cfg.Burst {
		return w.nextBeat(now)
	}
	return now + w.sh.rng.Int64N(int64(w.interval))
}

// nextBeat returns when the next heartbeat is due. In a burst that is the same
// moment for all workers: the loops share one clock.
func (w *worker) nextBeat(now int64) int64 {
	every := int64(w.interval)
	if w.sh.run.cfg.Burst {
		return (now/every + 1) * every
	}
	return now + every - every/10 + w.sh.rng.Int64N(every/5+1)
}
