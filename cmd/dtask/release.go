package main

import (
	"context"
	"errors"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

func (a *app) release() *cli.Command {
	return &cli.Command{
		Name:      "release",
		Usage:     "release leases whose tasks have not begun",
		ArgsUsage: "[LEASE...]",
		Description: "A lease that may have reached its worker needs --handed: the scheduler then asks the worker\n" +
			"to give it up. A lease that has begun is ended only by its worker. Releasing twice does no\n" +
			"harm.\n\n" +
			"Filters instead of leases select all that have not begun, as if --handed were set. Waiting\n" +
			"tasks are cancelled with `dtask queue cancel`.\n\n" +
			"Examples:\n" +
			"  dtask release 1-5f3a9c01-1000001\n" +
			"  dtask release 1-5f3a9c01-1000001 --handed\n" +
			"  dtask release --owner ann --group job-17",
		Flags: append([]cli.Flag{&cli.BoolFlag{Name: "handed", Usage: "the lease may have been handed to its worker"}}, leaseFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			f, args := leaseFilter(cmd), cmd.Args().Slice()
			if f != (client.LeaseFilter{}) {
				if len(args) > 0 {
					return usage("release takes leases, or filters", "dtask release --owner ann")
				}
				return a.with(ctx, func(ctx context.Context, c *client.Client) error { return a.releaseFiltered(ctx, c, f) })
			}
			ids, err := leasesOf(args)
			if err != nil {
				return err
			}
			return a.with(ctx, func(ctx context.Context, c *client.Client) error {
				return a.releaseAll(ctx, c, ids, cmd.Bool("handed"))
			})
		},
	}
}

// releaseFiltered releases the leases that pass a filter and have not begun.
// This command cannot know which of them were handed over.
func (a *app) releaseFiltered(ctx context.Context, c *client.Client, f client.LeaseFilter) error {
	list, err := collect(c.Leases(ctx, f), 0)
	if err != nil {
		return err
	}
	var ids []wire.LeaseID
	begun := 0
	for i := range list {
		if list[i].State == wire.StateBegun {
			begun++
			continue
		}
		ids = append(ids, list[i].Lease)
	}
	if err := a.releaseAll(ctx, c, ids, true); err != nil {
		return err
	}
	if !a.out.json && !a.out.quiet {
		a.out.linef("%s, %d more have begun", count(len(ids), "lease"), begun)
	}
	return nil
}

// leasesOf reads the ids of leases.
func leasesOf(args []string) ([]wire.LeaseID, error) {
	if len(args) == 0 {
		return nil, usage("release takes the ids of leases, or filters", "dtask lease list")
	}
	ids := make([]wire.LeaseID, len(args))
	for i, text := range args {
		id, err := wire.ParseLeaseID(text)
		if err != nil {
			return nil, usage(text+" is not a lease id such as 1-5f3a9c01-1000001", "dtask lease list")
		}
		ids[i] = id
	}
	return ids, nil
}

// releaseAll goes through the leases in order. Those that fail do not keep it
// from the others.
func (a *app) releaseAll(ctx context.Context, c *client.Client, ids []wire.LeaseID, handed bool) error {
	var failed []error
	for _, id := range ids {
		err := c.ReleaseID(ctx, id, handed)
		status := "released"
		switch {
		case errors.Is(err, client.ErrAskedBack):
			status, err = wire.CodeAskedBack.String(), nil
		case errors.Is(err, client.ErrAlreadyEnded):
			status, err = wire.CodeAlreadyEnded.String(), nil
		}
		if err == nil {
			err = a.printReleased(released{id, status})
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (a *app) printReleased(r released) error {
	switch {
	case a.out.json:
		return a.out.object(r)
	case a.out.quiet:
		a.out.linef("%v", r.Lease)
	default:
		a.out.linef("%v %s", r.Lease, strings.ReplaceAll(r.Status, "_", " "))
	}
	return nil
}
