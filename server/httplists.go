package server

import (
	"net/http"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// The lists of the newer paths come one page at a time, each at most
// wire.MaxPage rows. The key next of an answer is the cursor of the page
// behind it, and is missing at the end.

func (g *gateway) leaseRows(leases []wire.LeaseInfo) []view.Lease {
	rows := make([]view.Lease, len(leases))
	for i := range leases {
		rows[i] = view.LeaseOf(&leases[i], g.srv.core.clock)
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
	Leases []view.Lease `json:"leases"`
	Next   uint64       `json:"next,omitempty"`
	Count  *uint64      `json:"count,omitempty"`
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

// tagsAnswer is the body of GET /api/v1/tags.
type tagsAnswer struct {
	Tags []view.Tag `json:"tags"`
	Next string     `json:"next,omitempty"`
}

func (g *gateway) tags(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	answer, ok := g.list(w, r, p, &wire.ListTags{After: p.text("after"), Limit: p.limit()})
	if !ok {
		return
	}
	page := answer.(*wire.Tags)
	a := tagsAnswer{Tags: make([]view.Tag, len(page.Rows)), Next: page.Next}
	for i := range page.Rows {
		a.Tags[i] = view.TagOf(&page.Rows[i])
	}
	writeValue(w, &a)
}

// eventsAnswer is the body of GET /api/v1/events. Next is there even at the
// end: a reader that follows asks for what comes behind it.
type eventsAnswer struct {
	Events []view.Event `json:"events"`
	Next   uint64       `json:"next"`
	Last   uint64       `json:"last"`
	Missed uint64       `json:"missed"`
}

func (g *gateway) events(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	answer, ok := g.list(w, r, p, &wire.ListEvents{After: p.cursor("after"), Limit: p.limit()})
	if !ok {
		return
	}
	page := answer.(*wire.Events)
	a := eventsAnswer{Events: make([]view.Event, len(page.Rows)), Next: page.Next, Last: page.Next, Missed: page.Missed}
	for i := range page.Rows {
		a.Events[i], a.Next = view.EventOf(&page.Rows[i], g.srv.core.clock), page.Rows[i].Number
	}
	writeValue(w, &a)
}

// historyAnswer is the body of GET /api/v1/history.
type historyAnswer struct {
	Leases []view.Ended `json:"leases"`
	Next   uint64       `json:"next,omitempty"`
}

func (g *gateway) history(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	answer, ok := g.list(w, r, p, &wire.ListEnded{Before: p.cursor("before"), Limit: p.limit(),
		Task: p.text("task"), Worker: p.text("worker")})
	if !ok {
		return
	}
	page := answer.(*wire.EndedLeases)
	a := historyAnswer{Leases: make([]view.Ended, len(page.Rows)), Next: page.Next}
	for i := range page.Rows {
		a.Leases[i] = view.EndedOf(&page.Rows[i], g.srv.core.clock)
	}
	writeValue(w, &a)
}
