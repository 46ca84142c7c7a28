package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v3"
)

// pong is what ping prints as JSON.
type pong struct {
	Addresses []string `json:"addresses"`
	Server    string   `json:"server"`
	Epoch     uint32   `json:"epoch"`
	Instance  uint32   `json:"instance"`
	RoundTrip float64  `json:"round_trip_ms"`
}

func (a *app) ping() *cli.Command {
	return &cli.Command{
		Name:        "ping",
		Usage:       "ask a scheduler whether it lives",
		Description: "Example:\n  dtask --addr 10.0.0.1:8081,10.0.0.2:8081 ping",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return usage("ping takes no arguments", "dtask ping --help")
			}
			return a.runPing(ctx)
		},
	}
}

func (a *app) runPing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
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
