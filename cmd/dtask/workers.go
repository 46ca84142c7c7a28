package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// workerRow is what workers prints as JSON, in a list.
type workerRow struct {
	ID        string           `json:"worker_id"`
	Address   string           `json:"address"`
	Tags      []string         `json:"tags"`
	State     string           `json:"state"`
	Flags     []string         `json:"flags,omitempty"`
	Slots     uint32           `json:"max_tasks"`
	Leased    uint32           `json:"leased"`   // slots taken by leases
	External  uint32           `json:"external"` // tasks outside any lease
	Resources map[string]int64 `json:"resources,omitempty"`
	LastSeen  time.Time        `json:"last_seen"`
}

func (a *app) workers() *cli.Command {
	return &cli.Command{
		Name:  "workers",
		Usage: "list the workers and how busy they are",
		Description: "Examples:\n" +
			"  dtask workers --tag gpu --state online\n" +
			"  dtask workers --watch",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "tag", Usage: "only workers that have this `TAG`; may be repeated"},
			&cli.StringFlag{Name: "state", Usage: "only workers in this `STATE`: online, suspicious or offline"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "print again and again until interrupted"},
			&cli.DurationFlag{Name: "interval", Usage: "the pause of --watch", Value: 2 * time.Second},
		},
		// A tag may hold a comma.
		DisableSliceFlagSeparator: true,
		Action:                    a.runWorkers,
	}
}

// minInterval bounds --interval from below.
const minInterval = 100 * time.Millisecond

func (a *app) runWorkers(ctx context.Context, cmd *cli.Command) error {
	filter := client.Filter{Tags: cmd.StringSlice("tag"), State: cmd.String("state")}
	switch {
	case cmd.Args().Present():
		return usage("workers takes no arguments", "dtask workers --tag "+cmd.Args().First())
	case !slices.Contains([]string{"", "online", "suspicious", "offline"}, filter.State):
		return usage(fmt.Sprintf("--state %q is not online, suspicious or offline", filter.State), "dtask workers --state online")
	case cmd.Duration("interval") < minInterval:
		return usage(fmt.Sprintf("--interval must be at least %v", minInterval), "dtask workers --watch --interval 1s")
	}
	c, err := a.dialWithin(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if !cmd.Bool("watch") {
		return a.showWorkers(ctx, c, filter)
	}
	for {
		if isTerminal(a.out.w) && !a.out.json {
			a.out.linef("\x1b[H\x1b[2J%s", time.Now().Format(time.TimeOnly))
		}
		err := a.showWorkers(ctx, c, filter)
		if ctx.Err() != nil {
			return nil // that is how it ends
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(cmd.Duration("interval")):
		case <-ctx.Done():
			return nil
		}
	}
}

// dialWithin is dial within --timeout, for commands that go on longer.
func (a *app) dialWithin(ctx context.Context) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.dial(ctx)
}

// showWorkers prints the list once.
func (a *app) showWorkers(ctx context.Context, c *client.Client, f client.Filter) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	list := []wire.WorkerInfo{}
	for w, err := range c.Workers(ctx, f) {
		if err != nil {
			return err
		}
		list = append(list, w)
	}
	switch {
	case a.out.quiet:
		for _, w := range list {
			a.out.linef("%s", w.ID)
		}
		return nil
	case a.out.json:
		rows := make([]workerRow, len(list))
		for i, w := range list {
			rows[i] = rowOf(&w, time.Now())
		}
		return a.out.object(rows)
	}
	a.tableOfWorkers(list)
	return nil
}

func rowOf(w *wire.WorkerInfo, now time.Time) workerRow {
	return workerRow{
		ID: w.ID, Address: w.Address, Tags: append([]string{}, w.Tags...), State: w.State, Flags: w.Flags,
		Slots: w.Slots, Leased: w.Taken, External: w.External, Resources: w.Resources,
		LastSeen: now.Add(-time.Duration(w.SeenMS) * time.Millisecond).UTC().Truncate(time.Millisecond),
	}
}

func (a *app) tableOfWorkers(list []wire.WorkerInfo) {
	var rows [][]string
	used, slots := uint64(0), uint64(0)
	for _, w := range list {
		busy := w.Taken + w.External
		if w.State == "online" {
			used, slots = used+uint64(busy), slots+uint64(w.Slots)
		}
		rows = append(rows, []string{
			w.ID, a.state(&w), fmt.Sprintf("%d/%d", busy, w.Slots), w.Address,
			age(time.Duration(w.SeenMS) * time.Millisecond), strings.Join(w.Tags, " "),
		})
	}
	a.out.table([]string{"WORKER", "STATE", "USED", "ADDRESS", "SEEN", "TAGS"}, rows)
	noun := "workers"
	if len(list) == 1 {
		noun = "worker"
	}
	a.out.linef("%d %s, %d of %d online slots used", len(list), noun, used, slots)
}

// state shows a worker's state in its colour, with its flags.
func (a *app) state(w *wire.WorkerInfo) string {
	colour := green
	switch w.State {
	case "suspicious":
		colour = yellow
	case "offline":
		colour = red
	}
	text := a.out.in(colour, w.State)
	if len(w.Flags) > 0 {
		text += " (" + strings.Join(w.Flags, ", ") + ")"
	}
	return text
}
