package server

import (
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// yield holds the keys of a task that say of making room: for it, and by it. Both
// may be missing.
type yield struct {
	Preempt   bool   `json:"preempt"`
	OnPreempt string `json:"on_preempt"`
}

// fault returns what is wrong with them, or nil. A task that preempts has to
// wait for the others at least as long as they may take.
func (q *yield) fault(waitMS int64, grace sched.Time) *wire.Error {
	switch on, known := wire.ParseOnPreempt(q.OnPreempt); {
	case !known:
		return badField("on_preempt", "is neither end nor never", 0)
	case on == wire.OnPreemptRequeue:
		return badField("on_preempt", "requeue is for clients of the native protocol: nobody could be told over HTTP", 0)
	case q.Preempt && waitMS == 0:
		return badField("max_wait_ms", "is missing: who preempts waits until others have made room", 0)
	case q.Preempt && waitMS < int64(grace):
		return badField("max_wait_ms", "is less than the grace of "+(time.Duration(grace)*time.Millisecond).String()+" of the tasks that make room", int(grace))
	}
	return nil
}

// fill sets them in what the core is asked.
func (q *yield) fill(m *wire.Schedule) {
	m.Preempt = q.Preempt
	m.OnPreempt, _ = wire.ParseOnPreempt(q.OnPreempt) // or it would have been refused
}

// appendOnPreempt appends what becomes of a task that must make room as a key of
// an object, unless it is the usual.
func appendOnPreempt(b []byte, word string) []byte {
	if on, _ := wire.ParseOnPreempt(word); on != wire.OnPreemptDefault {
		b = append(append(append(b, `,"on_preempt":"`...), on.String()...), '"')
	}
	return b
}
