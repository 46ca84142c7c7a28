package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
)

func (a *app) ping() *cli.Command {
	return &cli.Command{
		Name:  "ping",
		Usage: "check that a scheduler answers",
		Description: "Examples:\n" +
			"  dtask ping\n" +
			"  dtask --addr 10.0.0.1:8081,10.0.0.2:8081 ping",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.with(ctx, a.runPing)
		},
	}
}

func (a *app) runPing(ctx context.Context, c *client.Client) error {
	start := time.Now()
	if err := c.Ping(ctx); err != nil {
		return err
	}
	took := time.Since(start)
	s := c.Scheduler()
	switch {
	case a.out.json:
		return a.out.object(pong{a.addrs, s.Server, s.Grantor.Epoch, s.Grantor.Instance, float64(took.Microseconds()) / 1000})
	case !a.out.quiet:
		a.out.linef("the scheduler (version %s, epoch %d, instance %08x) answered in %s", s.Server, s.Grantor.Epoch, s.Grantor.Instance, precise(took))
	}
	return nil
}
