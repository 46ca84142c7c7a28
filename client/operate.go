package client

import (
	"context"
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file is the calls of operators. Each is sent again on the next
// connection if this one ends, until its context does: they only read, or
// change nothing when they arrive twice.

// Worker returns one worker with its leases, at most 1,000 of them. ErrNotFound
// says that the scheduler does not know it.
func (c *Client) Worker(ctx context.Context, id string) (*wire.Worker, error) {
	return fetch[wire.Worker](ctx, c, "worker "+id, &wire.GetWorker{ID: id})
}

// Stats returns totals of the fleet and the scheduler's counters.
func (c *Client) Stats(ctx context.Context) (*wire.Stats, error) {
	return fetch[wire.Stats](ctx, c, "stats", &wire.GetStats{})
}

// Ping waits for the scheduler to answer.
func (c *Client) Ping(ctx context.Context) error {
	_, err := fetch[wire.Pong](ctx, c, "ping", &wire.Ping{})
	return err
}

// Scheduler returns what the scheduler of the present connection, or of the last
// one, said of itself.
func (c *Client) Scheduler() wire.HelloOK { return *c.welcome.Load() }

// Cordon takes a worker out of service for new placements; what runs there goes
// on. The cordon belongs to the worker's id and stays until Uncordon, whatever
// becomes of the worker. reason has at most 256 bytes; the client id is
// shown as the originator. changed is false if the worker was cordoned already:
// then the first reason stays. It is also false if the answer was lost with a
// connection after the scheduler had acted. ErrNotFound says that the scheduler
// does not know the worker.
func (c *Client) Cordon(ctx context.Context, worker, reason string) (changed bool, err error) {
	return c.cordon(ctx, &wire.Cordon{Worker: worker, On: true, Reason: reason}, "cordon ")
}

// Drain takes a worker out of service as Cordon does, for an operator that waits
// until nothing runs there: the worker's Flags hold "draining" until it has no
// lease and reports no task itself, then "drained", which is an event too. It
// changes a plain cordon. Uncordon ends it. What runs goes on to its end.
func (c *Client) Drain(ctx context.Context, worker, reason string) (changed bool, err error) {
	return c.cordon(ctx, &wire.Cordon{Worker: worker, On: true, Reason: reason, Drain: true}, "drain ")
}

// DrainWithin is Drain with a deadline: what still runs when it has passed is
// preempted, told to end, and killed when the scheduler's grace is over. The
// deadline is at most wire.MaxDrain milliseconds; 0 is at once.
func (c *Client) DrainWithin(ctx context.Context, worker, reason string, deadline time.Duration) (changed bool, err error) {
	if deadline < 0 || deadline > wire.MaxDrain*time.Millisecond {
		return false, refused("drain "+worker, &wire.Error{Code: wire.CodeBadRequest, Field: "deadline_ms", Limit: wire.MaxDrain,
			Message: fmt.Sprintf("the deadline %v is not 0 to %v", deadline, wire.MaxDrain*time.Millisecond)})
	}
	ms := max(1, (deadline+time.Millisecond-1)/time.Millisecond)
	return c.cordon(ctx, &wire.Cordon{Worker: worker, On: true, Reason: reason, Drain: true, DeadlineMS: uint32(ms)}, "drain ")
}

// Uncordon puts a worker back into service, under the rules of Cordon. It also
// lifts the cordon of a worker that is gone.
func (c *Client) Uncordon(ctx context.Context, worker, reason string) (changed bool, err error) {
	return c.cordon(ctx, &wire.Cordon{Worker: worker, Reason: reason}, "uncordon ")
}

func (c *Client) cordon(ctx context.Context, m *wire.Cordon, verb string) (changed bool, err error) {
	answer, err := fetch[wire.Cordoned](ctx, c, verb+m.Worker, m)
	if err != nil {
		return false, err
	}
	return answer.Changed, nil
}

// fetch asks for an answer of one type. The rare answers are decoded into
// memory of their own, so they may be kept.
func fetch[T any](ctx context.Context, c *Client, what string, m wire.Message) (*T, error) {
	var answer *T
	_, err := c.ask(ctx, what, m, func(m wire.Message) error {
		got, ok := any(m).(*T)
		if !ok {
			return unexpected(m)
		}
		copied := *got
		answer = &copied
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}
