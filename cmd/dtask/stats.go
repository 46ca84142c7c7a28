package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/view"
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
		return a.out.object(statsRow{view.TotalsOf(s), s.Slots, s.Used, view.LeasesByState(s), s.Counters})
	case a.out.quiet:
		return nil
	}
	a.out.pairs([][2]string{
		{"WORKERS", fmt.Sprintf("%d online, %d suspicious, %d offline", s.Online, s.Suspicious, s.Offline)},
		{"SLOTS", fmt.Sprintf("%d of %d used", s.Used, s.Slots)},
		{"LEASES", fmt.Sprintf("%d granted, %d asked back, %d begun, %d assumed", s.Granted, s.AskedBack, s.Begun, s.Assumed)},
		{"SCHEDULER", fmt.Sprintf("epoch %d, instance %08x", s.Grantor.Epoch, s.Grantor.Instance)},
	})
	a.printCounters(s.Counters)
	return nil
}

// counterGroups says under which heading a counter stands, and whether it counts
// from the start of the scheduler or is a number of this moment.
var counterGroups = []struct {
	heading, value string
	names          []string
}{
	{"REQUESTS", sinceStart, []string{"granted", "repeated", "unavailable", "infeasible", "search_limit", "owner_limit"}},
	{"LEASES", sinceStart, []string{
		"adopted", "revokes", "preempted", "requeued",
		"ended_ok", "ended_failed", "ended_refused", "ended_lost", "ended_released", "ended_revoked", "ended_preempted", "ended_believed",
	}},
	{"QUEUE", now, []string{"waiting", "waiting_high", "waiting_normal", "waiting_low", "waiting_groups", "preempting", "owners_at_limit"}},
	{"QUEUE", sinceStart, []string{"waited", "wait_placed", "wait_over", "wait_cancelled", "wait_closed", "holds"}},
	{"WORKERS", now, []string{"quarantined"}},
	{"WORKERS", sinceStart, []string{"quarantines", "removed", "superseded", "epochs_refused", "device_conflicts", "identity_conflicts", "mass_losses"}},
	{"REPORTS", sinceStart, []string{"heartbeats", "stale_reports", "beats", "stale_beats", "unknown_beats"}},
}

// Headings of values.
const (
	sinceStart = "SINCE THE START"
	now        = "NOW"
)

// printCounters writes the counters in groups, and behind these what only a newer
// scheduler counts.
func (a *app) printCounters(counters map[string]uint64) {
	left := maps.Clone(counters)
	for _, g := range counterGroups {
		var rows [][]string
		for _, name := range g.names {
			if n, counted := left[name]; counted {
				rows = append(rows, []string{name, fmt.Sprint(n)})
				delete(left, name)
			}
		}
		a.tableOfCounters(g.heading, g.value, rows)
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(left)) {
		rows = append(rows, []string{name, fmt.Sprint(left[name])})
	}
	a.tableOfCounters("OTHER", "VALUE", rows)
}

func (a *app) tableOfCounters(heading, value string, rows [][]string) {
	if len(rows) > 0 {
		a.out.linef("")
		a.out.table([]string{heading, value}, rows)
	}
}
