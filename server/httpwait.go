package server

import (
	"context"
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of HTTP requests that wait for room.
const (
	maxWaitHTTP     = 60_000   // milliseconds that one may wait
	maxWaitingHTTP  = 4096     // requests that wait at once: each holds a connection
	maxWaitingBytes = 64 << 20 // of their bodies
	waitingRetryMS  = 1000
	waitAnswerGrace = 5 * time.Second // beyond the wait, until the answer must be read
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
	switch m := it.Message().(type) {
	case *wire.Placed:
		p := kept(m)
		ch <- &p
	case *wire.PlacedAll:
		for i := range m.Results {
			m.Results[i].Placed = kept(&m.Results[i].Placed)
		}
		ch <- m
	default:
		ch <- m
	}
}

// kept copies a placement out of an outbox, which is used again.
func kept(p *wire.Placed) wire.Placed {
	k := *p
	k.Target = append([]byte(nil), p.Target...)
	return k
}

// wait is do for a request that may have to wait for room: waits is called when
// it does. It returns nil if the context ends first: then nothing of it is left
// behind.
func (c *core) wait(ctx context.Context, x *exchange, m wire.Message, waits func()) wire.Message {
	id, answer, ch, job := c.begin(x, m)
	if answer != nil {
		return answer
	}
	if job != nil {
		c.carry(job, m, &x.out, x.id)
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
		ch <- answer // both came, and nobody is there to be told
	case <-ctx.Done():
	}
	c.abandon(x, id, ch)
	return nil
}

// begin sends the request and returns its answer, or where that will come, and
// what the lane has to do for it.
func (c *core) begin(x *exchange, m wire.Message) (id uint64, answer wire.Message, ch chan wire.Message, job *sched.Job) {
	c.use(m.Kind().String(), x.id, &x.out, func(now sched.Time) {
		if c.draining {
			answer = errStopping
		} else if full := c.web.full(x.size); full != nil {
			answer = full
		} else {
			id, ch = c.web.add(x.size)
			job = c.apply(now, 0, id, m, &x.out)
		}
	})
	return id, answer, ch, job
}

// abandon takes a request back whose asker has gone away. A lease that it got
// in the last moment is given back.
func (c *core) abandon(x *exchange, id uint64, ch chan wire.Message) {
	c.use("withdraw", x.id, &x.out, func(now sched.Time) {
		c.web.take(id)
		c.state.Withdraw(now, 0, id, &x.out)
		select {
		case answer := <-ch:
			for _, p := range placements(answer) {
				c.apply(now, 0, 0, &wire.Release{Lease: p.Lease}, &x.out)
			}
		default:
		}
	})
}

// placements returns what an answer has granted, but for what an earlier
// request was told of.
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

// holdOpen lets a request last as long as it may wait, whatever the server's
// usual limits are.
func holdOpen(w http.ResponseWriter, wait time.Duration) {
	until := time.Now().Add(wait + waitAnswerGrace)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(until) // else the connection seems to end in mid-wait
	_ = rc.SetWriteDeadline(until)
}
