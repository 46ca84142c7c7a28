package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

func (a *app) schedule() *cli.Command {
	return &cli.Command{
		Name:      "schedule",
		Usage:     "ask for the placement of a task that needs the given tags and resources",
		ArgsUsage: "[TAG|SELECTOR...]",
		Description: "Prints the lease and its worker. The lease lives for --ttl, until the worker begins the\n" +
			"task. With -o json each line is the handover that the worker's begin takes. Repeating a\n" +
			"--task returns the same lease while it lives.\n\n" +
			"An argument with an operator, such as 'gpu && cuda>=12 && !spot', is a selector; the worker\n" +
			"must satisfy all tags and selectors (docs/selectors.md). Sizes are written 40Gi or 500M, CPUs\n" +
			"2 or 1500m. --gpu-mem alone is a share of one device, with --gpus the least memory of each.\n" +
			"A task that takes no GPU sees none.\n\n" +
			"--count asks for many placements, up to 1,024 in one frame, each decided by itself. If some\n" +
			"fail the exit code is 2; if all are infeasible it is 3. --gang places all or none, at most\n" +
			"1,024. With --wait each is answered as soon as it is decided, and printed leases are renewed\n" +
			"meanwhile. Ctrl-C releases those that have not begun.\n\n" +
			"With --wait a task that does not fit now waits in the queue: the higher --priority goes\n" +
			"first, and owners take turns (docs/queue.md). An infeasible task is refused all the same,\n" +
			"unless no worker is known or --wait-for-workers is set.\n\n" +
			"--preempt preempts tasks of a strictly lower priority if no capacity is free. --wait must\n" +
			"then be at least the scheduler's --preempt-grace (30s). --on-preempt says whether this task\n" +
			"may be preempted itself; by default it may if its --priority is below 0.\n\n" +
			"Examples:\n" +
			"  dtask schedule gpu cuda-12.0 --gpus 1 --task train-7\n" +
			"  dtask schedule gpu --gpus 1 --count 8 -o json\n" +
			"  dtask schedule gpu --gpus 1 --wait 30s --priority 5\n" +
			"  dtask schedule gpu --gpus 1 --preempt --wait 60s --priority 10\n" +
			"  dtask schedule 'gpu && cuda>=12' --gpus 1 --gpu-mem 20Gi --cpu 4 --mem 16Gi --count 8 --gang",
		Flags: append(choiceFlags(),
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
		),
		ShellComplete: a.completeTags,
		Action:        a.runSchedule,
	}
}

// maxCount bounds --count.
const maxCount = 100_000

func (a *app) runSchedule(ctx context.Context, cmd *cli.Command) error {
	tasks, err := tasksOf(cmd)
	if err != nil {
		return err
	}
	if lacksGPU(&tasks[0]) {
		warn(cmd.Root().ErrWriter, noGPU)
	}
	c, err := a.dial(ctx, cmd.String("client"))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout+cmd.Duration("wait"))
	defer cancel()
	if len(tasks) == 1 && !cmd.Bool("gang") && tasks[0].Policy != client.Spread {
		l, err := c.Schedule(ctx, tasks[0])
		if err != nil {
			if failed := a.noPlaces(tasks, err); failed != nil {
				return failed
			}
			return a.infeasible(ctx, c, &tasks[0], err)
		}
		return a.deliver(ctx, c, tasks, []client.Result{{Lease: l}})
	}
	if cmd.Bool("gang") {
		return a.runGang(ctx, c, tasks, cmd.Bool("distinct"))
	}
	if cmd.Duration("wait") > 0 {
		return a.stream(ctx, c, tasks)
	}
	results, failed := c.ScheduleAll(ctx, tasks)
	if err := a.deliver(ctx, c, tasks, results); err != nil {
		return err
	}
	return a.judge(ctx, c, tasks, results, failed)
}

// judge turns the results of many tasks into the end of the command. failed is
// why not all of them were answered.
func (a *app) judge(ctx context.Context, c *client.Client, tasks []client.Task, results []client.Result, failed error) error {
	var first error
	without, infeasible := 0, 0
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		without++
		if errors.Is(r.Err, client.ErrInfeasible) {
			infeasible++
		}
		if first == nil {
			first = r.Err
		}
	}
	switch {
	case first == nil:
		return nil
	case failed != nil && (without == len(tasks) || errors.Is(failed, context.Canceled)):
		return failed
	case infeasible == len(tasks):
		return a.infeasible(ctx, c, &tasks[0], first)
	}
	f := describe(first)
	code := f.code
	if without < len(tasks) {
		code = exitUnavailable
	}
	return &failure{fmt.Errorf("%d of %d tasks got no place; the first:\n%w", without, len(tasks), first), code, f.hint}
}

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

// deliver prints what became of each task, and gives back the leases that
// the reader cannot have seen, because the output is lost.
func (a *app) deliver(ctx context.Context, c *client.Client, tasks []client.Task, results []client.Result) error {
	seen, err := a.printResults(tasks, results)
	if err != nil || a.out.lost() != nil {
		return errors.Join(err, a.giveBack(ctx, c, results[seen:]))
	}
	return nil
}

// giveBack releases the leases of results that the tasks did not hold before:
// others know of those.
func (a *app) giveBack(ctx context.Context, c *client.Client, results []client.Result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
	defer cancel()
	var leases []*client.Lease
	for _, r := range results {
		if r.Lease != nil && !r.Lease.Flags().Repeat() {
			leases = append(leases, r.Lease)
		}
	}
	if err := c.ReleaseAll(ctx, leases); err != nil {
		return fmt.Errorf("not every lease could be given back: %w", err)
	}
	return nil
}

// printResults writes what became of each task, in order. It returns how many
// of the results were written.
func (a *app) printResults(tasks []client.Task, results []client.Result) (written int, err error) {
	if !a.out.json && !a.out.quiet {
		return a.tableOfResults(tasks, results), nil
	}
	for i, r := range results {
		switch {
		case a.out.json:
			err = a.printResult(tasks[i].ID, r)
		case r.Err == nil:
			a.out.linef("%v", r.Lease.ID())
		}
		if err != nil || a.out.lost() != nil {
			return i, err
		}
	}
	return len(results), nil
}

// tableOfResults is printResults for people.
func (a *app) tableOfResults(tasks []client.Task, results []client.Result) (written int) {
	rows := make([][]string, len(results))
	for i, r := range results {
		rows[i] = cellsOfResult(&tasks[i], r)
	}
	return a.out.table(resultHeader, rows)
}

var resultHeader = []string{"TASK", "LEASE", "WORKER", "ADDRESS", "BEGIN BY", "NOTE"}

// cellsOfResult shows what became of one task.
func cellsOfResult(t *client.Task, r client.Result) []string {
	if r.Err != nil {
		return []string{t.ID, "-", "-", "-", "-", reasonOf(r.Err)}
	}
	l := r.Lease
	return []string{t.ID, l.ID().String(), l.Worker(), l.Address(), age(time.Until(l.BeginBy()).Round(time.Second)), note(l)}
}

// noPlaces writes, as JSON, that none of the tasks got a place, and why.
func (a *app) noPlaces(tasks []client.Task, err error) error {
	if !a.out.json {
		return nil
	}
	for i := range tasks {
		if failed := a.out.object(noPlacement{tasks[i].ID, err.Error(), reasonOf(err)}); failed != nil {
			return failed
		}
	}
	return nil
}

// printResult writes one result as JSON.
func (a *app) printResult(task string, r client.Result) error {
	if r.Err != nil {
		return a.out.object(noPlacement{task, r.Err.Error(), reasonOf(r.Err)})
	}
	h, err := r.Lease.Hand()
	if err != nil {
		return err
	}
	f := r.Lease.Flags()
	return a.out.object(placement{h, f.Repeat(), f.BestEffort(), r.Lease.BeginBy().UTC().Truncate(time.Millisecond)})
}

// reasonOf names why a task got no place.
func reasonOf(err error) string {
	var refused *wire.Error
	if errors.As(err, &refused) {
		return refused.Code.String()
	}
	return "unanswered"
}

// note says what is unusual about a lease.
func note(l *client.Lease) string {
	text := flagNote(l)
	if d := l.Devices(); d != nil {
		text = strings.TrimSpace(fmt.Sprintf("devices %s %s", numbers(d), text))
	}
	return text
}

func flagNote(l *client.Lease) string {
	switch f := l.Flags(); {
	case f.Begun():
		return "runs already"
	case f.AskedBack():
		return "asked back: the worker may refuse it"
	case f.Repeat():
		return "held already"
	case f.BestEffort():
		return "best effort"
	}
	return ""
}

// defaultClient is the user at this machine: the scope in which a repeated --task is the same
// task.
func defaultClient() string {
	name := "dtask"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	id := name + "@" + host
	if !wire.ValidID(id) {
		return "dtask"
	}
	return id
}
