package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

func (a *app) stats() *cli.Command {
	return &cli.Command{
		Name:  "stats",
		Usage: "print totals of the fleet, and the scheduler's counters",
		Description: "Examples:\n" +
			"  dtask stats\n" +
			"  dtask stats --watch --interval 1s",
		Flags: watchFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.show(ctx, cmd, a.showStats)
		},
	}
}

func (a *app) showStats(ctx context.Context, c *client.Client) error {
	s, err := c.Stats(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.out.json:
		return a.out.object(statsRow{
			Epoch: s.Grantor.Epoch, Instance: s.Grantor.Instance,
			Workers: map[string]uint32{"online": s.Online, "suspicious": s.Suspicious, "offline": s.Offline},
			Slots:   s.Slots, Used: s.Used,
			Leases: map[string]uint32{
				wire.StateGranted.String(): s.Granted, wire.StateAskedBack.String(): s.AskedBack,
				wire.StateBegun.String(): s.Begun, wire.StateAssumed.String(): s.Assumed,
			},
			Counters: s.Counters,
		})
	case a.out.quiet:
		return nil
	}
	a.out.pairs([][2]string{
		{"WORKERS", fmt.Sprintf("%d online, %d suspicious, %d offline", s.Online, s.Suspicious, s.Offline)},
		{"SLOTS", fmt.Sprintf("%d of %d used", s.Used, s.Slots)},
		{"LEASES", fmt.Sprintf("%d granted, %d asked back, %d begun, %d assumed", s.Granted, s.AskedBack, s.Begun, s.Assumed)},
		{"SCHEDULER", fmt.Sprintf("epoch %d, instance %08x", s.Grantor.Epoch, s.Grantor.Instance)},
	})
	a.out.linef("")
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(s.Counters)) {
		rows = append(rows, []string{name, fmt.Sprint(s.Counters[name])})
	}
	a.out.table([]string{"COUNTER", "SINCE THE START"}, rows)
	return nil
}
