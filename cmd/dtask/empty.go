package main

import (
	"context"
	"os"
	"slices"

	"github.com/urfave/cli/v3"
)

// variable is an environment variable that stands for a flag. An empty one is as
// good as none.
type variable string

// fromEnv returns the source of a flag that a variable stands for.
func fromEnv(name string) cli.ValueSourceChain { return cli.NewValueSourceChain(variable(name)) }

// Lookup implements cli.ValueSource.
func (v variable) Lookup() (string, bool) {
	text := os.Getenv(string(v))
	return text, text != ""
}

// String implements cli.ValueSource.
func (v variable) String() string { return "the environment variable " + string(v) }

// GoString implements cli.ValueSource.
func (v variable) GoString() string { return v.String() }

// IsFromEnv implements cli.EnvValueSource.
func (variable) IsFromEnv() bool { return true }

// Key implements cli.EnvValueSource.
func (v variable) Key() string { return string(v) }

// filled has a command refuse what is empty before it does anything: it is
// mostly a variable of a script that was never set.
func filled(do cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		if slices.Contains(cmd.Args().Slice(), "") {
			return usage("an argument of "+cmd.FullName()+" is empty", cmd.FullName()+" --help")
		}
		return do(ctx, cmd)
	}
}

// noEmptyFlags returns an error if a flag of a command is empty.
func noEmptyFlags(cmd *cli.Command) error {
	for _, f := range cmd.Flags {
		name := f.Names()[0]
		if !cmd.IsSet(name) {
			continue
		}
		empty := false
		switch v := cmd.Value(name).(type) {
		case string:
			empty = v == ""
		case []string:
			empty = slices.Contains(v, "")
		}
		if empty {
			return usage("--"+name+" is empty: give it a value, or leave it out", cmd.FullName()+" --help")
		}
	}
	return nil
}
