package sim

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// touch asks for a look at a worker after this event.
func (t *twin) touch(w *twinWorker) {
	if !w.touched {
		w.touched = true
		t.touched = append(t.touched, w)
	}
}

// judge compares the workers that this event touched.
func (t *twin) judge() {
	for _, w := range t.touched {
		w.touched = false
		t.judgeWorker(w)
		t.judgeGPUs(w)
	}
	t.touched = t.touched[:0]
	if len(t.notes) > 0 || len(t.over) > 0 {
		t.judgeNews()
	}
}

// judgeAll compares every worker, the totals and the timers.
func (t *twin) judgeAll() {
	for _, w := range t.workers {
		if w != nil {
			t.judgeWorker(w)
		}
	}
	t.judgeNews()
	t.judgeScan()
	t.judgeObservation()
	s, ok := t.w.ask(&wire.GetStats{}).(*wire.Stats)
	if !ok {
		t.w.fail("no answer to GetStats")
		return
	}
	for _, r := range []wire.Reason{wire.ReasonOK, wire.ReasonFailed, wire.ReasonRefused, wire.ReasonLost, wire.ReasonRevoked, wire.ReasonPreempted} {
		if got := s.Counters["ended_"+r.String()]; got != t.ends[r] {
			t.w.fail("C: %d leases ended as %s, the twin counts %d", got, r, t.ends[r])
		}
	}
	waiting, classed := 0, map[string]uint64{"low": 0, "normal": 0, "high": 0}
	for _, x := range t.queue.waiters {
		waiting += len(x.tasks)
		switch p := x.tasks[0].Priority; {
		case p < 0:
			classed["low"] += uint64(len(x.tasks))
		case p > 0:
			classed["high"] += uint64(len(x.tasks))
		default:
			classed["normal"] += uint64(len(x.tasks))
		}
	}
	for class, n := range classed {
		if got := s.Counters["waiting_"+class]; got != n {
			t.w.fail("I14: %d tasks of the class %s wait, by the twin %d", got, class, n)
		}
	}
	if got := s.Counters["waiting"]; got != uint64(waiting) {
		t.w.fail("I14: %d tasks wait, by the twin %d", got, waiting)
	}
	t.judgeOwners(s)
	next := t.w.host.state.NextPulse()
	t.judgeQuarantines(s, next)
	for _, l := range t.leases {
		if l.state == wire.StateGranted && l.deadline < next {
			t.w.fail("the core wants its next pulse at %d, the lease %v is due at %d", next, l.id, l.deadline)
		}
		if l.state == wire.StateBegun && l.preempted && l.due < next {
			t.w.fail("the core wants its next pulse at %d, the worker of %v is told at %d", next, l.id, l.due)
		}
	}
}

// judgeWorker compares what is listed of one worker with the twin's view.
func (t *twin) judgeWorker(w *twinWorker) {
	m, ok := t.w.ask(&wire.GetWorker{ID: w.id}).(*wire.Worker)
	if w.removed {
		if ok && t.find(w.id) == nil {
			t.w.fail("the worker %s was removed and is listed", w.id)
		}
		return
	}
	if !ok {
		t.w.fail("the worker %s is not listed", w.id)
		return
	}
	if w.http {
		if m.Info.State != w.presence {
			t.w.fail("%s is %s, its twin %s", w.id, m.Info.State, w.presence)
		}
		if c := t.cordons[w.id]; (c != nil) != slices.Contains(m.Info.Flags, "cordoned") {
			t.w.fail("%s is flagged %v, its cordon is %+v", w.id, m.Info.Flags, c)
		} else if c != nil {
			t.judgeDrain(w, c, &m.Info)
		}
		return
	}
	if got, want := sketch(m), t.sketch(w); got != want {
		t.w.fail("I1: %s is\n%s, its twin\n%s", w.id, got, want)
	}
}

// sketch is everything that is listed of a worker.
func sketch(m *wire.Worker) string {
	i := &m.Info
	s := fmt.Sprint(i.Address, i.Tags, i.State, i.Flags, i.Slots, i.Taken, i.External, i.Incarnation, i.SeenMS, i.CordonReason, i.CordonBy, i.CordonMS, i.Resources, i.Used, i.Devices, i.HeldBy, i.DeadlineMS, " ", i.Recent, i.RecentFailed, i.ProbeMS)
	for _, l := range m.Leases {
		s += fmt.Sprint("\n", l.Lease, l.Task, l.Client, l.State, l.Resources, l.Devices, l.Exclusive, l.Preempted)
	}
	return s
}

// sketch is everything that should be listed of a worker.
func (t *twin) sketch(w *twinWorker) string {
	flags := []string{}
	if !w.promised {
		flags = append(flags, "connecting")
	}
	c := t.cordons[w.id]
	since := uint64(0)
	if c != nil {
		flags = append(flags, c.flags()...)
		since = uint64(t.w.now - c.since)
	} else {
		c = &twinCordon{}
	}
	if q := t.quarantines.suspects[w.id]; q != nil && q.phase != "" {
		if t.cordons[w.id] == nil {
			flags = append(flags, "cordoned")
			c, since = &twinCordon{reason: q.reason, by: byScheduler}, uint64(t.w.now-q.since)
		}
		flags = append(flags, []string{phaseKeptOut, phaseOnProbe}[:1+map[string]int{phaseOnProbe: 1}[q.phase]]...)
	}
	leases, n := t.of(w), t.tally(w)
	if n.over(w.external) {
		flags = append(flags, "overcommitted")
		if uint64(len(leases))+uint64(w.external) <= uint64(w.slots) {
			t.w.counts[FaultOverDevices]++
		}
	}
	taken := len(leases)
	if n.exclusive > 0 {
		taken = max(taken, int(w.slots))
	}
	devices := []wire.DeviceInfo{}
	for i := range w.devices {
		devices = append(devices, n.device(i))
	}
	outcomes := t.sketchOutcomes(w, devices)
	s := fmt.Sprint(w.address, slices.Clip(w.tags), w.presence, flags, w.slots, taken, w.external, w.incarnation, uint64(t.w.now-w.seen), c.reason, c.by, since,
		w.offered(), n.used(), devices, t.heldBy(w), uint64(max(c.deadline-t.w.now, 0)), " ", outcomes)
	for _, l := range leases {
		s += fmt.Sprint("\n", l.id, l.task, l.owned(), l.state, l.takes.resources, l.takes.devices, l.takes.exclusive, l.preempted)
	}
	return s
}

// offered is what is listed of the amounts that a worker has.
func (w *twinWorker) offered() map[string]int64 {
	if w.resources == nil {
		return map[string]int64{}
	}
	return w.resources
}

// heldBy is whom a worker is held for.
func (t *twin) heldBy(w *twinWorker) string {
	x := t.claimant(w)
	if x == nil && slices.Contains(t.queue.held, w) {
		x = t.queue.holder
	}
	if x == nil {
		return ""
	}
	return x.describe()
}
