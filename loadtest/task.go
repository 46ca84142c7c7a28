package loadtest

import (
	"errors"
	"time"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

// task is a task that runs on a simulated worker.
type task struct {
	worker *worker
	lease  wire.LeaseID
	over   bool // ended before its time, or died with its worker
}

// pauseStep is how long a task that should end waits while none may.
const pauseStep = int64(time.Second)

// begin is the handover: a client gives the worker a lease, and the worker
// answers whether the task runs.
func (w *worker) begin(now int64, h *wire.Handover, caller string) error {
	report, err := w.ledger.Begin(h, caller)
	switch {
	case err == nil:
		w.sh.run.judge.Began(w.index, h.Lease)
		if w.running[h.Lease] == nil {
			w.start(now, h.Lease)
		}
		if report != nil {
			w.send(0, report)
		}
		return nil
	case errors.Is(err, ledger.ErrFull):
		w.sh.run.judge.Full(w.index, h.Lease)
		if end := w.ledger.Refused(); end != nil {
			w.sendEnd(now, end)
		}
	}
	w.sh.counts.BeginRefused++
	w.tidy(now)
	return err
}

func (w *worker) start(now int64, id wire.LeaseID) {
	s := w.sh
	t := &task{}
	if n := len(s.tasks); n > 0 {
		t, s.tasks = s.tasks[n-1], s.tasks[:n-1]
	}
	*t = task{worker: w, lease: id}
	w.running[id] = t
	s.counts.Begins++
	s.run.live.Add(1)
	s.loop.At(now+s.exponential(s.run.cfg.TaskTime), t, 0)
}

// Ring implements poll.Alarm: the task's time is over.
func (t *task) Ring(now int64, _ uint64) {
	s := t.worker.sh
	if s.pausing && !t.over {
		s.loop.At(now+pauseStep, t, 0)
		return
	}
	if !t.over {
		t.worker.end(now, t)
	}
	s.tasks = append(s.tasks, t)
}

// end ends a task that runs, and reports it.
func (w *worker) end(now int64, t *task) {
	id := t.lease
	t.over = true
	delete(w.running, id)
	w.sh.run.live.Add(-1)
	w.sh.counts.Ends++
	w.sh.run.judge.Ended(w.index, id)
	outcome := wire.ReasonOK
	if w.sh.rng.IntN(20) == 0 {
		outcome = wire.ReasonFailed
	}
	report, err := w.ledger.End(id, outcome)
	if err == nil && report != nil {
		w.sendEnd(now, report)
	}
	w.tidy(now)
}

// crash kills the worker as a process dies. With keep it comes back as a new
// incarnation that runs what it ran, else its tasks die with it.
func (w *worker) crash(now int64, keep bool) {
	if w.conn != nil {
		w.conn.Close()
		w.conn, w.stage = nil, stageDown
		w.sh.counts.Reconnects++
	}
	w.life++
	w.ends = w.ends[:0]
	old := w.ledger
	w.reset()
	if keep {
		w.restore(old)
	} else {
		w.lose()
	}
	w.failures = 0
	w.later(now)
}

// restore takes over what the ledger of the former incarnation knew durably.
func (w *worker) restore(old *ledger.Ledger) {
	for record, caller := range old.All() {
		if err := w.ledger.Restore(*record, caller); err != nil {
			panic("loadtest: a list that one ledger held does not fit into another: " + err.Error())
		}
	}
}

func (w *worker) lose() {
	w.sh.run.judge.Lost(w.index)
	for id, t := range w.running {
		t.over = true
		delete(w.running, id)
		w.sh.counts.Lost++
		w.sh.run.live.Add(-1)
	}
}
