package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/urfave/cli/v3"
)

// versionRow is what version prints.
type versionRow struct {
	Version string `json:"version" doc:"of this tool; that of the scheduler is in dtask ping"`
	Commit  string `json:"commit" doc:"the commit that it was built from"`
	Built   string `json:"built" doc:"when"`
	Go      string `json:"go" doc:"the version of Go that built it"`
}

// versionText is the version with its origin.
func versionText() string {
	return fmt.Sprintf("%s (commit %s, built %s, %s)", version, commit, date, runtime.Version())
}

func (a *app) version() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version of this tool",
		Description: "`dtask ping` prints the version of the scheduler.\n\n" +
			"Examples:\n" +
			"  dtask version\n" +
			"  dtask version -o json",
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			switch {
			case a.out.json:
				return a.out.object(versionRow{version, commit, date, runtime.Version()})
			case a.out.quiet:
				a.out.linef("%s", version)
			default:
				a.out.linef("dtask version %s", versionText())
			}
			return nil
		},
	}
}
