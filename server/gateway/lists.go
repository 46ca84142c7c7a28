package gateway

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// Bounds of the lists that are answered.
const (
	// MaxLists is how many are answered at once: each holds a page until its
	// reader has taken it.
	MaxLists = 64
	// listPatience is how long a further one waits for its turn.
	listPatience = 2 * time.Second
	busyRetryMS  = 1000
)

// listing has a handler answer when it is the turn of its list.
func listing(handle func(*call, *params)) func(*call) {
	return func(c *call) {
		ctx, cancel := context.WithTimeout(c.r.Context(), listPatience)
		defer cancel()
		select {
		case c.g.lists <- struct{}{}:
			defer func() { <-c.g.lists }()
			handle(c, paramsOf(c.r))
		case <-ctx.Done():
			if c.r.Context().Err() == nil {
				c.refuse(&wire.Error{Code: wire.CodeBusy, Message: "too many lists are read at once", Limit: MaxLists, RetryAfterMS: busyRetryMS})
			}
		}
	}
}

// page asks the core for a page. It reports false after it has answered with an
// error itself.
func page[A wire.Message](c *call, p *params, m wire.Message) (answer A, ok bool) {
	if !p.settled(c) {
		return answer, false
	}
	return ask[A](c, m)
}

// leases lists live leases, or counts them. The core looks at a few thousand
// places for each page; one that shows nothing is skipped here.
func leases(c *call, p *params) {
	q := &wire.ListLeases{After: p.cursor("after"), Limit: p.limit(), State: p.state(),
		Worker: p.text("worker"), Owner: p.text("owner"), Group: p.text("group"), Client: p.text("client"), Count: p.flag("count")}
	for matched := uint64(0); ; {
		a, ok := page[*wire.Leases](c, p, q)
		if !ok {
			return
		}
		matched += a.Matched
		if len(a.Rows) > 0 || a.Next == 0 {
			c.ok(&view.Leases{Leases: view.RowsOf(a.Rows, c.lease), Next: a.Next, Count: counted(q.Count, matched)})
			return
		}
		q.After = a.Next
	}
}

// counted returns a number that was asked for, nil if it was not.
func counted(asked bool, n uint64) *uint64 {
	if !asked {
		return nil
	}
	return &n
}

func tags(c *call, p *params) {
	if a, ok := page[*wire.Tags](c, p, &wire.ListTags{After: p.text("after"), Limit: p.limit()}); ok {
		c.ok(&view.Tags{Tags: view.RowsOf(a.Rows, view.TagOf), Next: a.Next})
	}
}

func events(c *call, p *params) {
	a, ok := page[*wire.Events](c, p, &wire.ListEvents{After: p.cursor("after"), Limit: p.limit()})
	if !ok {
		return
	}
	rows := view.RowsOf(a.Rows, func(e *wire.Event) view.Event { return view.EventOf(e, c.g.Engine) })
	body := &view.Events{Events: rows, Next: a.Next, Last: a.Next, Missed: a.Missed}
	if n := len(rows); n > 0 {
		body.Next = rows[n-1].Number
	}
	c.ok(body)
}

func history(c *call, p *params) {
	a, ok := page[*wire.EndedLeases](c, p, &wire.ListEnded{Before: p.cursor("before"), Limit: p.limit(),
		Task: p.text("task"), Worker: p.text("worker")})
	if ok {
		rows := view.RowsOf(a.Rows, func(e *wire.EndedLease) view.Ended { return view.EndedOf(e, c.g.Engine) })
		c.ok(&view.History{Leases: rows, Next: a.Next})
	}
}

// queue lists the tasks that wait, in the order in which they will go. The core
// looks at a few thousand places for each page: further ones are asked for until
// the answer has all its rows.
func queue(c *call, p *params) {
	q := &wire.ListQueue{After: p.cursor("after"), Limit: cmp.Or(p.limit(), wire.MaxPage),
		Task: p.text("task"), Client: p.text("client"), Owner: p.text("owner"), Group: p.text("group"), Count: p.flag("count")}
	var rows []wire.WaiterInfo
	for matched := uint64(0); ; {
		a, ok := page[*wire.Queue](c, p, q)
		if !ok {
			return
		}
		matched += a.Matched
		rows = append(rows, a.Rows...)
		q.After, q.Limit = a.Next, q.Limit-uint32(len(a.Rows))
		if q.After == 0 || q.Limit == 0 {
			view.SortWaiting(rows)
			c.ok(&view.Queue{Queue: view.RowsOf(rows, view.WaiterOf), Next: a.Next, Waiting: a.Waiting, Groups: a.Groups, Count: counted(q.Count, matched)})
			return
		}
	}
}

// cancelRequest is the body of a cancel: filters, of which one must be there.
type cancelRequest struct {
	Task   string `json:"task_id"`
	Client string `json:"client"`
	Owner  string `json:"owner"`
	Group  string `json:"group"`
}

// cancelled is the answer to a cancel.
type cancelled struct {
	Cancelled uint64 `json:"cancelled"`
}

// cancelQueue takes tasks that wait out of the queue, in slices, so that the
// core is never held for long.
func cancelQueue(c *call, q *cancelRequest) {
	m := &wire.Cancel{Task: q.Task, Client: q.Client, Owner: q.Owner, Group: q.Group}
	for all := uint64(0); ; {
		a, ok := ask[*wire.Cancelled](c, m)
		if !ok {
			return
		}
		all += uint64(a.Count)
		if m.After = a.Next; m.After == 0 {
			c.ok(&cancelled{all})
			return
		}
	}
}

// workers lists the fleet. It asks the core for one page after another, so that
// a long list never keeps the core from anything else, and sends what it has
// before it asks for more.
func workers(c *call, p *params) {
	m := wire.ListWorkers{After: p.text("after"), Tags: p.texts("tag"), State: p.text("state")}
	switch m.State {
	case "", "online", "suspicious", "offline":
	default:
		p.bad("state", "must be online, suspicious or offline", 0)
	}
	limit := int(p.number("limit", 1, math.MaxInt32))
	if !p.settled(c) {
		return
	}
	out := stream{c: c, buf: append(c.buf[:0], '[')}
	defer func() { c.buf = out.buf[:0] }()
	for rows := 0; ; {
		m.Limit = wire.MaxPage
		if limit > 0 {
			m.Limit = uint32(min(limit-rows, wire.MaxPage))
		}
		a, ok := out.ask(&m)
		if !ok {
			return
		}
		for i := range a.Rows {
			if rows > 0 {
				out.buf = append(out.buf, ',')
			}
			rows++
			row := view.ListedOf(&a.Rows[i], c.g.Engine)
			out.buf = row.Append(out.buf, out.breathe)
		}
		if m.After = a.Next; out.err != nil {
			return
		}
		if m.After == "" || limit > 0 && rows >= limit {
			break
		}
	}
	out.buf = append(out.buf, "]\n"...)
	out.send()
}

// StreamChunk is how much of a list is put together before it is sent, in bytes.
const StreamChunk = 32 << 10

// stream sends a long body of JSON in pieces.
type stream struct {
	c    *call
	buf  []byte // what is not sent yet
	sent bool   // something is
	err  error  // of the connection: nothing more is read
}

// breathe sends what has come together, if it is enough, and returns where to go
// on.
func (s *stream) breathe(b []byte) []byte {
	if s.buf = b; len(b) >= StreamChunk {
		s.send()
	}
	return s.buf
}

// send sends what has come together.
func (s *stream) send() {
	if !s.sent {
		s.sent = true
		s.c.Header()["Content-Type"] = jsonType
	}
	if s.err == nil {
		_, s.err = s.c.Write(s.buf)
	}
	s.buf = s.buf[:0]
}

// ask asks for a page. It answers with an error instead, or breaks the connection
// off: a body that ends early must not seem whole.
func (s *stream) ask(m *wire.ListWorkers) (*wire.Workers, bool) {
	answer := s.c.g.Engine.Ask(s.c.id, m)
	if _, ok := answer.(*wire.Workers); !ok && s.sent {
		panic(http.ErrAbortHandler)
	}
	return expect[*wire.Workers](s.c, answer)
}
