package client

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// waitUntil returns when the wait of a task is over that begins now.
func (t *Task) waitUntil() (until time.Time) {
	if t.Wait > 0 {
		until = time.Now().Add(t.Wait)
	}
	return until
}

// leftOf returns what is left of a wait, as a request says it: at least a
// millisecond, so that a task which is asked for again is not refused for being
// late. It is 0 for no wait.
func leftOf(until time.Time) uint32 {
	if until.IsZero() {
		return 0
	}
	left := time.Until(until)
	return uint32(max(1, min((left+time.Millisecond-1)/time.Millisecond, wire.MaxWait)))
}

// rest waits until a request that was refused is worth a repeat, as the scheduler
// says, and returns nil: ask again. It returns the refusal if the scheduler says
// nothing of that, or the wait of the task is over.
func (c *Client) rest(ctx context.Context, err error, until time.Time) error {
	var e *wire.Error
	left := time.Until(until) // below 0 for a task without a wait
	if left <= 0 || !errors.As(err, &e) || e.RetryAfterMS == 0 {
		return err
	}
	pause := time.Duration(e.RetryAfterMS) * time.Millisecond
	timer := time.NewTimer(min(pause+rand.N(pause/4+1), left)) // not all at once
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.life.Done():
		return ErrClosed
	}
}

// cancelWait takes a task out of the queue whose caller has gone away. No call
// waits for the answer: if the task was placed meanwhile, its lease is given
// back when it arrives.
func cancelWait(conn *Conn, t *Task) {
	if t.Wait > 0 {
		_ = conn.Go(&wire.Cancel{Task: t.ID}, func(wire.Message, error) {})
	}
}

// findsRoomLater reports whether a task that was refused may be placed when it
// waits.
func findsRoomLater(err error) bool {
	var e *wire.Error
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOwnerLimit) || errors.Is(err, ErrLeaseLimit) ||
		errors.Is(err, ErrInfeasible) || // unless it waits for workers it gets the same again
		errors.As(err, &e) && e.RetryAfterMS > 0
}

// QueueFilter says which waiting tasks Queue returns and CancelWaiting cancels;
// the zero value means all.
type QueueFilter struct {
	Task   string // only the task with this id
	Client string // only tasks of this client id
	Owner  string // only tasks of this owner
	Group  string // only tasks of this group
	Page   int    // rows asked for at once, 1 to 1,000; 0 means 1,000
}

// Queue returns the tasks that wait for room, in no particular order: SortWaiting
// puts them into the one in which they will go. One that is placed meanwhile may
// be missing.
func (c *Client) Queue(ctx context.Context, f QueueFilter) iter.Seq2[wire.WaiterInfo, error] {
	first := wire.ListQueue{Limit: limit(f.Page), Task: f.Task, Client: f.Client, Owner: f.Owner, Group: f.Group}
	return walk(first, func(ask *wire.ListQueue) ([]wire.WaiterInfo, bool, error) {
		page, err := fetch[wire.Queue](ctx, c, "queue", ask)
		if err != nil {
			return nil, false, err
		}
		ask.After = page.Next
		return page.Rows, page.Next != 0, nil
	})
}

// CountWaiting returns how many tasks wait for room that pass a filter, those of
// gangs one by one. It looks at all that wait, a few thousand with each frame.
func (c *Client) CountWaiting(ctx context.Context, f QueueFilter) (uint64, error) {
	n := uint64(0)
	for ask := (&wire.ListQueue{Task: f.Task, Client: f.Client, Owner: f.Owner, Group: f.Group, Count: true}); ; {
		page, err := fetch[wire.Queue](ctx, c, "queue", ask)
		if err != nil {
			return n, err
		}
		n += page.Matched
		for i := range page.Rows { // of a scheduler that does not only count
			n += uint64(page.Rows[i].Tasks)
		}
		if ask.After = page.Next; ask.After == 0 {
			return n, nil
		}
	}
}

// CancelWaiting takes waiting tasks out of the queue and returns their
// number; a gang counts as one. Their callers get ErrCancelled. The filter
// must name something; a task without a client is one of this client's own.
func (c *Client) CancelWaiting(ctx context.Context, f QueueFilter) (int, error) {
	cancelled := 0
	for ask := (&wire.Cancel{Task: f.Task, Client: f.Client, Owner: f.Owner, Group: f.Group}); ; {
		answer, err := fetch[wire.Cancelled](ctx, c, "cancel", ask)
		if err != nil {
			return cancelled, err
		}
		cancelled += int(answer.Count)
		if ask.After = answer.Next; ask.After == 0 {
			return cancelled, nil
		}
	}
}
