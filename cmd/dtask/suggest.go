package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/spell"
)

// infeasible adds to the scheduler's answer about a task that no known worker can
// take, err, the next command: with the tags that were probably meant.
func (a *app) infeasible(ctx context.Context, c *client.Client, task *client.Task, err error) error {
	if !errors.Is(err, client.ErrInfeasible) {
		return err
	}
	var known []string
	for t, failed := range c.Tags(ctx) {
		if failed != nil {
			return err // the scheduler's own words serve as well
		}
		known = append(known, t.Tag)
	}
	tags := task.Tags
	unknown := 0
	meant := slices.Clone(tags)
	guessed := true
	for i, tag := range tags {
		if slices.Contains(known, tag) {
			continue
		}
		unknown++
		meant[i] = spell.Nearest(tag, without(known, meant))
		guessed = guessed && meant[i] != ""
	}
	for i := range meant {
		meant[i] = asArgument(meant[i])
	}
	f := &failure{err: err, code: exitInfeasible}
	switch {
	case len(known) > 0 && unknown == 0 && asksMore(task):
		f.hint = "see what each worker offers with `dtask worker list` and `dtask worker show WORKER`"
	case len(known) == 0, unknown == 0 && len(tags) < 2:
		f.hint = "see the known workers with `dtask worker list`"
	case unknown == 0:
		f.hint = "dtask worker list --tag " + quoted(tags[:1])
	case guessed:
		f.hint = "did you mean `dtask schedule " + quoted(meant) + "`?"
	default:
		f.hint = "see which tags there are with `dtask tags`"
	}
	return f
}

// asksMore reports whether a task asks for more than tags.
func asksMore(t *client.Task) bool {
	return t.Selector != "" || len(t.Resources) > 0 || t.Exclusive || len(t.NotWorkers) > 0
}

// without returns the words that are not among others.
func without(words, others []string) (left []string) {
	for _, w := range words {
		if !slices.Contains(others, w) {
			left = append(left, w)
		}
	}
	return left
}

// quoted writes words for a shell.
func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w
		if strings.ContainsFunc(w, func(r rune) bool { return strings.ContainsRune(" \t'\"`$&|;<>()*?[]#~\\!{}", r) }) {
			list[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(list, " ")
}
