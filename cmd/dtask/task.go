package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// taskFlags are the flags of schedule: what its tasks need, and how they are asked
// for.
func taskFlags() []cli.Flag {
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
		&cli.StringFlag{Name: "task", Usage: "`ID` of the task, its idempotency key (default: a random one)"},
		&cli.StringFlag{Name: "client", Usage: "client `ID`, the scope of task ids", Value: defaultClient(), DefaultText: "you@this-machine", Sources: fromEnv("DTASK_CLIENT")},
		&cli.StringFlag{Name: "owner", Usage: "`NAME` of the task's owner"},
		&cli.StringFlag{Name: "group", Usage: "`NAME` of the job that the task is part of"},
		&cli.Int32Flag{Name: "priority", Usage: "`NUMBER` of the task; higher goes first"},
		&cli.IntFlag{Name: "count", Aliases: []string{"n"}, Usage: "`NUMBER` of tasks; their ids are ID-1, ID-2, ...", Value: 1},
		&cli.DurationFlag{Name: "wait", Usage: "`TIME` to wait in the queue, if the task does not fit now; Ctrl-C ends it"},
		&cli.BoolFlag{Name: "wait-for-workers", Usage: "with --wait: wait also while the task is infeasible"},
		&cli.BoolFlag{Name: "preempt", Usage: "with --wait: preempt tasks of a lower priority, if no capacity is free"},
		&cli.StringFlag{Name: "on-preempt", Usage: "`ACTION` when the task is to be preempted: end or never"},
		&cli.DurationFlag{Name: "ttl", Usage: "`TIME` that the lease lives without a begin", Value: time.Minute},
	}
}

// maxCount bounds --count.
const maxCount = 100_000

// tasksOf reads the tasks from the command line.
func tasksOf(cmd *cli.Command) ([]client.Task, error) {
	count, ttl, wait := cmd.Int("count"), cmd.Duration("ttl"), cmd.Duration("wait")
	switch {
	case count < 1 || count > maxCount:
		return nil, usage(fmt.Sprintf("--count %d is not 1 to %d", count, maxCount), "dtask schedule gpu --gpus 1 --count 8")
	case cmd.Bool("gang") && count > wire.MaxBatch:
		return nil, usage(fmt.Sprintf("--count %d is more than the %d tasks of a --gang", count, wire.MaxBatch), "dtask schedule gpu --gpus 1 --count 8 --gang")
	case cmd.Bool("distinct") && !cmd.Bool("gang"):
		return nil, usage("--distinct goes with --gang", "dtask schedule gpu --gpus 1 --count 4 --gang --distinct")
	case wait < 0 || wait > wire.MaxWait*time.Millisecond:
		return nil, usage(fmt.Sprintf("--wait %v is not 0s to %v", wait, wire.MaxWait*time.Millisecond), "dtask schedule gpu --gpus 1 --wait 30s")
	case cmd.Bool("wait-for-workers") && wait == 0:
		return nil, usage("--wait-for-workers goes with --wait", "dtask schedule gpu --gpus 1 --wait 10m --wait-for-workers")
	case ttl < time.Millisecond:
		return nil, usage(fmt.Sprintf("--ttl %v is not at least 1ms", ttl), "dtask schedule gpu --gpus 1 --ttl 1m")
	}
	id := cmd.String("task")
	if id == "" {
		id = "t-" + strings.ToLower(rand.Text()[:12])
	}
	like, err := choiceOf(cmd)
	if err != nil {
		return nil, err
	}
	if like.Preempt, like.OnPreempt, err = preemptionOf(cmd); err != nil {
		return nil, err
	}
	tasks := make([]client.Task, count)
	for i := range tasks {
		tasks[i] = like
		tasks[i].ID, tasks[i].Owner, tasks[i].Group = id, cmd.String("owner"), cmd.String("group")
		tasks[i].Priority, tasks[i].TTL, tasks[i].Wait = cmd.Int32("priority"), ttl, wait
		tasks[i].WaitForWorkers = cmd.Bool("wait-for-workers")
		if count > 1 {
			tasks[i].ID = fmt.Sprintf("%s-%d", id, i+1)
		}
	}
	return tasks, checkTask(&tasks[count-1]) // all are alike; the last has the longest id
}

// preemptionOf reads the flags about preemption.
func preemptionOf(cmd *cli.Command) (preempt bool, on client.OnPreempt, err error) {
	on, known := wire.ParseOnPreempt(cmd.String("on-preempt"))
	switch preempt = cmd.Bool("preempt"); {
	case !known:
		err = usage(fmt.Sprintf("--on-preempt %.64q is neither end nor never", cmd.String("on-preempt")), "dtask schedule gpu --gpus 1 --on-preempt never")
	case on == client.OnPreemptRequeue:
		err = usage("--on-preempt requeue is for programs that stay connected and get its notice; this command ends", "dtask schedule gpu --gpus 1 --on-preempt end, or Client.Requeued of the Go library (docs/client.md)")
	case preempt && cmd.Bool("gang"):
		err = usage("--preempt does not go with --gang", "dtask schedule gpu --gpus 1 --preempt --wait 60s")
	case preempt && cmd.Duration("wait") == 0:
		err = usage("--preempt needs --wait: preempted tasks have the scheduler's grace to end", "dtask schedule gpu --gpus 1 --preempt --wait 60s --priority 10")
	}
	return preempt, on, err
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
	{"cpu", capacity.CPU}, {"mem", capacity.Mem}, {"gpus", capacity.GPU}, {"gpu-mem", capacity.GPUMem},
}

// amountsOf reads the resources that a task takes.
func amountsOf(cmd *cli.Command) (map[string]int64, error) {
	amounts := map[string]int64{}
	for _, f := range amountFlags {
		if !cmd.IsSet(f.flag) {
			continue
		}
		n, err := capacity.Parse(f.name, cmd.String(f.flag), capacity.Up)
		if err := badAmount("--"+f.flag, n, err); err != nil {
			return nil, err
		}
		amounts[f.name] = n
	}
	for _, text := range cmd.StringSlice("resource") {
		more, err := capacity.ParseList(text, capacity.Up)
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
	var e *capacity.Error
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
	if flag, known := flagOf(bad.Field); known {
		text = flag + ": " + strings.TrimPrefix(text, bad.Field+" ")
	}
	return usage(text, "see what is allowed with `dtask schedule --help`")
}

// flagOf returns the flag for a field of a task, if there is one.
func flagOf(field string) (flag string, known bool) {
	name := strings.ReplaceAll(strings.TrimSuffix(field, "_ms"), "_", "-")
	if field == "not_workers" {
		name = "not-worker"
	}
	return "--" + name, slices.ContainsFunc(taskFlags(), func(f cli.Flag) bool { return f.Names()[0] == name })
}
