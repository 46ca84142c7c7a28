package main

import (
	"context"
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
		Flags:         taskFlags(),
		ShellComplete: a.completeTags,
		Action:        a.runSchedule,
	}
}

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
		return "repeated"
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
