package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// MaxRefusals is how often ScheduleElsewhere asks for one task again before it
// gives the task up.
const MaxRefusals = 3

// elsewherePause is how long ScheduleElsewhere waits for a worker that was asked
// for the old lease, before it looks again.
const elsewherePause = 20 * time.Millisecond

// ErrRefused says that a task was refused after it had been asked for again
// MaxRefusals times.
var ErrRefused = errors.New("dtask: the workers refuse the task")

// ScheduleElsewhere asks for another place for the task of a lease whose worker
// has refused it: its agent was full, was restarted since, or its machine cannot
// run such a task. The lease is given back, and the worker avoided from here on
// (the oldest of more than 16 in Task.NotWorkers is forgotten). The new lease
// remembers how often its task was refused: after MaxRefusals the answer is
// ErrRefused, for a task that no worker takes would else go round for ever.
//
// If the worker may still get the old lease, it is asked first, so that no task
// ever runs twice: that takes until it answers, or the context ends. ErrBegun
// says that the task runs there after all. Otherwise the errors are those of
// Schedule.
//
// A task that was requeued meanwhile, because it was preempted, was not
// refused: it keeps its place, as by Requeued, and may be placed anywhere.
func (c *Client) ScheduleElsewhere(ctx context.Context, l *Lease) (*Lease, error) {
	refusals := c.book.refusals(l, 0)
	if refusals >= MaxRefusals {
		return nil, ErrRefused
	}
	switch err := c.Release(ctx, l); {
	case err == nil, errors.Is(err, ErrAskedBack), errors.Is(err, ErrAlreadyEnded),
		errors.Is(err, ErrNotFound), errors.Is(err, ErrLost), errors.Is(err, ErrReleased):
	default:
		return nil, err
	}
	t := l.task
	avoid := slices.DeleteFunc(slices.Clone(t.NotWorkers), func(id string) bool { return id == l.worker })
	if len(avoid) >= wire.MaxNotWorkers {
		avoid = avoid[len(avoid)-wire.MaxNotWorkers+1:]
	}
	t.NotWorkers = append(avoid, l.worker)
	for over := false; ; {
		next, err := c.Schedule(ctx, t)
		if err == nil {
			c.book.refusals(next, refusals+1)
			return next, nil
		}
		if c.book.waitsAgain(l) {
			return c.goRound(ctx, l)
		}
		// While the worker has not answered, the task's id is in use.
		if over || !errors.Is(err, ErrConflict) {
			return nil, err
		}
		if over, err = c.isOver(ctx, l); err != nil {
			return nil, err
		}
		if over {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(elsewherePause):
		}
	}
}

// refusals returns how often the task of a lease was refused before, at least
// what the caller knows.
func (b *book) refusals(l *Lease, least int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.refusals = max(l.refusals, least)
	return l.refusals
}

// isOver reports whether a lease that was given back has ended. ErrBegun says
// that its task runs.
func (c *Client) isOver(ctx context.Context, l *Lease) (over bool, err error) {
	var state wire.State
	_, err = c.ask(ctx, "renew "+l.id.String(), &wire.Renew{Leases: []wire.LeaseID{l.id}}, func(m wire.Message) error {
		a, ok := m.(*wire.Renewed)
		if !ok || len(a.Leases) != 1 {
			return unexpected(m)
		}
		state = a.Leases[0].State
		return nil
	})
	switch {
	case err != nil:
		return false, err
	case state == wire.StateBegun:
		return false, refused("schedule "+l.task.ID, &wire.Error{Code: wire.CodeBegun, Message: "the task runs on " + l.worker})
	}
	return state == wire.StateEnded || state == wire.StateNone, nil
}
