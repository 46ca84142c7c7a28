package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
)

func (a *app) workerCordon() *cli.Command {
	return &cli.Command{
		Name:      "cordon",
		Usage:     "take workers out of service: no new tasks, running tasks stay",
		ArgsUsage: "WORKER...",
		Description: "A cordon belongs to the worker's id and stays until `dtask worker uncordon` ends it, also\n" +
			"over restarts of the agent.\n\n" +
			"Examples:\n" +
			"  dtask worker cordon worker-001 --reason \"driver upgrade\"\n" +
			"  dtask worker cordon worker-001 worker-002",
		Flags:         []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "`TEXT` of the reason, for people"}},
		ShellComplete: a.completeWorkers,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.changeCordons(ctx, cmd, "cordoned", (*client.Client).Cordon)
		},
	}
}

func (a *app) workerUncordon() *cli.Command {
	return &cli.Command{
		Name:      "uncordon",
		Usage:     "put workers back into service",
		ArgsUsage: "WORKER...",
		Description: "Examples:\n" +
			"  dtask worker uncordon worker-001\n" +
			"  dtask worker uncordon worker-001 worker-002 --reason \"upgrade is done\"",
		Flags:         []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "`TEXT` for the list of events"}},
		ShellComplete: a.completeWorkers,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return a.changeCordons(ctx, cmd, "in_service", (*client.Client).Uncordon)
		},
	}
}

// changeCordons goes through the workers in order. Those that fail do not keep
// it from the others.
func (a *app) changeCordons(ctx context.Context, cmd *cli.Command, status string,
	set func(c *client.Client, ctx context.Context, worker, reason string) (bool, error),
) error {
	ids := cmd.Args().Slice()
	if len(ids) == 0 {
		return usage(cmd.FullName()+" takes the ids of workers", "dtask worker list")
	}
	return a.with(ctx, func(ctx context.Context, c *client.Client) error {
		var failed []error
		for _, id := range ids {
			changed, err := set(c, ctx, id, cmd.String("reason"))
			if err == nil {
				err = a.printChange(change{id, status, changed})
			}
			if err != nil {
				failed = append(failed, err)
			}
		}
		return errors.Join(failed...)
	})
}

func (a *app) printChange(c change) error {
	switch {
	case a.out.json:
		return a.out.object(c)
	case a.out.quiet:
		a.out.id(c.Worker)
	default:
		text := map[string]string{"cordoned": "cordoned", "draining": "draining", "drained": "drained", "in_service": "back in service"}[c.Status]
		if !c.Changed && c.Status != "drained" {
			text = fmt.Sprintf("was %s already", text)
		}
		a.out.linef("%s %s", c.Worker, text)
	}
	return nil
}
