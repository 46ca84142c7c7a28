package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Where a call stands: its caller waits, has been answered, or has gone away.
const (
	callWaiting int32 = iota
	callAnswered
	callAbandoned
)

// errFullBook refuses a task before it is sent.
var errFullBook = refused("schedule", &wire.Error{
	Code: wire.CodeLeaseLimit, Limit: MaxHeld, Message: "this client holds as many leases as it may",
})

// errShunned refuses a lease that was given up before.
var errShunned = refused("schedule", &wire.Error{
	Code:    wire.CodeAskedBack,
	Message: "the task's earlier lease was given up and its worker has not answered yet: ask again in a moment",
})

// Schedule asks for a place for a task and returns a lease on the least loaded
// worker that has its tags and room for it, or the one that its Policy says. It
// is repeated on the next connection if this one ends, until the context ends,
// and within its Wait when the scheduler says when a repeat makes sense.
// If the context ends while the answer is on its way, the lease that it brings
// is released. A task whose lease this client holds gets the same *Lease again.
//
// ErrUnavailable means that the workers which could take the task are busy,
// ErrInfeasible that no worker ever could, ErrConflict that the task id is in
// use with other content, a *TooOldError that the scheduler does not know what
// the task asks for.
//
// It costs one allocation, the Lease, and many goroutines share each write.
func (c *Client) Schedule(ctx context.Context, t Task) (*Lease, error) {
	return c.schedule(ctx, t, nil)
}

// schedule is Schedule that says when it has asked, each time.
func (c *Client) schedule(ctx context.Context, t Task, asked func()) (*Lease, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	if c.book.full() {
		return nil, errFullBook
	}
	k := c.calls.Get().(*placing)
	k.task, k.asked = t, asked
	k.scratch = k.task.pack(&k.request, k.scratch[:0])
	until := t.waitUntil()
	for {
		k.request.WaitMS = leftOf(until)
		l, abandoned, err := k.once(ctx)
		switch {
		case abandoned:
			return nil, err // the call belongs to its answer now
		case err == nil && l != nil:
			k.free()
			return l, nil
		case err != nil && !c.again(err):
			if err = c.rest(ctx, err, until); err == nil {
				continue
			}
			k.free()
			return nil, c.final("schedule "+t.ID, err)
		}
		// The connection was lost, or an earlier lease of this task has just
		// been released: ask again.
	}
}

// placing is one call of Schedule. It is used again.
type placing struct {
	client  *Client
	task    Task
	request wire.Schedule
	scratch []byte
	asked   func()        // told when the request is on its way; may be nil
	done    Done          // answer, bound once
	ready   chan struct{} // one token when answered
	state   atomic.Int32

	// The outcome, set before the token: a lease that may be on its way back,
	// or an error.
	lease *Lease
	err   error
}

func newPlacing(c *Client) *placing {
	k := &placing{client: c, ready: make(chan struct{}, 1)}
	k.done = k.answer
	return k
}

// free lets another call use k.
func (k *placing) free() {
	k.task, k.asked, k.lease, k.err = Task{}, nil, nil, nil
	k.client.calls.Put(k)
}

// once sends the request and waits for its answer. Neither a lease nor an error
// means: ask again. Once it is abandoned, k may be in use by another caller.
func (k *placing) once(ctx context.Context) (l *Lease, abandoned bool, err error) {
	k.state.Store(callWaiting)
	conn, err := k.client.connected(ctx)
	if err != nil {
		return nil, false, err
	}
	if err = conn.knows(&k.task); err != nil {
		return nil, false, err
	}
	if k.task.Preempt { // what is left of its wait may be less than the grace
		k.request.WaitMS = max(k.request.WaitMS, uint32(conn.grace()/time.Millisecond))
	}
	if err = conn.Start(ctx, &k.request, k.done); err == nil {
		if k.asked != nil {
			k.asked()
		}
		select {
		case <-k.ready:
		case <-ctx.Done():
			task := k.task // k is another's as soon as it is abandoned
			c := k.client
			c.leaving.add()
			if k.state.CompareAndSwap(callWaiting, callAbandoned) {
				cancelWait(conn, &task)
				return nil, true, ctx.Err()
			}
			c.leaving.done()
			<-k.ready
		}
		err = k.err
	}
	switch {
	case k.client.again(err):
		return nil, false, k.client.lose(ctx, conn, "schedule "+k.task.ID)
	case err != nil:
		return nil, false, err
	}
	l, err = k.client.usable(ctx, k.lease)
	return l, false, err
}

// answer runs on the connection's reader.
func (k *placing) answer(m wire.Message, err error) {
	fresh := false
	switch m := m.(type) {
	case nil:
		k.err = err
	case *wire.Placed:
		k.err = nil
		k.lease, fresh = k.client.book.grant(&k.task, m, time.Now())
	default:
		k.err = unexpected(m)
	}
	if k.state.CompareAndSwap(callWaiting, callAnswered) {
		k.ready <- struct{}{}
		return
	}
	c := k.client
	if fresh {
		c.giveBack(k.lease)
	}
	k.free()
	c.leaving.done()
}

// giveBack releases a lease whose caller has gone away.
func (c *Client) giveBack(l *Lease) {
	if c.book.giveUp(l, context.Canceled) {
		c.sendRelease(l)
	}
}

// usable turns what grant returned into an answer. For a lease that is on its
// way back it waits for the outcome and returns neither lease nor error: the
// caller asks again.
func (c *Client) usable(ctx context.Context, l *Lease) (*Lease, error) {
	settled, err := c.book.usable(l)
	if settled == nil {
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	select {
	case <-settled:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// usable reports whether a lease may be returned by Schedule: yes (nil, nil),
// not before its release is settled, or not at all.
func (b *book) usable(l *Lease) (settled <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.unlock()
	if l.standing == held && l.ttl > 0 && l.holds == 0 && !l.handed && !time.Now().Before(l.beginBy) {
		b.loseLocked(l, errTTL)
		return nil, l.errLocked()
	}
	switch l.standing {
	case releasing:
		return l.settled, nil
	case lost, released:
		if errors.Is(l.cause, ErrClosed) {
			return nil, ErrClosed
		}
		if b.leases[l.id] == l {
			return nil, errShunned
		}
		return over, nil
	}
	return nil, nil
}

// over stands for something that has happened, such as a release that is settled.
var over = func() chan struct{} {
	settled := make(chan struct{})
	close(settled)
	return settled
}()

func unexpected(m wire.Message) error {
	return refused("answer", &wire.Error{Code: wire.CodeProtocol, Message: "the scheduler answered with " + m.Kind().String()})
}
