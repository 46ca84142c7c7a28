package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// choiceFlags are the flags of schedule that say which workers will do.
func choiceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cpu", Usage: "`CPUS` to take: 2, 0.5 or 1500m"},
		&cli.StringFlag{Name: "mem", Usage: "`SIZE` of memory to take: 16Gi, 500M; a plain number is MiB"},
		&cli.StringFlag{Name: "gpus", Usage: "`NUMBER` of whole GPU devices to take"},
		&cli.StringFlag{Name: "gpu-mem", Usage: "`SIZE` of memory on one GPU device to take; with --gpus, of each"},
		&cli.StringSliceFlag{Name: "resource", Usage: "`NAME=AMOUNT` of another resource to take, such as scratch=200Gi"},
		&cli.StringFlag{Name: "prefer", Usage: "`SELECTOR` of workers that are chosen first, if any fits"},
		&cli.StringSliceFlag{Name: "not-worker", Usage: "`ID` of a worker that must not be chosen; at most 16"},
		&cli.BoolFlag{Name: "exclusive", Usage: "take a whole idle worker"},
		&cli.StringFlag{Name: "policy", Usage: "`NAME` of the placement policy: least-loaded, pack or spread"},
		&cli.StringFlag{Name: "spread-by", Usage: "tag `KEY` over whose values --policy spread distributes the tasks"},
		&cli.BoolFlag{Name: "gang", Usage: "place all of --count, or none"},
		&cli.BoolFlag{Name: "distinct", Usage: "with --gang: no two on one worker"},
	}
}

// choiceOf reads a task that has everything but its name.
func choiceOf(cmd *cli.Command) (t client.Task, err error) {
	t = client.Task{
		Prefer: cmd.String("prefer"), NotWorkers: cmd.StringSlice("not-worker"), Exclusive: cmd.Bool("exclusive"),
		Policy: client.Policy(cmd.String("policy")), SpreadBy: cmd.String("spread-by"),
	}
	if t.Tags, t.Selector, err = splitSelectors("the selector", cmd.Args().Slice()); err != nil {
		return t, err
	}
	if err = readExpression("--prefer", t.Prefer); err != nil {
		return t, err
	}
	t.Resources, err = amountsOf(cmd)
	return t, err
}

// amountFlags are the flags of one resource each.
var amountFlags = [...]struct{ flag, name string }{
	{"cpu", resource.CPU}, {"mem", resource.Mem}, {"gpus", resource.GPU}, {"gpu-mem", resource.GPUMem},
}

// amountsOf reads the resources that a task takes.
func amountsOf(cmd *cli.Command) (map[string]int64, error) {
	amounts := map[string]int64{}
	for _, f := range amountFlags {
		if !cmd.IsSet(f.flag) {
			continue
		}
		n, err := resource.Parse(f.name, cmd.String(f.flag), resource.Up)
		if err := badAmount("--"+f.flag, n, err); err != nil {
			return nil, err
		}
		amounts[f.name] = n
	}
	for _, text := range cmd.StringSlice("resource") {
		more, err := resource.ParseList(text, resource.Up)
		if err := badAmount("--resource", 1, err); err != nil {
			return nil, err
		}
		for name, n := range more {
			if _, twice := amounts[name]; twice {
				return nil, usage(fmt.Sprintf("--resource: %.64s is given twice", name), "dtask schedule --cpu 2 --resource scratch=200Gi")
			}
			if err := badAmount("--resource "+name, n, nil); err != nil {
				return nil, err
			}
			amounts[name] = n
		}
	}
	if len(amounts) == 0 {
		return nil, nil
	}
	return amounts, nil
}

// badAmount returns what is wrong with the amount of a flag.
func badAmount(flag string, n int64, err error) error {
	const hint = "dtask schedule --cpu 2 --mem 16Gi --gpus 1 --gpu-mem 20Gi --resource scratch=200Gi"
	var e *resource.Error
	switch {
	case errors.As(err, &e) && flag == "--resource":
		return usage(fmt.Sprintf("%s: %v", flag, e), hint)
	case errors.As(err, &e):
		return usage(fmt.Sprintf("%s: %.64q %s", flag, e.Text, e.Message), hint)
	case n == 0:
		return usage(flag+": an amount of 0 asks for nothing; leave it out", hint)
	}
	return nil
}

// checkTask finds what the scheduler would refuse, before a request is sent. The
// error names the flag.
func checkTask(t *client.Task) error {
	err := t.Check()
	var bad *wire.Error
	if !errors.As(err, &bad) {
		return err
	}
	text := strings.TrimPrefix(bad.Message, bad.Field+": ")
	if flag, known := flagOf[bad.Field]; known {
		text = flag + ": " + strings.TrimPrefix(text, bad.Field+" ")
	}
	return usage(text, "see what is allowed with `dtask schedule --help`")
}

// flagOf names the flags for fields of a task.
var flagOf = map[string]string{
	"task": "--task", "owner": "--owner", "group": "--group", "priority": "--priority", "ttl_ms": "--ttl",
	"not_workers": "--not-worker", "policy": "--policy", "spread_by": "--spread-by", "wait_ms": "--wait", "wait_for_workers": "--wait-for-workers", "preempt": "--preempt", "on_preempt": "--on-preempt",
}

// runGang places all tasks or none.
func (a *app) runGang(ctx context.Context, c *client.Client, tasks []client.Task, distinct bool) error {
	leases, err := c.ScheduleGang(ctx, tasks, distinct)
	if err != nil {
		if failed := a.noPlaces(tasks, err); failed != nil {
			return failed
		}
		f := describe(err)
		if errors.Is(err, client.ErrInfeasible) {
			f = describe(a.infeasible(ctx, c, &tasks[0], err))
		}
		return &failure{fmt.Errorf("no place for a gang of %d, so none is placed:\n%w", len(tasks), f.err), f.code, f.hint}
	}
	results := make([]client.Result, len(leases))
	for i, l := range leases {
		results[i].Lease = l
	}
	return a.deliver(ctx, c, tasks, results)
}
