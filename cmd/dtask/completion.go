package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of what is asked while a user waits for a completion.
const (
	completeWithin = 500 * time.Millisecond
	maxCompletions = 200
)

// completion shows the command that prints the scripts, which the library hides.
func completion(cmd *cli.Command) {
	cmd.Hidden = false
	cmd.Usage = "print the script that completes commands, flags, tags and workers in a shell"
	cmd.Description = "Examples:\n" +
		"  dtask completion bash > /etc/bash_completion.d/dtask\n" +
		"  dtask completion zsh > \"${fpath[1]}/_dtask\"\n" +
		"  dtask completion fish > ~/.config/fish/completions/dtask.fish"
	prepare([]*cli.Command{cmd})
	for _, shell := range cmd.Commands {
		shell.Description = fmt.Sprintf("Example:\n  dtask completion %s", shell.Name)
	}
}

// completeTags completes with the tags of the fleet.
func (a *app) completeTags(ctx context.Context, cmd *cli.Command) {
	a.complete(ctx, cmd, func(ctx context.Context, c *client.Client, offer func(string) bool) {
		for t, err := range c.Tags(ctx) {
			if err != nil || !offer(t.Tag) {
				return
			}
		}
	})
}

// completeWorkers completes with the ids of workers.
func (a *app) completeWorkers(ctx context.Context, cmd *cli.Command) {
	a.complete(ctx, cmd, func(ctx context.Context, c *client.Client, offer func(string) bool) {
		for w, err := range c.Workers(ctx, client.Filter{Page: maxCompletions}) {
			if err != nil || !offer(w.ID) {
				return
			}
		}
	})
}

// complete offers flags where one is begun, else what walk finds. A scheduler
// that does not answer at once leaves it at that.
func (a *app) complete(ctx context.Context, cmd *cli.Command, walk func(ctx context.Context, c *client.Client, offer func(string) bool)) {
	// The last argument is the mark of the library behind the word being typed.
	if n := len(os.Args); n > 1 && strings.HasPrefix(os.Args[n-2], "-") {
		cli.DefaultCompleteWithFlags(ctx, cmd)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	c, err := a.dial(ctx, "")
	if err != nil {
		return
	}
	defer c.Close()
	left := maxCompletions
	walk(ctx, c, func(word string) bool {
		if offers(word) {
			fmt.Fprintln(cmd.Root().Writer, word)
			left--
		}
		return left > 0
	})
}

// offers reports whether a word may be offered. The script for bash has the
// shell expand the words, so one with a dollar sign could run a command; what
// follows a colon is taken as a description.
func offers(word string) bool {
	return wire.ValidID(strings.ReplaceAll(word, "=", "-")) && !strings.Contains(word, ":")
}
