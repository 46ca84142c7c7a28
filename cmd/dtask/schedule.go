package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// placement is what schedule prints as JSON, one for each task: the handover,
// which the worker's begin takes, and what the scheduler said about it.
type placement struct {
	wire.Handover
	Repeat     bool      `json:"repeat,omitempty"`      // the task held this lease already
	BestEffort bool      `json:"best_effort,omitempty"` // the worker speaks no leases
	BeginBy    time.Time `json:"begin_by"`              // later the lease is asked back
}

func (a *app) schedule() *cli.Command {
	return &cli.Command{
		Name:      "schedule",
		Usage:     "ask for a place for a task that needs the given tags",
		ArgsUsage: "[TAG...]",
		Description: "Prints the lease and the worker to hand the task to. The lease lives for --ttl; the\n" +
			"worker keeps it from its begin on. With -o json each line is the handover that the\n" +
			"worker's begin takes.\n\n" +
			"Examples:\n" +
			"  dtask schedule gpu cuda-12.0 --task train-7\n" +
			"  dtask schedule gpu --count 8 -o json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "task", Usage: "`ID` of the task, the key of repeats (default: a random one)"},
			&cli.StringFlag{Name: "client", Usage: "`ID` of the scope of task ids", Value: defaultClient(), Sources: cli.EnvVars("DTASK_CLIENT")},
			&cli.StringFlag{Name: "owner", Usage: "`NAME` of who the task belongs to"},
			&cli.StringFlag{Name: "group", Usage: "`NAME` of the tasks it belongs with"},
			&cli.Int32Flag{Name: "priority", Usage: "higher `NUMBER`s go first"},
			&cli.IntFlag{Name: "count", Aliases: []string{"n"}, Usage: "how many tasks; their ids are ID-1, ID-2, ...", Value: 1},
			&cli.DurationFlag{Name: "ttl", Usage: "how long the lease waits for its begin", Value: time.Minute},
		},
		Action: a.runSchedule,
	}
}

// maxCount bounds --count.
const maxCount = 100_000

func (a *app) runSchedule(ctx context.Context, cmd *cli.Command) error {
	tasks, err := tasksOf(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	c, err := a.dialAs(ctx, cmd.String("client"))
	if err != nil {
		return err
	}
	defer c.Close()
	if len(tasks) == 1 {
		l, err := c.Schedule(ctx, tasks[0])
		if err != nil {
			return err
		}
		return a.printLeases([]*client.Lease{l})
	}
	results, err := c.ScheduleAll(ctx, tasks)
	var placed []*client.Lease
	for _, r := range results {
		if r.Err == nil {
			placed = append(placed, r.Lease)
		} else if err == nil {
			err = r.Err
		}
	}
	if e := a.printLeases(placed); e != nil {
		return e
	}
	if err != nil && len(placed) > 0 {
		f := describe(err)
		return &failure{fmt.Errorf("%d of %d tasks got no place; the first: %w", len(tasks)-len(placed), len(tasks), err), f.code, f.hint}
	}
	return err
}

// tasksOf reads the tasks from the command line.
func tasksOf(cmd *cli.Command) ([]client.Task, error) {
	count, ttl := cmd.Int("count"), cmd.Duration("ttl")
	switch {
	case count < 1 || count > maxCount:
		return nil, usage(fmt.Sprintf("--count %d is not 1 to %d", count, maxCount), "dtask schedule --help")
	case ttl < time.Millisecond:
		return nil, usage(fmt.Sprintf("--ttl %v is not at least 1ms", ttl), "dtask schedule gpu --ttl 1m")
	}
	id := cmd.String("task")
	if id == "" {
		id = "t-" + strings.ToLower(rand.Text()[:12])
	}
	tasks := make([]client.Task, count)
	for i := range tasks {
		tasks[i] = client.Task{
			ID: id, Tags: cmd.Args().Slice(), Owner: cmd.String("owner"), Group: cmd.String("group"),
			Priority: cmd.Int32("priority"), TTL: ttl,
		}
		if count > 1 {
			tasks[i].ID = fmt.Sprintf("%s-%d", id, i+1)
		}
	}
	return tasks, nil
}

func (a *app) printLeases(leases []*client.Lease) error {
	var rows [][]string
	for _, l := range leases {
		switch {
		case a.out.quiet:
			a.out.linef("%v", l.ID())
		case a.out.json:
			h, err := l.Hand()
			if err != nil {
				return err
			}
			f := l.Flags()
			if err := a.out.object(placement{h, f.Repeat(), f.BestEffort(), l.BeginBy().UTC()}); err != nil {
				return err
			}
		default:
			rows = append(rows, []string{l.Task().ID, l.ID().String(), l.Worker(), l.Address(), age(time.Until(l.BeginBy()).Round(time.Second)), note(l)})
		}
	}
	if len(rows) > 0 {
		a.out.table([]string{"TASK", "LEASE", "WORKER", "ADDRESS", "BEGIN BY", "NOTE"}, rows)
	}
	return nil
}

// note says what is unusual about a lease.
func note(l *client.Lease) string {
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

// defaultClient is who types: the scope in which a repeated --task is the same
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
