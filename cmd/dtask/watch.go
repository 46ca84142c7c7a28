package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
)

// minInterval bounds --interval from below.
const minInterval = 100 * time.Millisecond

// watchFlags are the flags of commands that can print again and again.
func watchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "print repeatedly, until interrupted"},
		&cli.DurationFlag{Name: "interval", Usage: "`TIME` between two prints of --watch", Value: 2 * time.Second},
		&cli.DurationFlag{Name: "for", Usage: "end --watch after this `TIME`"},
	}
}

// show prints once, or with --watch until it is interrupted or --for is over.
func (a *app) show(ctx context.Context, cmd *cli.Command, show func(ctx context.Context, c *client.Client) error) error {
	if err := checkWatch(cmd); err != nil {
		return err
	}
	if !cmd.Bool("watch") {
		return a.with(ctx, show)
	}
	c, err := a.dial(ctx, defaultClient())
	if err != nil {
		return err
	}
	defer c.Close()
	within, cancel := span(ctx, cmd)
	defer cancel()
	for {
		if a.out.terminal && !a.out.json {
			a.out.linef("\x1b[H\x1b[2J%s", time.Now().Format(time.TimeOnly))
		}
		err := a.showOnce(within, c, show)
		if within.Err() != nil || a.out.lost() != nil {
			return stopped(ctx) // that is how it ends
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(cmd.Duration("interval")):
		case <-within.Done():
			return stopped(ctx)
		}
	}
}

func (a *app) showOnce(ctx context.Context, c *client.Client, show func(ctx context.Context, c *client.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return show(ctx, c)
}

func checkWatch(cmd *cli.Command) error {
	switch {
	case cmd.Duration("interval") < minInterval:
		return usage(fmt.Sprintf("--interval must be at least %v", minInterval), cmd.FullName()+" --watch --interval 1s")
	}
	return checkFor(cmd, "--watch")
}

// checkFor refuses a time that goes on for nothing, which could be taken for
// one without an end.
func checkFor(cmd *cli.Command, with string) error {
	if cmd.IsSet("for") && cmd.Duration("for") <= 0 {
		return usage(fmt.Sprintf("--for %v is not positive; leave it out to go on until interrupted", cmd.Duration("for")), cmd.FullName()+" "+with+" --for 1m")
	}
	return nil
}

// span bounds what goes on by --for.
func span(ctx context.Context, cmd *cli.Command) (context.Context, context.CancelFunc) {
	if d := cmd.Duration("for"); d > 0 {
		return context.WithTimeout(ctx, d)
	}
	return context.WithCancel(ctx)
}

// collect reads at most limit rows of a list; 0 means all.
func collect[T any](list iter.Seq2[T, error], limit int) ([]T, error) {
	rows := []T{}
	for row, err := range list {
		if err != nil {
			return nil, err
		}
		if rows = append(rows, row); len(rows) == limit {
			break
		}
	}
	return rows, nil
}
