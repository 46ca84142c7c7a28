package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

func (a *app) worker() *cli.Command {
	return &cli.Command{
		Name:  "worker",
		Usage: "inspect workers, and take them out of service",
		Description: "Examples:\n" +
			"  dtask worker list\n" +
			"  dtask worker cordon worker-001 --reason \"driver upgrade\"",
		Commands: []*cli.Command{a.workerList(), a.workerShow(), a.workerWait(), a.workerCordon(), a.workerDrain(), a.workerUncordon()},
	}
}

// workers is the older name of worker list.
func (a *app) workers() *cli.Command {
	c := a.workerList()
	c.Name, c.Hidden = "workers", true
	return c
}

func (a *app) workerList() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list workers and their load",
		Description: "`dtask workers` does the same.\n\n" +
			"Examples:\n" +
			"  dtask worker list --tag gpu --state online\n" +
			"  dtask worker list --tag 'gpu && cuda>=12'\n" +
			"  dtask worker list --watch",
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "tag", Usage: "only workers with this `TAG`, or that satisfy this selector; may be repeated"},
			&cli.StringFlag{Name: "state", Usage: "only workers in this `STATE`: online, suspicious or offline"},
		}, watchFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			f := client.Filter{State: cmd.String("state")}
			var err error
			if f.Tags, f.Selector, err = splitSelectors("--tag", cmd.StringSlice("tag")); err != nil {
				return err
			}
			switch {
			case slices.Contains(f.Tags, ""):
				return usage("--tag \"\" is no tag", cmd.FullName()+" --tag gpu")
			case cmd.Args().Present():
				return usage(cmd.FullName()+" takes no arguments", cmd.FullName()+" --tag "+cmd.Args().First())
			case !slices.Contains([]string{"", "online", "suspicious", "offline"}, f.State):
				return usage(fmt.Sprintf("--state %q is not online, suspicious or offline", f.State), cmd.FullName()+" --state online")
			}
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error { return a.showWorkers(ctx, c, f) })
		},
	}
}

func (a *app) showWorkers(ctx context.Context, c *client.Client, f client.Filter) error {
	list, err := collect(c.Workers(ctx, f), 0)
	if err != nil {
		return err
	}
	if a.out.quiet {
		for i := range list {
			a.out.id(list[i].ID)
		}
		return nil
	}
	if a.out.json {
		rows, now := make([]view.Worker, len(list)), view.Now(time.Now())
		for i := range list {
			rows[i] = view.WorkerOf(&list[i], now)
		}
		return a.out.object(rows)
	}
	a.tableOfWorkers(list)
	return nil
}

func (a *app) tableOfWorkers(list []wire.WorkerInfo) {
	var rows [][]string
	used, slots := uint64(0), uint64(0)
	for i := range list {
		w := &list[i]
		busy := uint64(w.Taken) + uint64(w.External)
		if w.State == "online" {
			used, slots = used+busy, slots+uint64(w.Slots)
		}
		rows = append(rows, []string{
			w.ID, a.state(w), fmt.Sprintf("%d/%d", busy, w.Slots), gpusOf(w), w.Address, age(view.Millis(w.SeenMS)), strings.Join(w.Tags, " "),
		})
	}
	a.out.table([]string{"WORKER", "STATE", "USED", "GPUS", "ADDRESS", "SEEN", "TAGS"}, rows)
	a.out.linef("%s, %d of %d online slots used", count(len(list), "worker"), used, slots)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// state shows a worker's state in its colour, with its flags, and whether it is
// held for a task that waits.
func (a *app) state(w *wire.WorkerInfo) string {
	colour := green
	switch w.State {
	case "suspicious":
		colour = yellow
	case "offline":
		colour = red
	}
	text := a.out.in(colour, w.State)
	flags := w.Flags
	if w.HeldBy != "" {
		flags = append(slices.Clone(flags), "reserved")
	}
	if len(flags) > 0 {
		text += " (" + strings.Join(flags, ", ") + ")"
	}
	return text
}

func (a *app) workerShow() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show one worker with its leases, its capacity and what they take",
		ArgsUsage: "WORKER",
		Description: "Examples:\n" +
			"  dtask worker show worker-001\n" +
			"  dtask worker show worker-001 -o json",
		Flags:         watchFlags(),
		ShellComplete: a.completeWorkers,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usage("worker show takes the id of one worker", "dtask worker list")
			}
			id := cmd.Args().First()
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error { return a.showWorker(ctx, c, id) })
		},
	}
}

func (a *app) showWorker(ctx context.Context, c *client.Client, id string) error {
	w, err := c.Worker(ctx, id)
	if err != nil {
		return err
	}
	now := view.Now(time.Now())
	if a.out.quiet {
		a.out.id(w.Info.ID)
		return nil
	}
	if a.out.json {
		d := workerDetail{Worker: view.WorkerOf(&w.Info, now), Leases: []view.Lease{}}
		for i := range w.Leases {
			d.Leases = append(d.Leases, view.LeaseOf(&w.Leases[i], now))
		}
		return a.out.object(d)
	}
	a.out.pairs(a.factsOf(w))
	a.tableOfRoom(&w.Info)
	a.tableOfDevices(&w.Info, w.Leases)
	a.out.linef("")
	a.tableOfLeases(w.Leases)
	return nil
}

// reservedFor names the task that a worker is reserved for, and why.
func reservedFor(w *wire.Worker) string {
	if slices.ContainsFunc(w.Leases, func(l wire.LeaseInfo) bool { return l.Preempted }) {
		return w.Info.HeldBy + ", for which tasks here are preempted"
	}
	return w.Info.HeldBy + ", reserved because other tasks passed it over"
}

// factsOf is what worker show says above the leases.
func (a *app) factsOf(of *wire.Worker) [][2]string {
	w := &of.Info
	facts := [][2]string{
		{"WORKER", w.ID},
		{"STATE", a.state(w)},
		{"ADDRESS", w.Address},
		{"SEEN", age(view.Millis(w.SeenMS)) + " ago"},
		{"USED", fmt.Sprintf("%d of %d slots by leases, %d by tasks outside", w.Taken, w.Slots, w.External)},
		{"TAGS", strings.Join(w.Tags, " ")},
	}
	if w.RecentFailed > 0 {
		facts = append(facts, [2]string{"FAILED", fmt.Sprintf("%d of its last %d tasks", w.RecentFailed, w.Recent)})
	}
	if w.HeldBy != "" {
		facts = append(facts, [2]string{"RESERVED FOR", reservedFor(of)})
	}
	if view.IsCordoned(w) {
		why := w.CordonReason
		if why == "" {
			why = "no reason given"
		}
		facts = append(facts, [2]string{"CORDONED", fmt.Sprintf("%s ago by %s: %s", age(view.Millis(w.CordonMS)), w.CordonBy, why)})
		if w.DeadlineMS > 0 {
			facts = append(facts, [2]string{"DEADLINE", "in " + age(view.Millis(w.DeadlineMS)) + ": remaining tasks are preempted then"})
		}
		if w.ProbeMS > 0 {
			facts = append(facts, [2]string{"PROBE", "in " + age(view.Millis(w.ProbeMS)) + ": one task is placed as a probe, and decides"})
		} else if slices.Contains(w.Flags, "probing") {
			facts = append(facts, [2]string{"PROBE", "now: one task is placed as a probe, and decides"})
		}
	}
	return facts
}
