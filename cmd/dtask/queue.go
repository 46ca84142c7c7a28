package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

func (a *app) queue() *cli.Command {
	return &cli.Command{
		Name:  "queue",
		Usage: "inspect waiting tasks, and cancel them",
		Description: "Waiting tasks were scheduled with --wait (docs/queue.md).\n\n" +
			"Examples:\n" +
			"  dtask queue list --owner ann\n" +
			"  dtask queue show train-7\n" +
			"  dtask queue cancel --group job-17",
		Commands: []*cli.Command{a.queueList(), a.queueShow(), a.queueCancel()},
	}
}

// queueFlags are the filters of the queue.
func queueFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "owner", Usage: "only tasks of this owner `NAME`"},
		&cli.StringFlag{Name: "group", Usage: "only tasks of this group `NAME`"},
		&cli.StringFlag{Name: "client", Usage: "only tasks of this client `ID`"},
	}
}

func queueFilter(cmd *cli.Command) client.QueueFilter {
	return client.QueueFilter{Owner: cmd.String("owner"), Group: cmd.String("group"), Client: cmd.String("client"), Task: cmd.Args().First()}
}

func (a *app) queueList() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list waiting tasks",
		Description: "In the order of the queue: by priority, then owners in turns, then order of arrival. A task\n" +
			"that does not fit is passed over.\n\n" +
			"A request class is all waiting tasks with the same needs. POSITION counts tasks of the same\n" +
			"owner, priority and request class; PLACED those of the class placed in the last minute. An\n" +
			"owner at its limit has as many leases as one owner may have.\n\n" +
			"Examples:\n" +
			"  dtask queue list\n" +
			"  dtask queue list --owner ann --watch\n" +
			"  dtask queue list --owner ann --count",
		Flags: append(append(queueFlags(), countFlag("tasks, those of gangs one by one")), watchFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			f := queueFilter(cmd)
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error {
				if cmd.Bool("count") {
					n, err := c.CountWaiting(ctx, f)
					return a.printCount(n, "waiting task", err)
				}
				return a.showQueue(ctx, c, f)
			})
		},
	}
}

func (a *app) queueShow() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show one waiting task",
		ArgsUsage: "TASK",
		Description: "Examples:\n" +
			"  dtask queue show train-7\n" +
			"  dtask queue show train-7 -o json",
		Flags: append(queueFlags(), watchFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usage("queue show takes the id of one task", "dtask queue list")
			}
			f := queueFilter(cmd)
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error { return a.showWaiter(ctx, c, f) })
		},
	}
}

func (a *app) queueCancel() *cli.Command {
	return &cli.Command{
		Name:      "cancel",
		Usage:     "take waiting tasks out of the queue",
		ArgsUsage: "[TASK]",
		Description: "Their requests are answered with cancelled. TASK is a task of --client (default: you); without\n" +
			"TASK all tasks that pass the filters are cancelled.\n\n" +
			"Examples:\n" +
			"  dtask queue cancel train-7\n" +
			"  dtask queue cancel --owner ann --group job-17",
		Flags: queueFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			f := queueFilter(cmd)
			if cmd.Args().Len() > 1 || f == (client.QueueFilter{}) {
				return usage("queue cancel takes one task, or an owner, group or client", "dtask queue cancel train-7")
			}
			if f.Task != "" && f.Client == "" {
				f.Client = defaultClient()
			}
			return a.with(ctx, func(ctx context.Context, c *client.Client) error {
				n, err := c.CancelWaiting(ctx, f)
				switch {
				case err != nil:
					return err
				case n == 0 && f.Task != "":
					return &failure{fmt.Errorf("no task %s of %s waits", f.Task, f.Client), exitError, "see what waits with `dtask queue list`"}
				case a.out.json:
					return a.out.object(cancelled{n})
				case !a.out.quiet:
					a.out.linef("%s cancelled", count(n, "task"))
				}
				return nil
			})
		},
	}
}

// countFlag has a list print a number alone.
func countFlag(of string) cli.Flag {
	return &cli.BoolFlag{Name: "count", Usage: "print how many " + of + ", and no list"}
}

// printCount prints what a list counted.
func (a *app) printCount(n uint64, what string, err error) error {
	switch {
	case err != nil:
		return err
	case a.out.json:
		return a.out.object(counted{n})
	case a.out.quiet:
		a.out.linef("%d", n)
	default:
		a.out.linef("%s", count(int(n), what))
	}
	return nil
}

// ownerOf shows the owner of a waiter, and whether it keeps the task waiting.
func ownerOf(w *wire.WaiterInfo) string {
	if w.AtLimit {
		return dash(w.Owner) + " (at its limit)"
	}
	return dash(w.Owner)
}

// whyWaits says what a waiter waits for, if it is more than room.
func whyWaits(w *wire.WaiterInfo) string {
	if w.NoWorker {
		return "no known worker could take it"
	}
	return ""
}

func (a *app) showQueue(ctx context.Context, c *client.Client, f client.QueueFilter) error {
	list, err := collect(c.Queue(ctx, f), 0)
	if err != nil {
		return err
	}
	client.SortWaiting(list)
	var table [][]string
	rows := []view.Waiter{}
	for i := range list {
		w := &list[i]
		switch {
		case a.out.quiet:
			a.out.linef("%s", w.Task)
		case a.out.json:
			rows = append(rows, view.WaiterOf(w))
		default:
			table = append(table, []string{
				w.Task, dash(w.Client), ownerOf(w), dash(w.Group), fmt.Sprint(w.Priority), fmt.Sprint(w.Tasks), age(view.Millis(w.AgeMS)), age(view.Millis(w.LeftMS)),
				fmt.Sprint(w.Position), fmt.Sprint(w.Placed), dash(strings.Join(w.Holds, " ")), dash(whyWaits(w)),
			})
		}
	}
	switch {
	case a.out.json:
		return a.out.object(rows)
	case !a.out.quiet:
		a.out.table([]string{"TASK", "CLIENT", "OWNER", "GROUP", "PRIORITY", "TASKS", "AGE", "LEFT", "POSITION", "PLACED", "RESERVED", "NOTE"}, table)
		a.out.linef("%s", count(len(list), "waiting task"))
	}
	return nil
}

func (a *app) showWaiter(ctx context.Context, c *client.Client, f client.QueueFilter) error {
	list, err := collect(c.Queue(ctx, f), 0)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return &failure{fmt.Errorf("no task %s waits", f.Task), exitError, "see what waits with `dtask queue list`, or whether it was placed with `dtask lease list`"}
	}
	for i := range list {
		w := &list[i]
		switch {
		case a.out.quiet:
			a.out.linef("%s", w.Task)
		case a.out.json:
			if err := a.out.object(view.WaiterOf(w)); err != nil {
				return err
			}
		default:
			a.out.pairs([][2]string{
				{"TASK", w.Task}, {"CLIENT", dash(w.Client)}, {"OWNER", ownerOf(w)}, {"GROUP", dash(w.Group)}, {"PRIORITY", fmt.Sprint(w.Priority)},
				{"TASKS", fmt.Sprint(w.Tasks)}, {"AGE", age(view.Millis(w.AgeMS))}, {"LEFT", age(view.Millis(w.LeftMS))}, {"POSITION", fmt.Sprint(w.Position)},
				{"PLACED LAST MINUTE", fmt.Sprint(w.Placed)}, {"BYPASSED", fmt.Sprint(w.Bypassed)}, {"RESERVED", dash(strings.Join(w.Holds, " "))},
				{"NOTE", dash(whyWaits(w))},
			})
		}
	}
	return nil
}
