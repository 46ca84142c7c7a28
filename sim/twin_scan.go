package sim

import (
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// judgeScan compares the totals of a scan of the fleet with what is listed of
// its workers, one by one, which the twin has compared with its own view.
func (t *twin) judgeScan() {
	var scan sched.FleetScan
	for done := false; !done; {
		done = t.w.host.state.ScanFleet(&scan)
	}
	if scan.Fault != "" {
		t.w.fail("the scan of the fleet has found: %s", scan.Fault)
	}
	page, ok := t.w.ask(&wire.ListWorkers{}).(*wire.Workers)
	if !ok || page.Next != "" {
		t.w.fail("no list of all workers")
		return
	}
	flags, resources := [len(sched.Flags)]int{}, map[string]sched.Amount{sched.Slots: {}}
	for i := range page.Rows {
		info := &page.Rows[i]
		for f, name := range sched.Flags {
			if slices.Contains(info.Flags, name) && (name != "connecting" || info.State == presenceOnline) {
				flags[f]++
			}
		}
		if info.State == presenceOnline {
			addListed(resources, info, t.mayGet(info))
		}
	}
	if scan.Workers != len(page.Rows) || scan.Flags != flags || !maps.Equal(scan.Resources, resources) {
		t.w.fail("the scan of the fleet has\n%d workers %v %v\nand the lists\n%d workers %v %v",
			scan.Workers, scan.Flags, scan.Resources, len(page.Rows), flags, resources)
	}
}

// mayGet reports whether a worker that is online gets new tasks, were there
// room: nobody has the whole of it, nor is it held or out of service.
func (t *twin) mayGet(info *wire.WorkerInfo) bool {
	w := t.find(info.ID)
	whole := w != nil && !w.http && t.tally(w).exclusive > 0
	return !whole && info.HeldBy == "" && !slices.Contains(info.Flags, "connecting") && !slices.Contains(info.Flags, "cordoned")
}

// addListed adds what is listed of a worker to the totals.
func addListed(totals map[string]sched.Amount, info *wire.WorkerInfo, gets bool) {
	add := func(name string, has, used, free int64) {
		a := totals[name]
		a.Capacity, a.Taken = a.Capacity+float64(has), a.Taken+float64(used)
		if gets && free > 0 {
			a.Free += float64(free)
		}
		if a != (sched.Amount{}) || name == sched.Slots {
			totals[name] = a
		}
	}
	used := int64(info.Taken) + int64(info.External)
	add(sched.Slots, int64(info.Slots), used, int64(info.Slots)-used)
	for name, has := range info.Resources {
		add(name, has, info.Used[name], has-info.Used[name])
	}
	for i := range info.Devices {
		d := &info.Devices[i]
		if d.Missing {
			continue
		}
		whole, free := int64(0), int64(0)
		if d.Whole {
			whole = 1
		}
		if d.Leases == 0 {
			free = 1
		}
		add(gpu, 1, whole, free)
		add(gpuMem, d.Memory, d.Used, d.Memory-d.Used)
	}
}

// judgeObservation compares what monitoring is told of the moment with the
// twin's view.
func (t *twin) judgeObservation() {
	var got, want sched.Observation
	t.w.host.state.Observe(t.w.now, &got)
	for _, w := range t.workers {
		if w != nil {
			want.Workers[slices.Index(sched.Presences[:], w.presence)]++
		}
	}
	for _, x := range t.queue.waiters {
		class := slices.Index(sched.Classes[:], classOf(x.priority))
		want.Waiting[class] += uint64(len(x.tasks))
		if !t.overLimit(x.owner, len(x.tasks)) {
			want.Oldest[class] = max(want.Oldest[class], t.w.now-x.arrived)
		}
	}
	if got.Workers != want.Workers || got.Waiting != want.Waiting || got.Oldest != want.Oldest {
		t.w.fail("monitoring is told of workers %v, waiting %v, the oldest %v; by the twin %v, %v, %v",
			got.Workers, got.Waiting, got.Oldest, want.Workers, want.Waiting, want.Oldest)
	}
}

// classOf names the class of a priority.
func classOf(priority int32) string {
	switch {
	case priority < 0:
		return "low"
	case priority > 0:
		return "high"
	}
	return "normal"
}
