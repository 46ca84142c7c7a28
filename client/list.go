package client

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file is the lists. Each walks all pages as its loop goes on; an error
// ends it. A page that was not answered is asked for again on the next
// connection, until the context ends. A list may be walked again, from its
// start.

// walk yields the rows of one page after the other. next answers one question
// and changes it to the one for the page that follows, if there is more.
func walk[Q, R any](first Q, next func(ask *Q) (rows []R, more bool, err error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		ask := first
		for more := true; more; {
			var rows []R
			var err error
			if rows, more, err = next(&ask); err != nil {
				var none R
				yield(none, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// limit turns a number of rows into the field of a question.
func limit(page int) uint32 { return uint32(min(max(page, 0), wire.MaxPage)) }

// Filter says which workers Workers returns; the zero value means all.
type Filter struct {
	Tags  []string // only workers that have all of these, at most 16
	State string   // only workers that are "online", "suspicious" or "offline"; "" for all
	Page  int      // rows asked for at once, 1 to 1,000; 0 means 1,000
	// Selector is an expression that must hold for the tags of a worker, as
	// Task.Selector. It is compared here, not by the scheduler. Workers with the
	// flag tags_omitted have too many tags to be listed, and are never left out.
	Selector string
}

// Workers returns the workers in order of their ids. Workers that come or go
// meanwhile may be missed, none comes twice.
func (c *Client) Workers(ctx context.Context, f Filter) iter.Seq2[wire.WorkerInfo, error] {
	all := c.workers(ctx, f)
	if f.Selector == "" {
		return all
	}
	where, err := readSelector("workers", "selector", f.Selector)
	return func(yield func(wire.WorkerInfo, error) bool) {
		if err != nil {
			yield(wire.WorkerInfo{}, err)
			return
		}
		for w, err := range all {
			if err == nil && !where.Match(w.Tags) && !slices.Contains(w.Flags, "tags_omitted") {
				continue
			}
			if !yield(w, err) {
				return
			}
		}
	}
}

// workers is Workers without the selector.
func (c *Client) workers(ctx context.Context, f Filter) iter.Seq2[wire.WorkerInfo, error] {
	first := wire.ListWorkers{Limit: limit(f.Page), Tags: f.Tags, State: f.State}
	return walk(first, func(ask *wire.ListWorkers) ([]wire.WorkerInfo, bool, error) {
		page, err := fetch[wire.Workers](ctx, c, "workers", ask)
		if err != nil {
			return nil, false, err
		}
		ask.After = page.Next
		return page.Rows, page.Next != "", nil
	})
}

// LeaseFilter says which leases Leases returns; the zero value means all.
type LeaseFilter struct {
	Worker string // only leases on this worker
	Owner  string // only leases of this owner's tasks
	Group  string // only leases of this group's tasks
	Client string // only leases that this client id asked for
	// State is the only state to list, from wire.StateGranted to
	// wire.StateAssumed; wire.StateNone lists all.
	State wire.State
	Page  int // rows asked for at once, 1 to 1,000; 0 means 1,000
}

// Leases returns the live leases, in no order that means anything. Leases that
// are granted or end meanwhile may be missed.
func (c *Client) Leases(ctx context.Context, f LeaseFilter) iter.Seq2[wire.LeaseInfo, error] {
	first := wire.ListLeases{Limit: limit(f.Page), Worker: f.Worker, Owner: f.Owner, Group: f.Group, Client: f.Client, State: f.State}
	return walk(first, func(ask *wire.ListLeases) ([]wire.LeaseInfo, bool, error) {
		page, err := fetch[wire.Leases](ctx, c, "leases", ask)
		if err != nil {
			return nil, false, err
		}
		ask.After = page.Next
		return page.Rows, page.Next != 0, nil
	})
}

// CountLeases returns how many live leases pass a filter. It looks at all that
// live, a few thousand with each frame.
func (c *Client) CountLeases(ctx context.Context, f LeaseFilter) (uint64, error) {
	n := uint64(0)
	for ask := (&wire.ListLeases{Worker: f.Worker, Owner: f.Owner, Group: f.Group, Client: f.Client, State: f.State, Count: true}); ; {
		page, err := fetch[wire.Leases](ctx, c, "leases", ask)
		if err != nil {
			return n, err
		}
		n += page.Matched + uint64(len(page.Rows)) // rows are of a scheduler that does not only count
		if ask.After = page.Next; ask.After == 0 {
			return n, nil
		}
	}
}

// Tags returns the tags of the fleet in their order, each with the number of
// workers that have it.
func (c *Client) Tags(ctx context.Context) iter.Seq2[wire.TagInfo, error] {
	return walk(wire.ListTags{}, func(ask *wire.ListTags) ([]wire.TagInfo, bool, error) {
		page, err := fetch[wire.Tags](ctx, c, "tags", ask)
		if err != nil {
			return nil, false, err
		}
		ask.After = page.Next
		return page.Rows, page.Next != "", nil
	})
}

// EndedFilter says which ended leases Ended returns; the zero value means all.
type EndedFilter struct {
	Task   string // only leases of this task id
	Worker string // only leases on this worker
	Page   int    // rows asked for at once, 1 to 1,000; 0 means 1,000
}

// Ended returns the leases that ended lately, the newest first. The scheduler
// keeps a bounded number of them.
func (c *Client) Ended(ctx context.Context, f EndedFilter) iter.Seq2[wire.EndedLease, error] {
	first := wire.ListEnded{Limit: limit(f.Page), Task: f.Task, Worker: f.Worker}
	return walk(first, func(ask *wire.ListEnded) ([]wire.EndedLease, bool, error) {
		page, err := fetch[wire.EndedLeases](ctx, c, "ended leases", ask)
		if err != nil {
			return nil, false, err
		}
		ask.Before = page.Next
		return page.Rows, page.Next != 0, nil
	})
}

// Events returns what happened to workers after the event with this number, the
// oldest first, up to the newest that there is; 0 begins with the oldest that
// the scheduler keeps. Numbers grow by one: a gap tells how many events are not
// kept any more. A scheduler that was started anew counts from 1 again; an
// after that it never reached stands for 0 then.
func (c *Client) Events(ctx context.Context, after uint64) iter.Seq2[wire.Event, error] {
	return walk(wire.ListEvents{After: after}, func(ask *wire.ListEvents) ([]wire.Event, bool, error) {
		page, err := fetch[wire.Events](ctx, c, "events", ask)
		if err != nil {
			return nil, false, err
		}
		if page.Next < ask.After {
			ask.After = 0
			return nil, true, nil
		}
		if n := len(page.Rows); n > 0 {
			ask.After = page.Rows[n-1].Number
		}
		return page.Rows, len(page.Rows) > 0 && ask.After < page.Next, nil
	})
}

// Follow is Events that goes on: having come to the newest event it asks again
// after each pause, at least a millisecond, until the context ends. It begins
// anew with a scheduler that was started anew, whose numbers begin at 1; some
// events may then come twice.
func (c *Client) Follow(ctx context.Context, after uint64, pause time.Duration) iter.Seq2[wire.Event, error] {
	return func(yield func(wire.Event, error) bool) {
		last, life := after, c.Scheduler().Grantor.Instance
		tick := time.NewTicker(max(pause, time.Millisecond))
		defer tick.Stop()
		for {
			anew := false
			for e, err := range c.Events(ctx, last) {
				if !yield(e, err) || err != nil {
					return
				}
				anew = anew || e.Number <= last
				last = e.Number
			}
			if now := c.Scheduler().Grantor.Instance; now != life {
				life = now
				if !anew {
					last = 0
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				yield(wire.Event{}, ctx.Err())
				return
			}
		}
	}
}
