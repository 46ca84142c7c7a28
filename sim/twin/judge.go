package twin

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// touch asks for a look at a worker after this event.
func (t *Twin) touch(w *worker) {
	if !w.touched {
		w.touched = true
		t.touched = append(t.touched, w)
	}
}

// Judge compares the workers that this event touched.
func (t *Twin) Judge() {
	for _, w := range t.touched {
		w.touched = false
		t.judgeWorker(w)
		t.judgeGPUs(w)
	}
	t.touched = t.touched[:0]
	if len(t.notes) > 0 {
		t.judgeEvents()
	}
}

// JudgeAll compares every worker, the queue, the counts and the timers.
func (t *Twin) JudgeAll() {
	for _, w := range t.workers {
		if w != nil {
			t.judgeWorker(w)
		}
	}
	t.judgeEvents()
	t.judgeQueue()
	s, ok := t.w.Ask(&wire.GetStats{}).(*wire.Stats)
	if !ok {
		t.w.Fail("no answer to GetStats")
		return
	}
	for _, r := range []wire.Reason{wire.ReasonOK, wire.ReasonFailed, wire.ReasonRefused, wire.ReasonLost, wire.ReasonRevoked, wire.ReasonPreempted} {
		if got := s.Counters["ended_"+r.String()]; got != t.ends[r] {
			t.w.Fail("C: %d leases ended as %s, the twin counts %d", got, r, t.ends[r])
		}
	}
	next := t.w.NextPulse()
	t.judgeQuarantines(s, next)
	for _, l := range t.leases {
		if l.state == wire.StateGranted && l.deadline < next {
			t.w.Fail("the core wants its next pulse at %d, the lease %v is due at %d", next, l.id, l.deadline)
		}
		if l.state == wire.StateBegun && l.preempted && l.due < next {
			t.w.Fail("the core wants its next pulse at %d, the worker of %v is told at %d", next, l.id, l.due)
		}
	}
}

// judgeWorker compares what is listed of one worker with the twin's view.
func (t *Twin) judgeWorker(w *worker) {
	m, ok := t.w.Ask(&wire.GetWorker{ID: w.id}).(*wire.Worker)
	if w.removed {
		if ok && t.find(w.id) == nil {
			t.w.Fail("the worker %s was removed and is listed", w.id)
		}
		return
	}
	if !ok {
		t.w.Fail("the worker %s is not listed", w.id)
		return
	}
	t.judgeDrain(w, &m.Info)
	if w.http {
		if c := t.cordons[w.id]; m.Info.State != w.presence || (c != nil) != slices.Contains(m.Info.Flags, "cordoned") {
			t.w.Fail("%s is %s and flagged %v, its twin %s, its cordon %+v", w.id, m.Info.State, m.Info.Flags, w.presence, c)
		}
		return
	}
	if got, want := sketch(m), t.sketch(w); got != want {
		t.w.Fail("I1: %s is\n%s, its twin\n%s", w.id, got, want)
	}
}

// sketch is what is compared of a worker: its state, what it has, what runs.
func sketch(m *wire.Worker) string {
	i := &m.Info
	flags := slices.DeleteFunc(slices.Clone(i.Flags), func(f string) bool { return f == "drained" || f == "draining" })
	s := fmt.Sprint(i.State, flags, i.Slots, i.Taken, i.External, i.Incarnation, i.SeenMS, i.Used, i.HeldBy, i.DeadlineMS, " ", i.Recent, i.RecentFailed, i.ProbeMS)
	for _, l := range m.Leases {
		s += fmt.Sprint("\n", l.Lease, l.Task, l.Client, l.Owner, l.State, l.Resources, l.Devices, l.Exclusive, l.Preempted)
	}
	return s
}

// sketch is what should be listed of a worker.
func (t *Twin) sketch(w *worker) string {
	flags := []string{}
	if !w.promised {
		flags = append(flags, "connecting")
	}
	q, c := t.quarantines.outliers[w.id], t.cordons[w.id]
	out, deadline := q != nil && q.phase != "", sched.Time(0)
	if c != nil || out {
		flags = append(flags, "cordoned")
	}
	if c != nil {
		deadline = max(c.deadline-t.w.Now(), 0)
	}
	if out {
		flags = append(flags, phaseEjected)
	}
	if out && q.phase == phaseOnProbe {
		flags = append(flags, phaseOnProbe)
	}
	leases, n := t.of(w), t.tally(w)
	if n.Over(w.external) {
		flags = append(flags, "overcommitted")
		if uint64(len(leases))+uint64(w.external) <= uint64(w.Slots) {
			t.w.Hit(fault.OverDevices)
		}
	}
	taken := len(leases)
	if n.Exclusive > 0 {
		taken = max(taken, int(w.Slots))
	}
	left := sched.Time(0)
	if out && q.phase == phaseEjected {
		left = max(q.timer-t.w.Now(), 0)
	}
	s := fmt.Sprint(w.presence, flags, w.Slots, taken, w.external, w.incarnation, uint64(t.w.Now()-w.seen), n.Used(), t.heldBy(w), uint64(deadline), " ", len(w.recent), len(w.failed()), left)
	for _, l := range leases {
		s += fmt.Sprint("\n", l.id, l.task, l.owned(), l.owner, l.state, l.takes.Resources, l.takes.Devices, l.takes.Exclusive, l.preempted)
	}
	return s
}

// heldBy is whom a worker is held for.
func (t *Twin) heldBy(w *worker) string {
	x := t.claimant(w)
	if x == nil && slices.Contains(t.queue.held, w) {
		x = t.queue.holder
	}
	if x == nil {
		return ""
	}
	return x.describe()
}
