package sim

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Who ends leases.
const (
	byClient    = "client"
	byScheduler = "scheduler"
	byWorker    = "worker"
)

// kept is how many events, and how many ended leases, can be listed.
const kept = 4096

// logged is a row of a list with the moment at which it was made.
type logged[T any] struct {
	at  sched.Time
	row T
}

// note predicts an event.
func (t *twin) note(what, worker string) *wire.Event {
	t.notes = append(t.notes, wire.Event{What: what, Worker: strings.Clone(worker)})
	return &t.notes[len(t.notes)-1]
}

// ending predicts that a lease is listed as ended. Of workers that speak HTTP
// nobody can tell when.
func (t *twin) ending(l *twinLease, reason wire.Reason, by string) {
	if l.worker.http {
		return
	}
	t.over = append(t.over, wire.EndedLease{
		Lease: l.id, Task: l.task, Client: l.owned(), Owner: l.owner, Worker: l.worker.id,
		Reason: reason, By: by, HeldMS: uint64(t.w.now - l.granted),
	})
}

// owned returns the client that is listed for a lease.
func (l *twinLease) owned() string {
	if l.client == "(http)" {
		return ""
	}
	return l.client
}

// judgeNews reads the events and ends that are new, and compares them with
// those predicted, in whatever order they happened at this moment.
func (t *twin) judgeNews() {
	events, ended := t.newEvents(), t.newEnded()
	if t.w.err != nil {
		return
	}
	var got, want []string
	some := t.untold || slices.ContainsFunc(t.notes, func(e wire.Event) bool { return e.What == "mass_loss" })
	t.untold = false
	for _, e := range events {
		t.events = append(t.events, logged[wire.Event]{t.w.now - sched.Time(e.AgeMS), e})
		if e.Number = 0; some && e.What == presenceSuspicious {
			e.Worker = "" // who of those that one late pulse finds silent comes first is not known
		}
		if e.What != "drained" || t.w.webNamed(e.Worker) == nil {
			got = append(got, fmt.Sprintf("%+v", e))
		}
	}
	for _, e := range ended {
		t.ended = append(t.ended, logged[wire.EndedLease]{t.w.now - sched.Time(e.AgeMS), e})
		e.Number = 0
		if t.w.webNamed(e.Worker) == nil {
			got = append(got, fmt.Sprintf("%+v", e))
		}
	}
	for i := range t.notes {
		if some && t.notes[i].What == presenceSuspicious {
			t.notes[i].Worker = ""
		}
		want = append(want, fmt.Sprintf("%+v", t.notes[i]))
	}
	for i := range t.over {
		want = append(want, fmt.Sprintf("%+v", t.over[i]))
	}
	t.notes, t.over = t.notes[:0], t.over[:0]
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.w.fail("the scheduler has recorded\n%s\nits twin\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// newEvents asks for the events after those that are known: their numbers have
// no gaps.
func (t *twin) newEvents() (rows []wire.Event) {
	for {
		after := uint64(len(t.events) + len(rows))
		m, ok := t.w.ask(&wire.ListEvents{After: after}).(*wire.Events)
		if !ok || m.Missed != 0 {
			t.w.fail("the events after %d: %+v", after, m)
			return nil
		}
		if len(m.Rows) == 0 {
			return rows
		}
		for _, e := range m.Rows {
			if after++; e.Number != after {
				t.w.fail("the event %d follows %d", e.Number, after-1)
			}
		}
		rows = append(rows, m.Rows...)
	}
}

// newEnded asks for the ends after those that are known, the oldest first.
func (t *twin) newEnded() (rows []wire.EndedLease) {
	known, before := uint64(len(t.ended)), uint64(0)
	for {
		m, ok := t.w.ask(&wire.ListEnded{Before: before, Limit: 16}).(*wire.EndedLeases)
		if !ok {
			t.w.fail("no list of ended leases")
			return nil
		}
		for _, e := range m.Rows {
			if before != 0 && e.Number != before-1 {
				t.w.fail("below the end %d comes %d", before, e.Number)
			}
			if before = e.Number; e.Number <= known {
				slices.Reverse(rows)
				return rows
			}
			rows = append(rows, e)
		}
		if m.Next == 0 {
			slices.Reverse(rows)
			return rows
		}
	}
}

// listed is the kind of the answer to a question.
func listed(m wire.Message) wire.Kind {
	switch m.(type) {
	case *wire.ListLeases:
		return wire.KindLeases
	case *wire.ListTags:
		return wire.KindTags
	case *wire.ListEvents:
		return wire.KindEvents
	case *wire.ListQueue:
		return wire.KindQueue
	}
	return wire.KindEndedLeases
}

// judgeList compares a list with what was asked for.
func (t *twin) judgeList(got wire.Message) {
	switch m := t.asked.(type) {
	case *wire.ListLeases:
		t.judgeLeases(m)
	case *wire.ListQueue:
		t.judgeQueue(m)
	case *wire.ListTags:
		t.same(got, t.listTags(m))
	case *wire.ListEvents:
		t.same(got, t.listEvents(m))
	case *wire.ListEnded:
		t.same(got, t.listEnded(m))
	}
}

// judgeQueue asks for all pages of the queue. Places in it are not predicted.
func (t *twin) judgeQueue(m *wire.ListQueue) {
	var got, want []string
	var rows []wire.WaiterInfo
	matched := uint64(0)
	for q := *m; ; {
		a, ok := t.w.ask(&q).(*wire.Queue)
		if !ok || len(a.Rows) > page(q.Limit) {
			t.w.fail("for %+v the scheduler answers %+v", q, a)
			return
		}
		matched += a.Matched
		rows = append(rows, a.Rows...)
		for _, row := range a.Rows {
			row.Position, row.Placed, row.Turn, row.Number = 0, 0, 0, 0
			got = append(got, fmt.Sprintf("%+v", row))
		}
		if q.After = a.Next; q.After == 0 {
			break
		}
	}
	for _, row := range t.listQueue(m) {
		if m.Count {
			matched -= uint64(row.Tasks)
			continue
		}
		want = append(want, fmt.Sprintf("%+v", row))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || matched != 0 {
		t.w.fail("for %+v the scheduler lists, and counts %d too many,\n%s\nits twin\n%s", m, int64(matched), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	t.judgeTurns(m, rows)
}

// judgeTurns compares the order that turns and numbers of the rows give with that
// of the twin: by priority, the owner's turn, arrival.
func (t *twin) judgeTurns(m *wire.ListQueue, rows []wire.WaiterInfo) {
	if m.Count || *m != (wire.ListQueue{Limit: m.Limit}) {
		return // only a part of them
	}
	slices.SortFunc(rows, func(a, b wire.WaiterInfo) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.Number, b.Number))
	})
	all := slices.Clone(t.queue.waiters)
	turn := func(x *twinWaiter) int { return slices.Index(t.queue.turns[x.priority], x.owner) }
	slices.SortFunc(all, func(a, b *twinWaiter) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(turn(a), turn(b)), cmp.Compare(a.number, b.number))
	})
	for i, x := range all {
		if row := rows[i]; row.Client != x.client || row.Task != string(x.tasks[0].Task) || row.Owner != x.owner {
			t.w.fail("I16: by their turns and numbers the scheduler lists %s/%s of %q in place %d, its twin %s/%s of %q", row.Client, row.Task, row.Owner, i, x.client, x.tasks[0].Task, x.owner)
			return
		}
	}
}

func (t *twin) same(got, want wire.Message) {
	if !reflect.DeepEqual(got, want) {
		t.w.fail("for %+v the scheduler lists\n%+v, its twin\n%+v", t.asked, got, want)
	}
}

// page returns how many rows a page has at most.
func page(limit uint32) int {
	if limit == 0 {
		return wire.MaxPage
	}
	return int(min(limit, wire.MaxPage))
}

// judgeLeases asks for all pages and wants each lease that passes the filters
// once, in whatever order.
func (t *twin) judgeLeases(m *wire.ListLeases) {
	var got, want []string
	matched := uint64(0)
	for q := *m; ; {
		a, ok := t.w.ask(&q).(*wire.Leases)
		if !ok || len(a.Rows) > page(q.Limit) {
			t.w.fail("for %+v the scheduler answers %+v", q, a)
			return
		}
		matched += a.Matched
		for _, l := range a.Rows {
			got = append(got, fmt.Sprintf("%+v", l))
		}
		if q.After = a.Next; q.After == 0 {
			break
		}
	}
	t.believe()
	for _, l := range t.leases {
		if (m.Worker == "" || m.Worker == l.worker.id) && (m.Owner == "" || m.Owner == l.owner) && (m.Group == "" || m.Group == l.group) &&
			(m.Client == "" || m.Client == l.owned()) && (m.State == wire.StateNone || m.State == l.state) {
			if m.Count {
				matched--
				continue
			}
			want = append(want, fmt.Sprintf("%+v", wire.LeaseInfo{
				Lease: l.id, Task: l.task, Client: l.owned(), Owner: l.owner, Group: l.group, Priority: l.priority,
				State: l.state, AgeMS: uint64(t.w.now - l.granted), Worker: l.worker.id,
				Resources: l.takes.resources, Devices: l.takes.devices, Exclusive: l.takes.exclusive, Preempted: l.preempted,
			}))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || matched != 0 {
		t.w.fail("for %+v the scheduler lists, and counts %d too many,\n%s\nits twin\n%s", m, int64(matched), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (t *twin) listTags(m *wire.ListTags) *wire.Tags {
	counts := map[string]uint32{}
	var names []string
	for _, w := range t.workers {
		if w == nil {
			continue
		}
		for i, tag := range w.tags {
			if slices.Contains(w.tags[:i], tag) {
				continue
			}
			if counts[tag]++; counts[tag] == 1 && tag > m.After {
				names = append(names, tag)
			}
		}
	}
	slices.Sort(names)
	out := &wire.Tags{Rows: []wire.TagInfo{}}
	for i, tag := range names {
		if i == page(m.Limit) {
			out.Next = names[i-1]
			break
		}
		out.Rows = append(out.Rows, wire.TagInfo{Tag: tag, Workers: counts[tag]})
	}
	return out
}

func (t *twin) listEvents(m *wire.ListEvents) *wire.Events {
	last := len(t.events)
	out := &wire.Events{Rows: []wire.Event{}, Next: uint64(last)}
	from := min(m.After, uint64(last))
	if oldest := uint64(max(last-kept, 0)); from < oldest {
		out.Missed = oldest - from
		from = oldest
	}
	for _, e := range t.events[from:min(int(from)+page(m.Limit), last)] {
		e.row.AgeMS = uint64(t.w.now - e.at)
		out.Rows = append(out.Rows, e.row)
	}
	return out
}

func (t *twin) listEnded(m *wire.ListEnded) *wire.EndedLeases {
	out := &wire.EndedLeases{Rows: []wire.EndedLease{}}
	last := len(t.ended)
	for i := last - 1; i >= max(last-kept, 0); i-- {
		e := t.ended[i]
		if m.Before != 0 && e.row.Number >= m.Before || m.Task != "" && m.Task != e.row.Task || m.Worker != "" && m.Worker != e.row.Worker {
			continue
		}
		if len(out.Rows) == page(m.Limit) {
			out.Next = e.row.Number + 1
			break
		}
		e.row.AgeMS = uint64(t.w.now - e.at)
		out.Rows = append(out.Rows, e.row)
	}
	return out
}
