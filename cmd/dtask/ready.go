package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// readyWithin is how long worker wait waits unless --timeout says otherwise.
const readyWithin = time.Minute

// readyPause is the time between two looks at a worker.
const readyPause = 50 * time.Millisecond

// outOfService are the flags of workers on which nothing new is placed.
var outOfService = []string{"connecting", "cordoned"}

// ready is what worker wait prints, one line for each worker.
type ready struct {
	Worker string `json:"worker_id" doc:"the worker"`
	Status string `json:"status" doc:"ready"`
}

func (a *app) workerWait() *cli.Command {
	return &cli.Command{
		Name:      "wait",
		Usage:     "wait until workers are ready for tasks",
		ArgsUsage: "WORKER...",
		Description: "A worker is ready when it is online, has promised the scheduler's epoch and is in service.\n" +
			"The worker and the scheduler may start later. If a worker is not ready in time the exit\n" +
			"code is 2.\n\n" +
			"Examples:\n" +
			"  dtask worker wait worker-001\n" +
			"  dtask worker wait worker-001 --timeout 5m",
		Flags:         []cli.Flag{&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`", Value: readyWithin}},
		ShellComplete: a.completeWorkers,
		Action:        a.runWorkerWait,
	}
}

func (a *app) runWorkerWait(ctx context.Context, cmd *cli.Command) error {
	ids, limit := cmd.Args().Slice(), cmd.Duration("timeout")
	switch {
	case len(ids) == 0 || slices.Contains(ids, ""):
		return usage(cmd.FullName()+" takes the ids of workers", "dtask worker list")
	case limit <= 0:
		return usage(fmt.Sprintf("--timeout %v is not positive", limit), cmd.FullName()+" "+quoted(ids[:1])+" --timeout 1m")
	}
	until := time.Now().Add(limit)
	c, err := a.dialUntil(ctx, until)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, id := range ids {
		if err := a.awaitReady(ctx, c, id, until, limit); err != nil {
			return err
		}
		switch {
		case a.out.json:
			err = a.out.object(ready{id, "ready"})
		case a.out.quiet:
			a.out.id(id)
		default:
			a.out.linef("%s ready", clean(id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dialUntil connects to a scheduler that may not listen yet.
func (a *app) dialUntil(ctx context.Context, until time.Time) (*client.Client, error) {
	for {
		c, err := a.dial(ctx, defaultClient())
		var refused *wire.Error
		if err == nil || errors.As(err, &refused) || ctx.Err() != nil || !time.Now().Add(readyPause).Before(until) {
			return c, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// awaitReady returns when tasks may be placed on a worker.
func (a *app) awaitReady(ctx context.Context, c *client.Client, id string, until time.Time, limit time.Duration) error {
	why := "the scheduler does not answer" // until it has once
	for {
		lacks, err := a.lacks(ctx, c, id, until)
		if lacks != "" {
			why = lacks
		}
		switch {
		case err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)):
			return err
		case err == nil && lacks == "":
			return nil
		case !time.Now().Add(readyPause).Before(until):
			return &failure{
				err: fmt.Errorf("worker %s is not ready after %v: %s", id, limit, why), code: exitUnavailable,
				hint: "look at its log, and the known workers with `dtask worker list`",
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// lacks says why nothing is placed on a worker, "" if it is ready.
func (a *app) lacks(ctx context.Context, c *client.Client, id string, until time.Time) (string, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, a.timeout)
	defer stop()
	w, err := c.Worker(ctx, id)
	switch {
	case errors.Is(err, client.ErrNotFound):
		return "the scheduler does not know it", nil
	case err != nil:
		return "", err
	case w.Info.State != "online":
		return "it is " + w.Info.State, nil
	case slices.ContainsFunc(w.Info.Flags, func(f string) bool { return slices.Contains(outOfService, f) }):
		return "it is " + strings.Join(w.Info.Flags, ", "), nil
	}
	return "", nil
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(readyPause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
