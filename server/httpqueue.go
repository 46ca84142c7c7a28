package server

import (
	"net/http"

	"github.com/dtask/dtask-scheduler/wire"
)

// waiterRow is one task or gang that waits for room.
type waiterRow struct {
	Task     string   `json:"task_id"`
	Client   string   `json:"client"`
	Owner    string   `json:"owner"`
	Group    string   `json:"group"`
	Priority int32    `json:"priority"`
	Tasks    uint32   `json:"tasks"`
	AgeMS    uint64   `json:"age_ms"`
	LeftMS   uint64   `json:"left_ms"`
	Position uint64   `json:"position"`
	Placed   uint64   `json:"placed_last_minute"`
	Bypassed uint32   `json:"bypassed"`
	Holds    []string `json:"holds,omitempty"`
	AtLimit  bool     `json:"at_limit,omitempty"`
	NoWorker bool     `json:"no_worker,omitempty"`
}

// queueAnswer is the body of GET /api/v1/queue.
type queueAnswer struct {
	Queue   []waiterRow `json:"queue"`
	Next    uint64      `json:"next,omitempty"`
	Waiting uint64      `json:"waiting"`
	Groups  uint64      `json:"groups"`
	Count   *uint64     `json:"count,omitempty"`
}

// queue lists the tasks that wait. The core looks at a few thousand places for
// each page; one that shows nothing is skipped here.
func (g *gateway) queue(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	ask := &wire.ListQueue{After: p.cursor("after"), Limit: p.limit(),
		Task: p.text("task"), Client: p.text("client"), Owner: p.text("owner"), Group: p.text("group"), Count: p.flag("count")}
	for matched := uint64(0); ; {
		answer, ok := g.list(w, r, p, ask)
		if !ok {
			return
		}
		page := answer.(*wire.Queue)
		matched += page.Matched
		if len(page.Rows) > 0 || page.Next == 0 {
			a := queueAnswer{Queue: make([]waiterRow, len(page.Rows)), Next: page.Next, Waiting: page.Waiting, Groups: page.Groups}
			for i, x := range page.Rows {
				a.Queue[i] = waiterRow{x.Task, x.Client, x.Owner, x.Group, x.Priority, x.Tasks, x.AgeMS, x.LeftMS, x.Position, x.Placed, x.Bypassed, x.Holds, x.AtLimit, x.NoWorker}
			}
			if ask.Count {
				a.Count = &matched
			}
			writeValue(w, &a)
			return
		}
		ask.After = page.Next
	}
}

// cancelRequest is the body of POST /api/v1/queue/cancel: filters, of which one
// must be there.
type cancelRequest struct {
	Task   string `json:"task_id"`
	Client string `json:"client"`
	Owner  string `json:"owner"`
	Group  string `json:"group"`
}

// cancelQueue takes tasks that wait out of the queue, in slices, so that the
// core is never held for long.
func (g *gateway) cancelQueue(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	var q cancelRequest
	if !g.read(c, w, r, &q) {
		return
	}
	ask := &wire.Cancel{Task: q.Task, Client: q.Client, Owner: q.Owner, Group: q.Group}
	for cancelled := uint64(0); ; {
		switch m := g.srv.core.do(&c.exchange, ask).(type) {
		case *wire.Error:
			refuse(w, m)
			return
		case *wire.Cancelled:
			cancelled += uint64(m.Count)
			if ask.After = m.Next; ask.After == 0 {
				writeValue(w, map[string]uint64{"cancelled": cancelled})
				return
			}
		}
	}
}
