package server

import (
	"context"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of HTTP requests that wait for room.
const (
	maxWaitingHTTP  = 4096     // requests that wait at once: each holds a connection
	maxWaitingBytes = 64 << 20 // of their bodies
	waitingRetryMS  = 1000
)

// webWaits are the HTTP requests that wait for room, by the request ids that
// session 0 gives them. Id 0 is for all those that are answered at once.
type webWaits struct {
	last uint64
	by   map[uint64]webWait
	size int // of all that wait
}

// webWait is one of them.
type webWait struct {
	answer chan wire.Message
	size   int // of its body
}

// add makes a request one that waits.
func (w *webWaits) add(size int) (id uint64, answer chan wire.Message) {
	w.last++
	answer = make(chan wire.Message, 1)
	w.by[w.last] = webWait{answer, size}
	w.size += size
	return w.last, answer
}

// take takes one out, and returns where its answer is expected, nil if it did
// not wait.
func (w *webWaits) take(id uint64) chan wire.Message {
	wait := w.by[id]
	delete(w.by, id)
	w.size -= wait.size
	return wait.answer
}

// full refuses a request of a size that would be one too many, nil if it is not.
func (w *webWaits) full(size int) *wire.Error {
	e := &wire.Error{Code: wire.CodeQueueFull, Field: "max_wait_ms", RetryAfterMS: waitingRetryMS}
	switch {
	case len(w.by) >= maxWaitingHTTP:
		e.Limit, e.Message = maxWaitingHTTP, "too many HTTP requests wait"
	case w.size+size > maxWaitingBytes:
		e.Limit, e.Message = maxWaitingBytes, "the HTTP requests that wait have too many bytes together"
	default:
		return nil
	}
	return e
}

// deliver hands a message for session 0 to the HTTP request that waits for it.
// The core's lock is held.
func (w *webWaits) deliver(it *sched.Item) {
	ch := w.take(it.Request)
	if ch == nil {
		return
	}
	ch <- kept(it.Message())
}

// kept copies an answer that lies in an outbox, which is used again.
func kept(m wire.Message) wire.Message {
	switch m := m.(type) {
	case *wire.Placed:
		p := *m
		return &p
	case *wire.Released:
		r := *m
		return &r
	}
	return m
}

// Wait is Ask for a request that may have to wait for room: waits is called when
// it does; size is that of its body, which stands for what it holds meanwhile. If
// the context ends first nothing of it is left behind, and the answer is nil.
func (c *core) Wait(ctx context.Context, rid string, size int, m wire.Message, waits func()) wire.Message {
	out := outboxes.Get().(*sched.Outbox)
	defer outboxes.Put(out)
	id, answer, ch, job := c.begin(rid, size, m, out)
	if answer != nil {
		return answer
	}
	if job != nil {
		c.carry(job, m, out, rid)
	}
	select {
	case answer = <-ch:
		return answer
	default:
		waits()
	}
	select {
	case answer = <-ch:
		if ctx.Err() == nil {
			return answer
		}
		ch <- answer // both came, and the asker is gone
	case <-ctx.Done():
	}
	c.abandon(rid, id, ch, out)
	return nil
}

// begin sends the request and returns its answer, or where that will come, and
// what the lane has to do for it.
func (c *core) begin(rid string, size int, m wire.Message, out *sched.Outbox) (id uint64, answer wire.Message, ch chan wire.Message, job *sched.Job) {
	c.use(m.Kind().String(), rid, out, func(now sched.Time) {
		if c.draining {
			answer = errStopping
		} else if full := c.web.full(size); full != nil {
			answer = full
		} else {
			id, ch = c.web.add(size)
			job = c.apply(now, 0, id, m, out)
		}
	})
	return id, answer, ch, job
}

// abandon takes back a request whose client has gone away. A lease that it got
// in the last moment is given back.
func (c *core) abandon(rid string, id uint64, ch chan wire.Message, out *sched.Outbox) {
	c.use("withdraw", rid, out, func(now sched.Time) {
		c.web.take(id)
		c.state.Withdraw(now, 0, id, out)
		select {
		case answer := <-ch:
			for _, p := range placements(answer) {
				c.apply(now, 0, 0, &wire.Release{Lease: p.Lease}, out)
			}
		default:
		}
	})
}

// placements returns what an answer has granted, except for the answers of
// earlier requests.
func placements(answer wire.Message) (granted []*wire.Placed) {
	switch m := answer.(type) {
	case *wire.Placed:
		if m.Flags&wire.PlacedRepeat == 0 {
			granted = append(granted, m)
		}
	case *wire.PlacedAll:
		for i := range m.Results {
			if m.Results[i].Code == wire.CodeOK && m.Results[i].Placed.Flags&wire.PlacedRepeat == 0 {
				granted = append(granted, &m.Results[i].Placed)
			}
		}
	}
	return granted
}
