package loadtest

import (
	"time"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/loadtest/poll"
	"github.com/dtask/dtask-scheduler/wire"
)

// answerLimit is how long a living connection may leave a call unanswered.
const answerLimit = int64(30 * time.Second)

// stage is how far a connection has come.
type stage uint8

const (
	stageDown stage = iota
	stageHello
	stageRegistering
	stageReady
)

// worker is one simulated worker: a ledger, a connection and timers.
type worker struct {
	sh       *shard
	spec     *spec
	index    int // in the fleet
	ledger   *ledger.Ledger
	conn     *poll.Conn // nil while there is none
	stage    stage
	ready    bool // has been ready once
	quitting bool
	failures int
	life     uint64 // counts connections and their ends, so that timers of earlier ones are told apart
	since    int64  // of the stage
	beat     time.Duration
	request  uint64
	ends     []unacknowledged
	running  map[wire.LeaseID]*task
}

// unacknowledged is an End on its way.
type unacknowledged struct {
	request uint64
	lease   wire.LeaseID
	sent    int64
}

func newWorker(s *shard, spec *spec, index int) *worker {
	w := &worker{sh: s, spec: spec, index: index, beat: s.run.cfg.Heartbeat, running: make(map[wire.LeaseID]*task)}
	w.reset()
	return w
}

// reset gives the worker an empty ledger of a new incarnation.
func (w *worker) reset() {
	incarnation := w.sh.incarnation()
	w.ledger = ledger.New(ledger.Config{
		Worker: w.spec.id, Address: w.spec.address, Tags: w.spec.tags, Slots: uint32(w.spec.slots),
		Resources: w.spec.resources, Incarnation: incarnation,
	})
	w.sh.run.judge.Incarnation(w.index, incarnation)
}

// What a worker's timers mean; the connection's number is above these bits.
const (
	timerBeat uint64 = iota
	timerConnect
	timerBits = 4
)

// Ring implements poll.Alarm.
func (w *worker) Ring(now int64, what uint64) {
	if what>>timerBits != w.life {
		return
	}
	switch what & (1<<timerBits - 1) {
	case timerConnect:
		w.connect()
	case timerBeat:
		w.heartbeat(now)
	}
}

func (w *worker) timer(at int64, what uint64) { w.sh.loop.At(at, w, w.life<<timerBits|what) }

func (w *worker) connect() {
	if w.conn != nil || w.quitting {
		return
	}
	c, err := w.sh.loop.Dial(w.sh.to, w)
	if err != nil {
		w.later(w.sh.loop.Now())
		return
	}
	w.conn = c
}

// later tries to connect again after a while.
func (w *worker) later(now int64) {
	w.timer(w.sh.back(now, w.failures), timerConnect)
	w.failures++
}

// Opened implements poll.Handler.
func (w *worker) Opened(now int64) {
	w.stage, w.since = stageHello, now
	w.send(0, &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleAgent, Client: w.spec.id})
	w.timer(now+w.jitter(), timerBeat)
}

// Closed implements poll.Handler.
func (w *worker) Closed(now int64, _ error) { w.dropped(now) }

// drop closes the connection and comes back later.
func (w *worker) drop(now int64) {
	if w.conn != nil {
		w.conn.Close()
		w.dropped(now)
	}
}

func (w *worker) dropped(now int64) {
	w.conn, w.stage = nil, stageDown
	w.life++
	w.ends = w.ends[:0]
	w.ledger.Disconnected()
	if w.quitting {
		w.sh.run.gone.Add(1)
		return
	}
	w.sh.counts.Reconnects++
	w.later(now)
}

func (w *worker) send(request uint64, m wire.Message) {
	if w.conn != nil {
		w.conn.Put(wire.Append(w.conn.Grab(), request, m))
	}
}

func (w *worker) call(m wire.Message) uint64 {
	w.request++
	w.send(w.request, m)
	return w.request
}

// register announces the worker and all it runs.
func (w *worker) register(now int64) {
	if w.ledger.MemoryFull() {
		w.supersede()
	}
	w.stage, w.since = stageRegistering, now
	w.call(w.ledger.Register())
}

// renew draws a new incarnation and registers it on the same connection.
func (w *worker) renew(now int64) {
	w.supersede()
	w.register(now)
}

// supersede draws a new incarnation that runs on what the old one ran.
func (w *worker) supersede() {
	incarnation := w.sh.incarnation()
	w.ledger.Superseded(incarnation)
	w.sh.run.judge.Incarnation(w.index, incarnation)
	w.ends = w.ends[:0]
	w.sh.counts.Superseded++
}

// heartbeat reports that the worker lives, and looks for calls that nobody
// answers.
func (w *worker) heartbeat(now int64) {
	w.timer(now+int64(w.beat)-int64(w.beat)/10+w.sh.rng.Int64N(int64(w.beat)/5+1), timerBeat)
	if w.stage == stageReady {
		if m := w.ledger.Heartbeat(0); m != nil {
			w.send(0, m)
			w.sh.counts.Heartbeats++
		}
	} else if now-w.since > answerLimit {
		w.sh.run.judge.Broken(judge.Unanswered, "%s: no answer to its hello or registration in 30 s", w.spec.id)
		w.drop(now)
		return
	}
	if len(w.ends) > 0 && now-w.ends[0].sent > answerLimit {
		w.sh.run.judge.Broken(judge.Unanswered, "%s: the end of lease %v was not acknowledged in 30 s", w.spec.id, w.ends[0].lease)
		w.drop(now)
	}
}

// jitter is the phase of the first heartbeat of a connection.
func (w *worker) jitter() int64 { return w.sh.rng.Int64N(int64(w.beat)) }
