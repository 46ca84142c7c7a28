package client

import (
	"context"
	"iter"

	"github.com/dtask/dtask-scheduler/wire"
)

// Filter says which workers Workers returns; the zero value means all.
type Filter struct {
	Tags  []string // only workers that have all of these, at most 16
	State string   // only workers that are "online", "suspicious" or "offline"; "" for all
	Page  int      // rows asked for at once, 1 to 1,000; 0 means 1,000
}

// Workers returns the workers in order of their ids, page by page as the loop
// goes on. An error ends the sequence. Workers that come or go meanwhile may be
// missed, none comes twice.
func (c *Client) Workers(ctx context.Context, f Filter) iter.Seq2[wire.WorkerInfo, error] {
	return func(yield func(wire.WorkerInfo, error) bool) {
		ask := wire.ListWorkers{Limit: uint32(max(0, f.Page)), Tags: f.Tags, State: f.State}
		for {
			page, err := fetch[wire.Workers](ctx, c, "workers", &ask)
			if err != nil {
				yield(wire.WorkerInfo{}, err)
				return
			}
			for _, w := range page.Rows {
				if !yield(w, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			ask.After = page.Next
		}
	}
}

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

// fetch asks for an answer of one type. The rare answers are decoded into
// memory of their own, so they may be kept.
func fetch[T any](ctx context.Context, c *Client, what string, m wire.Message) (*T, error) {
	var answer *T
	err := c.ask(ctx, what, m, func(m wire.Message) error {
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
