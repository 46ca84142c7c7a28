package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file is laws of lists, counts and totals: pages add up to the whole, a
// filter drops rows and changes none, counts are those of the rows.

// page returns how many rows a page has at most.
func page(limit uint32) int {
	if limit == 0 {
		return wire.MaxPage
	}
	return int(min(limit, wire.MaxPage))
}

// judgeList wants the list that was asked for to agree with the others.
func (w *World) judgeList(m wire.Message) {
	switch m := m.(type) {
	case *wire.ListLeases:
		w.judgeLeases(m)
	case *wire.ListQueue:
		w.judgeQueue(m)
	case *wire.ListTags:
		w.judgeTags(m)
	case *wire.ListEnded:
		w.judgeEnded(m)
	}
}

// agree wants rows to be those that are wanted, in any order. A count lists none
// of them.
func (w *World) agree(m wire.Message, count bool, got, want []string) {
	if count {
		want = nil
	}
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return
	}
	w.fail("for %+v the scheduler lists\n%s\nwanted are\n%s", m, strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// allWorkers returns the rows of all workers, each with its leases.
func (w *World) allWorkers() (all []wire.Worker) {
	m := &wire.ListWorkers{Limit: 2}
	for {
		a, ok := w.ask(m).(*wire.Workers)
		if !ok || len(a.Rows) > page(m.Limit) {
			w.fail("for %+v the scheduler answers %+v", m, a)
			return nil
		}
		for i := range a.Rows {
			if n := len(all); n > 0 && all[n-1].Info.ID >= a.Rows[i].ID {
				w.fail("the worker %s is listed behind %s", a.Rows[i].ID, all[n-1].Info.ID)
			}
			all = append(all, wire.Worker{Info: a.Rows[i]})
		}
		if m.After = a.Next; m.After == "" {
			break
		}
	}
	for i := range all {
		if a, ok := w.ask(&wire.GetWorker{ID: all[i].Info.ID}).(*wire.Worker); ok {
			all[i].Leases = a.Leases
		} else {
			w.fail("the worker %s is listed and not found", all[i].Info.ID)
		}
	}
	return all
}

// judgeLeases: the pages of leases hold each lease of each worker once.
func (w *World) judgeLeases(m *wire.ListLeases) {
	var got, want []string
	matched := uint64(0)
	for q := *m; ; {
		a, ok := w.ask(&q).(*wire.Leases)
		if !ok || len(a.Rows) > page(q.Limit) {
			w.fail("for %+v the scheduler answers %+v", q, a)
			return
		}
		matched += a.Matched
		for i := range a.Rows {
			got = append(got, fmt.Sprintf("%+v", a.Rows[i]))
		}
		if q.After = a.Next; q.After == 0 {
			break
		}
	}
	for _, k := range w.allWorkers() {
		for _, l := range k.Leases {
			if (m.Worker == "" || m.Worker == l.Worker) && (m.Owner == "" || m.Owner == l.Owner) && (m.Group == "" || m.Group == l.Group) &&
				(m.Client == "" || m.Client == l.Client) && (m.State == wire.StateNone || m.State == l.State) {
				want = append(want, fmt.Sprintf("%+v", l))
			}
		}
	}
	if m.Count && matched != uint64(len(want)) {
		w.fail("for %+v the scheduler counts %d of %d", m, matched, len(want))
	}
	w.agree(m, m.Count, got, want)
}

// waiting returns the rows of all pages of the queue.
func (w *World) waiting(m wire.ListQueue) (rows []wire.WaiterInfo, matched uint64) {
	for {
		a, ok := w.ask(&m).(*wire.Queue)
		if !ok || len(a.Rows) > page(m.Limit) {
			w.fail("for %+v the scheduler answers %+v", m, a)
			return nil, 0
		}
		matched += a.Matched
		rows = append(rows, a.Rows...)
		if m.After = a.Next; m.After == 0 {
			return rows, matched
		}
	}
}

func (w *World) judgeQueue(m *wire.ListQueue) {
	var got, want []string
	rows, matched := w.waiting(*m)
	for i := range rows {
		got = append(got, fmt.Sprintf("%+v", rows[i]))
	}
	all, _ := w.waiting(wire.ListQueue{})
	tasks := uint64(0)
	for _, x := range all {
		if (m.Task == "" || m.Task == x.Task) && (m.Client == "" || m.Client == x.Client) && (m.Owner == "" || m.Owner == x.Owner) {
			want = append(want, fmt.Sprintf("%+v", x))
			tasks += uint64(x.Tasks)
		}
	}
	if m.Count && matched != tasks {
		w.fail("for %+v the scheduler counts %d of %d tasks", m, matched, tasks)
	}
	w.agree(m, m.Count, got, want)
}

// judgeTags: the tags come sorted, each with the number of workers that have it.
func (w *World) judgeTags(m *wire.ListTags) {
	counts := map[string]uint32{}
	for _, k := range w.allWorkers() {
		for i, tag := range k.Info.Tags {
			if tag > m.After && !slices.Contains(k.Info.Tags[:i], tag) {
				counts[tag]++
			}
		}
	}
	q := *m
	for {
		a, ok := w.ask(&q).(*wire.Tags)
		if !ok || len(a.Rows) > page(q.Limit) {
			w.fail("for %+v the scheduler answers %+v", q, a)
			return
		}
		for _, row := range a.Rows {
			if row.Tag <= q.After || counts[row.Tag] != row.Workers {
				w.fail("the tag %s of %d workers is listed for %d, behind %q", row.Tag, counts[row.Tag], row.Workers, q.After)
			}
			q.After = row.Tag
			delete(counts, row.Tag)
		}
		if a.Next == "" {
			break
		}
		if a.Next != q.After {
			w.fail("behind the tag %s the list goes on at %s", q.After, a.Next)
			return
		}
	}
	if len(counts) > 0 {
		w.fail("the tags %v are not listed", counts)
	}
}

// ended returns the rows of all pages of ended leases.
func (w *World) ended(m wire.ListEnded) (rows []string) {
	for {
		a, ok := w.ask(&m).(*wire.EndedLeases)
		if !ok || len(a.Rows) > page(m.Limit) {
			w.fail("for %+v the scheduler answers %+v", m, a)
			return nil
		}
		for _, e := range a.Rows {
			if m.Before != 0 && e.Number >= m.Before || m.Task != "" && m.Task != e.Task || m.Worker != "" && m.Worker != e.Worker {
				w.fail("for %+v the scheduler lists %+v", m, e)
			}
			m.Before = e.Number
			rows = append(rows, fmt.Sprintf("%+v", e))
		}
		if a.Next == 0 {
			return rows
		}
		if m.Before = min(m.Before, a.Next); m.Before != a.Next {
			w.fail("behind the end %d the list goes on below %d", m.Before, a.Next)
		}
	}
}

// judgeEnded: with a filter the same rows are listed as without, but for those
// that do not pass it.
func (w *World) judgeEnded(m *wire.ListEnded) {
	got := w.ended(*m)
	all := w.ended(wire.ListEnded{Before: m.Before})
	passes := func(row string) bool {
		return (m.Task == "" || strings.Contains(row, " Task:"+m.Task+" ")) && (m.Worker == "" || strings.Contains(row, " Worker:"+m.Worker+" "))
	}
	w.agree(m, false, got, slices.DeleteFunc(all, func(row string) bool { return !passes(row) }))
}

// judgeTotals wants counts and totals to be those of the rows.
func (w *World) judgeTotals() {
	workers := w.allWorkers()
	w.judgeScan(workers)
	waiting, _ := w.waiting(wire.ListQueue{})
	w.judgeObservation(workers, waiting)
	s, ok := w.ask(&wire.GetStats{}).(*wire.Stats)
	if !ok {
		w.fail("no answer to GetStats")
		return
	}
	want := map[string]uint64{"waiting": 0, "waiting_low": 0, "waiting_normal": 0, "waiting_high": 0, "owners_at_limit": 0}
	for _, x := range waiting {
		want["waiting"] += uint64(x.Tasks)
		want["waiting_"+classOf(x.Priority)] += uint64(x.Tasks)
	}
	leases := map[string]int{}
	for _, k := range workers {
		for _, l := range k.Leases {
			if leases[l.Owner]++; leases[l.Owner] == w.host.cfg.MaxOwnerLeases {
				want["owners_at_limit"]++
			}
		}
	}
	for _, n := range leases {
		if most := w.host.cfg.MaxOwnerLeases; most > 0 && n > most {
			w.counts[fault.OwnerOver]++
		}
	}
	for name, n := range want {
		if got := s.Counters[name]; got != n {
			w.fail("I14: %s is %d, by the rows %d", name, got, n)
		}
	}
}

// judgeScan compares the totals of a scan of the fleet with the rows.
func (w *World) judgeScan(workers []wire.Worker) {
	var scan sched.FleetScan
	for done := false; !done; {
		done = w.host.state.ScanFleet(&scan)
	}
	if scan.Fault != "" {
		w.fail("the scan of the fleet has found: %s", scan.Fault)
	}
	flags, resources := [len(sched.Flags)]int{}, map[string]sched.Amount{sched.Slots: {}}
	for i := range workers {
		info := &workers[i].Info
		for f, name := range sched.Flags {
			if slices.Contains(info.Flags, name) && (name != "connecting" || info.State == "online") {
				flags[f]++
			}
		}
		if info.State != "online" {
			continue
		}
		whole := w.webNamed(info.ID) == nil && slices.ContainsFunc(workers[i].Leases, func(l wire.LeaseInfo) bool { return l.Exclusive })
		shut := info.HeldBy != "" || slices.Contains(info.Flags, "connecting") || slices.Contains(info.Flags, "cordoned")
		addListed(resources, info, !whole && !shut)
	}
	if scan.Workers != len(workers) || scan.Flags != flags || !maps.Equal(scan.Resources, resources) {
		w.fail("the scan of the fleet has\n%d workers %v %v\nand the lists\n%d workers %v %v",
			scan.Workers, scan.Flags, scan.Resources, len(workers), flags, resources)
	}
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
		add(offer.GPU, 1, whole, free)
		add(offer.GPUMem, d.Memory, d.Used, d.Memory-d.Used)
	}
}

// judgeObservation compares what monitoring is told of the moment with the rows.
func (w *World) judgeObservation(workers []wire.Worker, waiting []wire.WaiterInfo) {
	var got, want sched.Observation
	w.host.state.Observe(w.now, &got)
	for i := range workers {
		want.Workers[slices.Index(sched.Presences[:], workers[i].Info.State)]++
	}
	for _, x := range waiting {
		class := slices.Index(sched.Classes[:], classOf(x.Priority))
		want.Waiting[class] += uint64(x.Tasks)
		if !x.AtLimit {
			want.Oldest[class] = max(want.Oldest[class], sched.Time(x.AgeMS))
		}
	}
	if got.Workers != want.Workers || got.Waiting != want.Waiting || got.Oldest != want.Oldest {
		w.fail("monitoring is told of workers %v, waiting %v, the oldest %v; by the rows %v, %v, %v",
			got.Workers, got.Waiting, got.Oldest, want.Workers, want.Waiting, want.Oldest)
	}
}

// classOf names the class of a priority.
func classOf(priority int32) string {
	return []string{"low", "normal", "high"}[1+cmp.Compare(priority, 0)]
}
