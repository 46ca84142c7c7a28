package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/view"
)

func (a *app) tags() *cli.Command {
	return &cli.Command{
		Name:  "tags",
		Usage: "list the tags of workers, and the number of workers with each",
		Description: "Examples:\n" +
			"  dtask tags\n" +
			"  dtask tags -o json",
		Flags: watchFlags(),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return a.show(ctx, cmd, a.showTags)
		},
	}
}

func (a *app) showTags(ctx context.Context, c *client.Client) error {
	list, err := collect(c.Tags(ctx), 0)
	if err != nil {
		return err
	}
	rows, cells := make([]view.Tag, len(list)), [][]string(nil)
	for i, t := range list {
		rows[i] = view.TagOf(&t)
		cells = append(cells, []string{fmt.Sprint(t.Workers), t.Tag})
	}
	switch {
	case a.out.quiet:
		for _, t := range list {
			a.out.id(t.Tag)
		}
	case a.out.json:
		return a.out.object(rows)
	default:
		a.out.table([]string{"WORKERS", "TAG"}, cells)
		a.out.linef("%s", count(len(list), "tag"))
	}
	return nil
}
