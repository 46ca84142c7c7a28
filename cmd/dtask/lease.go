package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// defaultHistory is how many ended leases are listed unless --limit says more.
const defaultHistory = 100

func (a *app) lease() *cli.Command {
	return &cli.Command{
		Name:  "lease",
		Usage: "inspect leases, live and ended",
		Description: "Examples:\n" +
			"  dtask lease list\n" +
			"  dtask lease history --task train-7",
		Commands: []*cli.Command{a.leaseList(), a.leaseShow(), a.leaseHistory()},
	}
}

// leaseStates are the values of --state.
var leaseStates = map[string]wire.State{
	"": wire.StateNone, "granted": wire.StateGranted, "asked_back": wire.StateAskedBack,
	"begun": wire.StateBegun, "assumed": wire.StateAssumed,
}

// leases is a short name of lease list.
func (a *app) leases() *cli.Command {
	c := a.leaseList()
	c.Name, c.Hidden = "leases", true
	return c
}

func (a *app) leaseList() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the live leases",
		Description: "`dtask leases` does the same.\n\n" +
			"Examples:\n" +
			"  dtask lease list --worker worker-001\n" +
			"  dtask lease list --state granted --watch\n" +
			"  dtask lease list --owner ann --count",
		Flags: append(append(leaseFlags(),
			&cli.StringFlag{Name: "state", Usage: "only leases in this `STATE`: granted, asked_back, begun or assumed"},
			countFlag("leases")), watchFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			state, known := leaseStates[cmd.String("state")]
			if !known {
				return usage(fmt.Sprintf("--state %q is not granted, asked_back, begun or assumed", cmd.String("state")), cmd.FullName()+" --state begun")
			}
			f := leaseFilter(cmd)
			f.State = state
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error {
				if cmd.Bool("count") {
					n, err := c.CountLeases(ctx, f)
					return a.printCount(n, "lease", err)
				}
				return a.showLeases(ctx, c, f)
			})
		},
	}
}

// leaseFlags are the filters of leases, but for their state.
func leaseFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "worker", Usage: "only leases on this `WORKER`"},
		&cli.StringFlag{Name: "owner", Usage: "only leases of this owner `NAME`"},
		&cli.StringFlag{Name: "group", Usage: "only leases of this group `NAME`"},
		&cli.StringFlag{Name: "client", Usage: "only leases of this client `ID`"},
	}
}

func leaseFilter(cmd *cli.Command) client.LeaseFilter {
	return client.LeaseFilter{Worker: cmd.String("worker"), Owner: cmd.String("owner"), Group: cmd.String("group"), Client: cmd.String("client")}
}

func (a *app) showLeases(ctx context.Context, c *client.Client, f client.LeaseFilter) error {
	list, err := collect(c.Leases(ctx, f), 0)
	if err != nil {
		return err
	}
	switch {
	case a.out.quiet:
		for i := range list {
			a.out.linef("%v", list[i].Lease)
		}
	case a.out.json:
		rows, now := make([]view.Lease, len(list)), view.Now(time.Now())
		for i := range list {
			rows[i] = view.LeaseOf(&list[i], now)
		}
		return a.out.object(rows)
	default:
		a.tableOfLeases(list)
	}
	return nil
}

func (a *app) tableOfLeases(list []wire.LeaseInfo) {
	var rows [][]string
	for i := range list {
		l := &list[i]
		rows = append(rows, []string{
			l.Lease.String(), l.Task, stateOf(l), l.Worker, dash(l.Owner), dash(l.Group), age(view.Millis(l.AgeMS)),
			dash(numbers(capacity.Bits(l.Devices))), dash(takes(l)),
		})
	}
	a.out.table([]string{"LEASE", "TASK", "STATE", "WORKER", "OWNER", "GROUP", "AGE", "DEVICES", "TAKES"}, rows)
	a.out.linef("%s", count(len(list), "lease"))
}

// stateOf is the state of a lease, and whether its task is preempted.
func stateOf(l *wire.LeaseInfo) string {
	if l.Preempted {
		return l.State.String() + ", preempted"
	}
	return l.State.String()
}

func (a *app) leaseShow() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show one live lease, and what it takes of its worker",
		ArgsUsage: "LEASE",
		Description: "Looks through the live leases until it finds this one; `dtask lease history` has those that\n" +
			"ended.\n\n" +
			"Examples:\n" +
			"  dtask lease show 1-5f3a9c01-1000001\n" +
			"  dtask lease show 1-5f3a9c01-1000001 -o json",
		Flags: watchFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 1 {
				return usage("lease show takes the id of one lease", "dtask lease list")
			}
			id, err := wire.ParseLeaseID(cmd.Args().First())
			if err != nil {
				return usage(cmd.Args().First()+" is not a lease id", "dtask lease list")
			}
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error { return a.showLease(ctx, c, id) })
		},
	}
}

func (a *app) showLease(ctx context.Context, c *client.Client, id wire.LeaseID) error {
	for l, err := range c.Leases(ctx, client.LeaseFilter{}) {
		switch {
		case err != nil:
			return err
		case l.Lease != id:
			continue
		case a.out.quiet:
			a.out.linef("%v", id)
		case a.out.json:
			return a.out.object(view.LeaseOf(&l, view.Now(time.Now())))
		default:
			a.out.pairs([][2]string{
				{"LEASE", id.String()}, {"TASK", l.Task}, {"STATE", stateOf(&l)}, {"WORKER", l.Worker}, {"CLIENT", dash(l.Client)},
				{"OWNER", dash(l.Owner)}, {"GROUP", dash(l.Group)}, {"PRIORITY", fmt.Sprint(l.Priority)}, {"AGE", age(view.Millis(l.AgeMS))},
				{"DEVICES", dash(numbers(capacity.Bits(l.Devices)))}, {"TAKES", dash(takes(&l))},
			})
		}
		return nil
	}
	return &failure{fmt.Errorf("no live lease %v", id), exitError, "see whether it has ended with `dtask lease history`"}
}

// dash stands for an empty cell.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (a *app) leaseHistory() *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "list leases that ended, the newest first, with the reason",
		Description: "The scheduler keeps the last few thousand.\n\n" +
			"Examples:\n" +
			"  dtask lease history --task train-7\n" +
			"  dtask lease history --worker worker-001 --limit 10",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "task", Usage: "only leases of this task `ID`"},
			&cli.StringFlag{Name: "worker", Usage: "only leases on this `WORKER`"},
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Usage: "at most this `NUMBER`", Value: defaultHistory},
			&cli.BoolFlag{Name: "all", Usage: "all that the scheduler keeps, without a --limit"},
		}, watchFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			limit := cmd.Int("limit")
			switch {
			case cmd.Bool("all") && cmd.IsSet("limit"):
				return usage("--all and --limit exclude each other", cmd.FullName()+" --all")
			case cmd.Bool("all"):
				limit = 0
			case limit < 1:
				return usage(fmt.Sprintf("--limit %d is not at least 1; --all lists all", limit), cmd.FullName()+" --limit 10")
			}
			f := client.EndedFilter{Task: cmd.String("task"), Worker: cmd.String("worker"), Page: limit}
			return a.show(ctx, cmd, func(ctx context.Context, c *client.Client) error { return a.showHistory(ctx, c, f, limit) })
		},
	}
}

func (a *app) showHistory(ctx context.Context, c *client.Client, f client.EndedFilter, limit int) error {
	list, err := collect(c.Ended(ctx, f), limit)
	if err != nil {
		return err
	}
	now := view.Now(time.Now())
	rows, cells := make([]view.Ended, len(list)), [][]string(nil)
	for i := range list {
		e := &list[i]
		rows[i] = view.EndedOf(e, now)
		cells = append(cells, []string{
			e.Lease.String(), e.Task, e.Worker, e.Reason.String(), e.By, age(view.Millis(e.AgeMS)), age(view.Millis(e.HeldMS)), dash(e.Owner),
		})
	}
	switch {
	case a.out.quiet:
		for i := range list {
			a.out.linef("%v", list[i].Lease)
		}
	case a.out.json:
		return a.out.object(rows)
	default:
		a.out.table([]string{"LEASE", "TASK", "WORKER", "REASON", "BY", "ENDED", "DURATION", "OWNER"}, cells)
		a.out.linef("%s", count(len(list), "ended lease"))
	}
	return nil
}
