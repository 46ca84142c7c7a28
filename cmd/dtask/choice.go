package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/resource"
)

// choiceFlags are the flags of schedule that say which workers will do.
func choiceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cpu", Usage: "`CPUS` to take: 2, 0.5 or 1500m"},
		&cli.StringFlag{Name: "mem", Usage: "`SIZE` of memory to take: 16Gi, 500M; a plain number is MiB"},
		&cli.IntFlag{Name: "gpus", Usage: "`NUMBER` of whole GPU devices to take"},
		&cli.StringFlag{Name: "gpu-mem", Usage: "`SIZE` of memory on one GPU device to take; with --gpus, of each"},
		&cli.StringSliceFlag{Name: "resource", Usage: "`NAME=AMOUNT` of another resource to take, such as scratch=200Gi"},
		&cli.StringFlag{Name: "prefer", Usage: "`SELECTOR` of the workers to choose first, if any fits"},
		&cli.StringSliceFlag{Name: "not-worker", Usage: "`ID` of a worker not to choose, at most 16 of them"},
		&cli.BoolFlag{Name: "exclusive", Usage: "take a whole idle worker"},
		&cli.StringFlag{Name: "policy", Usage: "`NAME` of which worker to choose: least-loaded, pack or spread"},
		&cli.StringFlag{Name: "spread-by", Usage: "tag `KEY` over whose values --policy spread spreads the tasks"},
		&cli.BoolFlag{Name: "gang", Usage: "place all of --count or none"},
		&cli.BoolFlag{Name: "distinct", Usage: "with --gang: no two on one worker"},
	}
}

// choiceOf reads a task that has everything but its name.
func choiceOf(cmd *cli.Command) (client.Task, error) {
	t := client.Task{
		Prefer: cmd.String("prefer"), NotWorkers: cmd.StringSlice("not-worker"), Exclusive: cmd.Bool("exclusive"),
		Policy: client.Policy(cmd.String("policy")), SpreadBy: cmd.String("spread-by"),
	}
	if cmd.Bool("distinct") && !cmd.Bool("gang") {
		return t, usage("--distinct goes with --gang", "dtask schedule gpu --count 4 --gang --distinct")
	}
	t.Tags, t.Selector = splitSelectors(cmd.Args().Slice())
	amounts, err := amountsOf(cmd)
	t.Resources = amounts
	return t, err
}

// splitSelectors tells plain tags from expressions: what holds one of the
// characters of an operator is an expression. A tag with a value (zone=a) stays
// a plain tag.
func splitSelectors(args []string) (tags []string, where string) {
	var parts []string
	for _, arg := range args {
		if strings.ContainsAny(arg, "&|!<>(") || strings.Contains(arg, "==") {
			parts = append(parts, arg)
			continue
		}
		tags = append(tags, arg)
	}
	if len(parts) > 1 {
		for i, p := range parts {
			parts[i] = "(" + p + ")"
		}
	}
	return tags, strings.Join(parts, " && ")
}

// amountsOf reads the resources that a task takes.
func amountsOf(cmd *cli.Command) (map[string]int64, error) {
	list := slices.Clone(cmd.StringSlice("resource"))
	for flag, name := range map[string]string{"cpu": resource.CPU, "mem": resource.Mem, "gpu-mem": resource.GPUMem} {
		if v := cmd.String(flag); v != "" {
			list = append(list, name+"="+v)
		}
	}
	if n := cmd.Int("gpus"); n != 0 {
		list = append(list, fmt.Sprintf("%s=%d", resource.GPU, n))
	}
	if len(list) == 0 {
		return nil, nil
	}
	amounts, err := resource.ParseList(strings.Join(list, ","), resource.Up)
	if err != nil {
		return nil, usage(err.Error(), "dtask schedule --cpu 2 --mem 16Gi --gpu-mem 20Gi")
	}
	for name, n := range amounts {
		if n == 0 {
			return nil, usage(name+": an amount of 0 asks for nothing; leave it out", "dtask schedule --cpu 2")
		}
	}
	return amounts, nil
}

// runGang places all tasks or none.
func (a *app) runGang(ctx context.Context, c *client.Client, tasks []client.Task, distinct bool) error {
	leases, err := c.ScheduleGang(ctx, tasks, distinct)
	if err != nil {
		f := describe(err)
		if errors.Is(err, client.ErrInfeasible) {
			f = describe(a.infeasible(ctx, c, tasks[0].Tags, err))
		}
		return &failure{fmt.Errorf("no place for a gang of %d, so none is placed:\n%w", len(tasks), f.err), f.code, f.hint}
	}
	results := make([]client.Result, len(leases))
	for i, l := range leases {
		results[i].Lease = l
	}
	return a.printResults(tasks, results)
}
