package sim

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// operator takes workers out of service and puts them back, follows the events
// and looks at lists.
type operator struct {
	w         *World
	link      *link
	request   uint64
	following uint64 // the request for events that was not answered yet
	after     uint64 // number of the last event that it has read
}

func (w *World) newOperator() *operator {
	w.operator = &operator{w: w}
	return w.operator
}

func (o *operator) name() string                  { return "operator" }
func (o *operator) busyUntil() sched.Time         { return 0 }
func (o *operator) tasksOf(*link, uint64) []*task { return nil }

// live lets the operator move by itself.
func (o *operator) live() {
	o.connect()
	o.w.after(o.w.between(0, 1000), o.work)
}

func (o *operator) connect() {
	o.link = o.w.dial(o)
	o.send(&wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleClient, Client: "op"})
}

func (o *operator) lost(l *link) {
	if l == o.link {
		o.link, o.following = nil, 0
		o.w.after(o.w.between(1, 1000), o.connect)
	}
}

// send sends a request and returns its number.
func (o *operator) send(m wire.Message) uint64 {
	o.request++
	o.w.sendUp(o.link, o.request, m)
	return o.request
}

// workerIDs are the ids of all machines, each once, and one that nobody has.
func (w *World) workerIDs() []string {
	ids := []string{"nobody"}
	for _, a := range w.agents {
		if !a.rival {
			ids = append(ids, a.worker)
		}
	}
	for _, b := range w.webs {
		ids = append(ids, b.id)
	}
	return ids
}

// work looks at something, for ever. When the faults are over all workers are
// put back into service.
func (o *operator) work() {
	w := o.w
	w.after(w.around(700), o.work)
	if o.link == nil {
		return
	}
	if w.healing {
		for _, id := range w.workerIDs() {
			if w.truth.cordoned[id] || w.twin.Quarantined(id) {
				o.cordon(id, false)
			}
		}
	}
	o.look()
}

// look asks for a page of something.
func (o *operator) look() {
	w := o.w
	limit := uint32(w.between(0, 1) * w.between(1, 30))
	ids := w.workerIDs()
	switch w.rng.IntN(6) {
	case 0:
		m := &wire.ListLeases{Limit: limit, Count: w.chance(1, 4), State: wire.State(max(w.between(-8, int(wire.StateAssumed)), 0))}
		if w.chance(1, 3) {
			m.Worker = ids[w.rng.IntN(len(ids))]
		}
		if w.chance(1, 3) {
			m.Owner = "ann"
		}
		if w.chance(1, 3) {
			m.Client = "c1"
		}
		o.send(m)
	case 1:
		o.send(&wire.ListTags{Limit: limit / 10, After: []string{"", "gpu", "nothing"}[w.rng.IntN(3)]})
	case 2:
		m := &wire.ListEnded{Limit: limit, Before: uint64(w.between(0, 1) * w.between(1, 5000))}
		if w.chance(1, 3) {
			m.Worker = ids[w.rng.IntN(len(ids))]
		}
		if w.chance(1, 5) {
			m.Task = fmt.Sprintf("t%d", w.between(1, 50))
		}
		o.send(m)
	case 4:
		m := &wire.ListQueue{Limit: limit, Count: w.chance(1, 4)}
		if w.chance(1, 3) {
			m.Owner = "ann"
		}
		o.send(m)
	case 5:
		if w.chance(1, 4) && !w.healing {
			o.send(&wire.Cancel{Owner: []string{"ann", "bob"}[w.rng.IntN(2)]})
		}
	case 3:
		if o.following == 0 {
			o.following = o.send(&wire.ListEvents{After: o.after, Limit: limit})
		}
	}
}

// cordon takes a worker out of service, or puts it back.
func (o *operator) cordon(id string, on bool) {
	m := &wire.Cordon{Worker: id, On: on, Reason: fmt.Sprintf("reason %d", o.request)}
	if o.w.chance(1, 2) {
		m.By = "ana"
	}
	if m.Drain = on && o.w.chance(1, 2); m.Drain && o.w.chance(1, 2) {
		m.DeadlineMS = uint32(o.w.between(1, 1500))
	}
	o.send(m)
}

// cordonFor takes a worker out of service for some milliseconds, sometimes
// with further words than needed.
func (o *operator) cordonFor(id string, ms int) {
	o.cordon(id, true)
	if o.w.chance(1, 2) {
		o.cordon(id, true)
	}
	o.w.after(ms, func() { o.cordon(id, false) })
}

// receive reads an answer.
func (o *operator) receive(l *link, request uint64, m wire.Message) {
	switch m := m.(type) {
	case *wire.Error:
		if m.Code != wire.CodeNotFound {
			o.w.fail("the operator is told: %v", m)
		}
	case *wire.Events:
		if l == o.link && request == o.following {
			o.following = 0
			o.read(m)
		}
	}
}

// read follows the events: their numbers have no gaps but those that are told.
func (o *operator) read(m *wire.Events) {
	if m.Next < o.after {
		o.after = 0 // another life of the scheduler
		return
	}
	o.after += m.Missed
	for i := range m.Rows {
		o.after++
		if m.Rows[i].Number != o.after {
			o.w.fail("after the event %d comes %d", o.after-1, m.Rows[i].Number)
		}
	}
	if m.Next < o.after {
		o.w.fail("the last event is %d, and %d is listed", m.Next, o.after)
	}
}
