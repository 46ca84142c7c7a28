package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// drainPause is how often --wait looks whether a worker is drained.
const drainPause = 500 * time.Millisecond

func (a *app) workerDrain() *cli.Command {
	return &cli.Command{
		Name:      "drain",
		Usage:     "take workers out of service until nothing runs there",
		ArgsUsage: "WORKER...",
		Description: "Running tasks go on to their end, and no new ones are placed. The worker is drained once it\n" +
			"has no lease and reports that it runs nothing. At the --deadline remaining tasks are\n" +
			"preempted, and killed when the scheduler's --preempt-grace is over; on workers that speak\n" +
			"HTTP they go on. `dtask worker uncordon` puts the worker back.\n\n" +
			"Examples:\n" +
			"  dtask worker drain worker-001 --reason \"driver upgrade\"\n" +
			"  dtask worker drain worker-001 --deadline 1h --wait 2h && ssh worker-001 reboot",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` of the reason, for people"},
			&cli.DurationFlag{Name: "deadline", Usage: "`TIME` after which remaining tasks are preempted, 0s for at once; without it they run to their end"},
			&cli.DurationFlag{Name: "wait", Usage: "`TIME` to wait until the workers are drained; they stay out of service after it"},
		},
		ShellComplete: a.completeWorkers,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			wait, deadline := cmd.Duration("wait"), cmd.Duration("deadline")
			switch {
			case wait < 0:
				return usage(fmt.Sprintf("--wait %v is negative", wait), cmd.FullName()+" worker-001 --wait 1h")
			case deadline < 0 || deadline > wire.MaxDrain*time.Millisecond:
				return usage(fmt.Sprintf("--deadline %v is not 0s to %v", deadline, wire.MaxDrain*time.Millisecond), cmd.FullName()+" worker-001 --deadline 1h")
			}
			set := (*client.Client).Drain
			if cmd.IsSet("deadline") { // one of 0 is at once
				set = func(c *client.Client, ctx context.Context, worker, reason string) (bool, error) {
					return c.DrainWithin(ctx, worker, reason, deadline)
				}
			}
			until, status := time.Now().Add(wait), "draining"
			if wait > 0 {
				status = "drained"
				a.timeout += wait
			}
			return a.changeCordons(ctx, cmd, status, func(c *client.Client, ctx context.Context, worker, reason string) (bool, error) {
				changed, err := set(c, ctx, worker, reason)
				if err == nil && wait > 0 {
					err = awaitDrained(ctx, c, worker, until)
				}
				return changed, err
			})
		},
	}
}

// awaitDrained returns when nothing runs on a worker any more. A worker that is
// not known any more has left.
func awaitDrained(ctx context.Context, c *client.Client, worker string, until time.Time) error {
	for {
		w, err := c.Worker(ctx, worker)
		switch {
		case errors.Is(err, client.ErrNotFound):
			return nil
		case err != nil:
			return err
		case slices.Contains(w.Info.Flags, "drained"):
			return nil
		case !view.IsCordoned(&w.Info):
			return fmt.Errorf("worker %s was put back into service", worker)
		case !time.Now().Before(until):
			return &failure{
				err:  fmt.Errorf("worker %s is not drained: %d slots are leased, %d tasks run outside leases, it is %s", worker, w.Info.Taken, w.Info.External, w.Info.State),
				code: exitUnavailable,
				hint: "see what runs there with `dtask worker show " + worker + "`; it stays out of service",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(drainPause, max(time.Until(until), 0))):
		}
	}
}
