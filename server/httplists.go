package server

import (
	"net/http"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// The lists of the newer paths come one page at a time, each at most
// wire.MaxPage rows. The key next of an answer is the cursor of the page
// behind it, and is missing at the end.

// leaseRow is one live lease.
type leaseRow struct {
	Lease    wire.LeaseID `json:"lease_id"`
	Task     string       `json:"task_id"`
	Worker   string       `json:"worker_id"`
	Client   string       `json:"client"`
	Owner    string       `json:"owner"`
	Group    string       `json:"group"`
	Priority int32        `json:"priority"`
	State    string       `json:"state"`
	Since    string       `json:"since"`

	Resources map[string]int64 `json:"resources,omitempty"`
	Devices   []int            `json:"devices,omitempty"`
	Exclusive bool             `json:"exclusive,omitempty"`
	Preempted bool             `json:"preempted,omitempty"`
}

func (g *gateway) leaseRows(leases []wire.LeaseInfo) []leaseRow {
	rows := make([]leaseRow, len(leases))
	for i := range leases {
		l := &leases[i]
		rows[i] = leaseRow{Lease: l.Lease, Task: l.Task, Worker: l.Worker, Client: l.Client, Owner: l.Owner,
			Group: l.Group, Priority: l.Priority, State: l.State.String(), Since: g.ago(l.AgeMS),
			Resources: l.Resources, Devices: resource.Bits(l.Devices), Exclusive: l.Exclusive, Preempted: l.Preempted}
	}
	return rows
}

// list asks the core for a page. It reports false after it has answered with
// an error itself.
func (g *gateway) list(w http.ResponseWriter, r *http.Request, p *params, m wire.Message) (wire.Message, bool) {
	if !p.settled(w, r) {
		return nil, false
	}
	c := takeCall(w)
	defer c.putBack()
	answer := g.srv.core.do(&c.exchange, m)
	if e, ok := answer.(*wire.Error); ok {
		refuse(w, e)
		return nil, false
	}
	return answer, true
}

// leasesAnswer is the body of GET /api/v1/leases.
type leasesAnswer struct {
	Leases []leaseRow `json:"leases"`
	Next   uint64     `json:"next,omitempty"`
	Count  *uint64    `json:"count,omitempty"`
}

// leases lists live leases, or counts them. The core looks at a few thousand places for each
// page; one that shows nothing is skipped here.
func (g *gateway) leases(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	ask := &wire.ListLeases{After: p.cursor("after"), Limit: p.limit(), State: p.state(),
		Worker: p.text("worker"), Owner: p.text("owner"), Group: p.text("group"), Client: p.text("client"), Count: p.flag("count")}
	for matched := uint64(0); ; {
		answer, ok := g.list(w, r, p, ask)
		if !ok {
			return
		}
		page := answer.(*wire.Leases)
		matched += page.Matched
		if len(page.Rows) > 0 || page.Next == 0 {
			a := leasesAnswer{Leases: g.leaseRows(page.Rows), Next: page.Next}
			if ask.Count {
				a.Count = &matched
			}
			writeValue(w, &a)
			return
		}
		ask.After = page.Next
	}
}

// tagRow is one tag of the fleet.
type tagRow struct {
	Tag     string `json:"tag"`
	Workers uint32 `json:"workers"`
}

// tagsAnswer is the body of GET /api/v1/tags.
type tagsAnswer struct {
	Tags []tagRow `json:"tags"`
	Next string   `json:"next,omitempty"`
}

func (g *gateway) tags(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	answer, ok := g.list(w, r, p, &wire.ListTags{After: p.text("after"), Limit: p.limit()})
	if !ok {
		return
	}
	page := answer.(*wire.Tags)
	a := tagsAnswer{Tags: make([]tagRow, len(page.Rows)), Next: page.Next}
	for i, t := range page.Rows {
		a.Tags[i] = tagRow{Tag: t.Tag, Workers: t.Workers}
	}
	writeValue(w, &a)
}

// eventRow is one event.
type eventRow struct {
	Number uint64        `json:"number"`
	At     string        `json:"at"`
	What   string        `json:"what"`
	Worker string        `json:"worker_id"`
	Lease  *wire.LeaseID `json:"lease_id,omitempty"`
	Reason string        `json:"reason,omitempty"`
	By     string        `json:"by,omitempty"`
}

// eventsAnswer is the body of GET /api/v1/events. Next is there even at the
// end: a reader that follows asks for what comes behind it.
type eventsAnswer struct {
	Events []eventRow `json:"events"`
	Next   uint64     `json:"next"`
	Last   uint64     `json:"last"`
	Missed uint64     `json:"missed"`
}

func (g *gateway) events(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	answer, ok := g.list(w, r, p, &wire.ListEvents{After: p.cursor("after"), Limit: p.limit()})
	if !ok {
		return
	}
	page := answer.(*wire.Events)
	a := eventsAnswer{Events: make([]eventRow, len(page.Rows)), Next: page.Next, Last: page.Next, Missed: page.Missed}
	for i := range page.Rows {
		e := &page.Rows[i]
		row := eventRow{Number: e.Number, At: g.ago(e.AgeMS), What: e.What, Worker: e.Worker, Reason: e.Reason, By: e.By}
		if !e.Lease.IsZero() {
			row.Lease = &e.Lease
		}
		a.Events[i], a.Next = row, e.Number
	}
	writeValue(w, &a)
}

// endedRow is one lease that ended.
type endedRow struct {
	Number  uint64       `json:"number"`
	Lease   wire.LeaseID `json:"lease_id"`
	Task    string       `json:"task_id"`
	Worker  string       `json:"worker_id"`
	Client  string       `json:"client"`
	Owner   string       `json:"owner"`
	Reason  string       `json:"reason"`
	By      string       `json:"by"`
	EndedAt string       `json:"ended_at"`
	HeldMS  uint64       `json:"held_ms"`
}

// historyAnswer is the body of GET /api/v1/history.
type historyAnswer struct {
	Leases []endedRow `json:"leases"`
	Next   uint64     `json:"next,omitempty"`
}

func (g *gateway) history(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	answer, ok := g.list(w, r, p, &wire.ListEnded{Before: p.cursor("before"), Limit: p.limit(),
		Task: p.text("task"), Worker: p.text("worker")})
	if !ok {
		return
	}
	page := answer.(*wire.EndedLeases)
	a := historyAnswer{Leases: make([]endedRow, len(page.Rows)), Next: page.Next}
	for i := range page.Rows {
		e := &page.Rows[i]
		a.Leases[i] = endedRow{Number: e.Number, Lease: e.Lease, Task: e.Task, Worker: e.Worker, Client: e.Client,
			Owner: e.Owner, Reason: e.Reason.String(), By: e.By, EndedAt: g.ago(e.AgeMS), HeldMS: e.HeldMS}
	}
	writeValue(w, &a)
}
