package main

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/client"
)

// stream asks for places for many tasks that wait, and prints each result as
// soon as it is settled. What was printed is renewed until the last one is.
func (a *app) stream(ctx context.Context, c *client.Client, tasks []client.Task) error {
	results, rows := make([]client.Result, len(tasks)), a.rowsOf(tasks)
	var printed []client.Result
	var ended error // why not all were answered
	for i, r := range c.ScheduleEach(ctx, tasks) {
		results[i] = r
		if r.Err != nil && ctx.Err() != nil {
			ended = r.Err // said once, at the end
			continue
		}
		err := rows.print(i, r)
		if err != nil || a.out.lost() != nil {
			return errors.Join(err, a.giveBack(ctx, c, []client.Result{r}))
		}
		if r.Lease != nil {
			printed = append(printed, r)
		}
	}
	if ended != nil {
		return a.interrupted(ctx, c, printed, ended)
	}
	return a.judge(ctx, c, tasks, results, nil)
}

// interrupted gives back what was printed, as far as it has not begun: Ctrl-C
// interrupts the program that reads it as well.
func (a *app) interrupted(ctx context.Context, c *client.Client, printed []client.Result, why error) error {
	failed := a.giveBack(ctx, c, printed)
	if failed == nil && len(printed) > 0 {
		failed = fmt.Errorf("what was printed is given back: %s", count(len(printed), "lease"))
	}
	f := describe(why)
	return &failure{errors.Join(f.err, failed), f.code, f.hint}
}

// resultRows prints results one by one.
type resultRows struct {
	app    *app
	tasks  []client.Task
	widths []int // of the columns of a table; nil before the first row
}

func (a *app) rowsOf(tasks []client.Task) *resultRows { return &resultRows{app: a, tasks: tasks} }

// print prints one result. The lease may be used from then on, so it counts as
// handed over.
func (p *resultRows) print(i int, r client.Result) error {
	if r.Err == nil {
		if _, err := r.Lease.Hand(); err != nil {
			return err
		}
	}
	out := p.app.out
	switch {
	case out.json:
		return p.app.printResult(p.tasks[i].ID, r)
	case !out.quiet:
		p.row(cellsOfResult(&p.tasks[i], r))
	case r.Err == nil:
		out.linef("%v", r.Lease.ID())
	}
	return nil
}

// row prints one row of a table whose further rows are not known yet: the first
// one and the longest task make the columns.
func (p *resultRows) row(cells []string) {
	if p.widths == nil {
		p.widths = make([]int, len(cells))
		for i, cell := range cells {
			p.widths[i] = max(utf8.RuneCountInString(cell), len(resultHeader[i]))
		}
		p.widths[0] = max(p.widths[0], len(p.tasks[len(p.tasks)-1].ID))
		p.app.out.row(resultHeader, p.widths)
	}
	p.app.out.row(cells, p.widths)
}
