package server

import (
	"cmp"
	"net/http"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// queueAnswer is the body of GET /api/v1/queue.
type queueAnswer struct {
	Queue   []view.Waiter `json:"queue"`
	Next    uint64        `json:"next,omitempty"`
	Waiting uint64        `json:"waiting"`
	Groups  uint64        `json:"groups"`
	Count   *uint64       `json:"count,omitempty"`
}

// queue lists the tasks that wait, in the order in which they will go. The core
// looks at a few thousand places for each page: further ones are asked for until
// the answer has all its rows.
func (g *gateway) queue(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	ask := &wire.ListQueue{After: p.cursor("after"), Limit: cmp.Or(p.limit(), wire.MaxPage),
		Task: p.text("task"), Client: p.text("client"), Owner: p.text("owner"), Group: p.text("group"), Count: p.flag("count")}
	var rows []wire.WaiterInfo
	for matched := uint64(0); ; {
		answer, ok := g.list(w, r, p, ask)
		if !ok {
			return
		}
		page := answer.(*wire.Queue)
		matched += page.Matched
		rows = append(rows, page.Rows...)
		ask.After, ask.Limit = page.Next, ask.Limit-uint32(len(page.Rows))
		if ask.After == 0 || ask.Limit == 0 {
			writeQueue(w, page, rows, ask.Count, matched)
			return
		}
	}
}

// writeQueue answers with the rows, of which page is the last.
func writeQueue(w http.ResponseWriter, page *wire.Queue, rows []wire.WaiterInfo, count bool, matched uint64) {
	view.SortWaiting(rows)
	a := queueAnswer{Queue: make([]view.Waiter, len(rows)), Next: page.Next, Waiting: page.Waiting, Groups: page.Groups}
	for i := range rows {
		a.Queue[i] = view.WaiterOf(&rows[i])
	}
	if count {
		a.Count = &matched
	}
	writeValue(w, &a)
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
