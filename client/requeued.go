package client

import (
	"context"
	"errors"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// errForeign refuses a lease that another client was given.
var errForeign = errors.New("dtask: the lease belongs to another client")

// EndedError says that a lease is over and its task does not go round again. It
// is an ErrAlreadyEnded.
type EndedError struct {
	Reason wire.Reason // how it ended, such as wire.ReasonOK
}

func (e *EndedError) Error() string { return "dtask: the lease has ended: " + e.Reason.String() }

// Is makes errors.Is(err, ErrAlreadyEnded) work.
func (e *EndedError) Is(target error) bool { return target == ErrAlreadyEnded }

// Requeued waits until a lease is over whose task was asked for with
// OnPreemptRequeue. If the task was preempted it waits at its old place, and
// Requeued returns the lease that it gets next: hand that one over, and call
// Requeued for it. If it did not have to, or has come to its own end within the
// grace, the error is an *EndedError with the reason.
//
// The task is asked for with the same content, and with the longest wait. A
// client that is not connected when the lease ends is not told, and its task
// not requeued: then it is asked for on the next connection, and comes to the
// end of its line. Until Requeued asks, the task waits on its own; whatever it
// is given then is asked back after a while.
//
// If the context ends the lease goes on, and Requeued may be called again; a
// task that waits already is taken out of the queue. Call it once at a time for
// a lease. Other errors are those of Schedule, ErrLost for a lease that was lost
// before its task began, ErrReleased for one that was released.
func (c *Client) Requeued(ctx context.Context, l *Lease) (*Lease, error) {
	switch {
	case l.book != c.book:
		return nil, errForeign
	case l.task.OnPreempt != OnPreemptRequeue:
		return nil, badField("on_preempt", "the task "+l.task.ID+" was not asked for with OnPreemptRequeue")
	case l.flags.BestEffort():
		return nil, badField("on_preempt", "the task "+l.task.ID+" is on a worker that speaks HTTP: it is never preempted")
	}
	select {
	case <-l.follow.over:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if next, err := c.book.afterwards(l); next != nil || err != nil {
		return next, err
	}
	return c.goRound(ctx, l)
}

// goRound asks for the preempted task of a lease again.
func (c *Client) goRound(ctx context.Context, l *Lease) (*Lease, error) {
	t := l.task
	t.Wait = wire.MaxWait * time.Millisecond
	next, err := c.Schedule(ctx, t)
	if err == nil {
		c.book.succeed(l, next)
	}
	return next, err
}

// afterwards returns what came of a lease that is over: neither a lease nor an
// error if its task is to be asked for again.
func (b *book) afterwards(l *Lease) (next *Lease, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := l.follow
	if f.again {
		return f.next, nil
	}
	return nil, f.cause
}

// succeed notes which lease a task got after another, so that no call asks for
// it a second time.
func (b *book) succeed(l, next *Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.follow.next = next
}

// waitsAgain reports whether the task of a lease was requeued, and no call has
// asked for it since.
func (b *book) waitsAgain(l *Lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.follow != nil && l.follow.requeued && l.follow.next == nil
}
