package loadtest

import (
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// task is a task that runs on a simulated worker.
type task struct {
	worker *worker
	lease  wire.LeaseID
	over   bool // ended before its time, or died with its worker

	stubborn bool // was preempted, and goes on until it is killed
}

// pauseStep is how long a task that should end waits while none may.
const pauseStep = int64(time.Second)

// start runs the task of a lease, unless it runs already.
func (w *worker) start(now int64, id wire.LeaseID) {
	if w.running[id] != nil {
		return
	}
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
	if t.stubborn && !t.over {
		return // it runs on, so it is not used again
	}
	if !t.over {
		t.worker.end(now, t)
	}
	s.tasks = append(s.tasks, t)
}

// end ends a task that runs at its own time.
func (w *worker) end(now int64, t *task) {
	outcome := wire.ReasonOK
	if w.sh.rng.IntN(20) == 0 {
		outcome = wire.ReasonFailed
	}
	w.finish(now, t, outcome)
}

// finish ends a task that runs, and reports it.
func (w *worker) finish(now int64, t *task, outcome wire.Reason) {
	id := t.lease
	t.over = true
	delete(w.running, id)
	w.sh.run.live.Add(-1)
	w.sh.counts.Ends++
	w.sh.run.judge.Ended(w.index, id)
	w.link.ended(now, id, outcome)
}

// lose has all tasks die with the worker.
func (w *worker) lose() {
	w.sh.run.judge.Lost(w.index)
	for id, t := range w.running {
		t.over = true
		delete(w.running, id)
		w.sh.counts.Lost++
		w.sh.run.live.Add(-1)
	}
}
