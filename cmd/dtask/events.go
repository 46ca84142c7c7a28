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

// followPause is how often --follow asks for news.
const followPause = 500 * time.Millisecond

// eventKinds are the values of --what.
var eventKinds = []string{
	"joined", "back", "suspicious", "offline", "removed", "deregistered", "superseded", "cordoned", "draining", "drained", "uncordoned", "revoked", "preempted",
	"quarantined", "probing", "recovered", "device_in_use", "worker_in_use",
	"mass_loss", "mass_loss_offline", "mass_loss_over",
}

func (a *app) events() *cli.Command {
	return &cli.Command{
		Name:  "events",
		Usage: "list recent events of workers, the oldest first",
		Description: "The scheduler keeps the last few thousand events. With --follow and -o json each event\n" +
			"is an object on a line of its own.\n\n" +
			"Examples:\n" +
			"  dtask events --worker worker-001\n" +
			"  dtask events --follow --what offline --what back",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "worker", Usage: "only events of this `WORKER`"},
			&cli.StringSliceFlag{Name: "what", Usage: "only events of this `KIND`, such as offline; may be repeated"},
			&cli.Uint64Flag{Name: "after", Usage: "only events with a greater `NUMBER`"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "continue with new events, until interrupted"},
			&cli.DurationFlag{Name: "for", Usage: "end --follow after this `TIME`"},
		},
		Action: a.runEvents,
	}
}

// eventFilter is what of the events to print.
type eventFilter struct {
	worker string
	what   []string
}

func (f *eventFilter) wants(e *wire.Event) bool {
	return (f.worker == "" || f.worker == e.Worker) && (len(f.what) == 0 || slices.Contains(f.what, e.What))
}

func (a *app) runEvents(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	if err := checkFor(cmd, "--follow"); err != nil {
		return err
	}
	f := &eventFilter{worker: cmd.String("worker"), what: cmd.StringSlice("what")}
	for _, what := range f.what {
		if !slices.Contains(eventKinds, what) {
			return usage(fmt.Sprintf("--what %q is not one of %s", what, strings.Join(eventKinds, ", ")), "dtask events --what "+eventKinds[0])
		}
	}
	after := cmd.Uint64("after")
	if !cmd.Bool("follow") {
		return a.with(ctx, func(ctx context.Context, c *client.Client) error { return a.listEvents(ctx, c, f, after) })
	}
	c, err := a.dial(ctx, defaultClient())
	if err != nil {
		return err
	}
	defer c.Close()
	within, cancel := span(ctx, cmd)
	defer cancel()
	if err := a.follow(within, c, f, after); err != nil {
		return err
	}
	return stopped(ctx)
}

// listEvents prints the events that there are.
func (a *app) listEvents(ctx context.Context, c *client.Client, f *eventFilter, after uint64) error {
	rows, cells := []view.Event{}, [][]string(nil)
	for e, err := range c.Events(ctx, after) {
		if err != nil {
			return err
		}
		if f.wants(&e) {
			r := view.EventOf(&e, view.Now(time.Now()))
			rows = append(rows, r)
			cells = append(cells, append([]string{fmt.Sprint(e.Number), age(view.Millis(e.AgeMS))}, a.cellsOf(&r)...))
		}
	}
	switch {
	case a.out.quiet:
		for i := range rows {
			a.out.linef("%d", rows[i].Number)
		}
	case a.out.json:
		return a.out.object(rows)
	default:
		a.out.table([]string{"NUMBER", "AGE", "EVENT", "WORKER", "BY", "DETAIL"}, cells)
		a.out.linef("%s", count(len(rows), "event"))
	}
	return nil
}

// cellsOf shows an event behind its number and time.
func (a *app) cellsOf(r *view.Event) []string {
	colour := plain
	switch r.What {
	case "suspicious", "cordoned", "draining", "revoked", "preempted", "probing":
		colour = yellow
	case "offline", "removed", "quarantined":
		colour = red
	case "joined", "back", "uncordoned", "drained", "recovered":
		colour = green
	}
	detail := r.Reason
	if r.Lease != nil {
		detail = strings.TrimSpace("lease " + r.Lease.String() + " " + detail)
	}
	return []string{a.out.in(colour, r.What), r.Worker, dash(r.By), detail}
}

// followWidths are the columns of --follow, which cannot wait for the widest
// cell.
var followWidths = []int{8, 20, 12, 20, 20, 0}

// follow prints events until the context ends.
func (a *app) follow(ctx context.Context, c *client.Client, f *eventFilter, after uint64) error {
	if !a.out.quiet && !a.out.json {
		a.out.row([]string{"NUMBER", "TIME", "EVENT", "WORKER", "BY", "DETAIL"}, followWidths)
	}
	if a.out.lost() != nil {
		return nil
	}
	for e, err := range c.Follow(ctx, after, followPause) {
		switch {
		case ctx.Err() != nil:
			return nil // that is how it ends
		case err != nil:
			return err
		case !f.wants(&e):
			continue
		}
		r := view.EventOf(&e, view.Now(time.Now()))
		switch {
		case a.out.quiet:
			a.out.linef("%d", e.Number)
		case a.out.json:
			if err := a.out.object(r); err != nil {
				return err
			}
		default:
			cells := append([]string{fmt.Sprint(e.Number), time.Now().Add(-view.Millis(e.AgeMS)).UTC().Format(time.RFC3339)}, a.cellsOf(&r)...)
			a.out.row(cells, followWidths)
		}
		if a.out.lost() != nil {
			return nil
		}
	}
	return nil
}
