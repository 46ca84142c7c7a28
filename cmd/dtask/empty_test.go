package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

// zeros are the flags of which 0 is a value like others, with what it says. A
// command refuses any other, so that none is taken for a limit that is missing.
var zeros = map[string]string{
	"dtask schedule --priority":     "a number between negative and positive ones",
	"dtask schedule --wait":         "the task does not wait",
	"dtask worker drain --deadline": "what runs is preempted at once",
	"dtask worker drain --wait":     "the command does not wait",
	"dtask events --after":          "events are numbered from 1",
}

// No flag of any command takes an empty value for none, nor 0 for no limit.
func TestEmptyAndZeroAreNotNone(t *testing.T) {
	f := newFleet(t)
	known := map[string]bool{}
	try := func(name string, fl cli.Flag, args []string) {
		flag := "--" + fl.Names()[0]
		call := func(value string) (int, string) {
			return f.execute(io.Discard, slices.Concat(args, []string{flag + "=" + value})...)
		}
		switch fl.(type) {
		case *cli.BoolFlag:
		case *cli.StringFlag, *cli.StringSliceFlag:
			code, stderr := call("")
			require.Equal(t, exitUsage, code, "%s %s: %s", name, flag, stderr)
			require.Contains(t, stderr, "dtask: "+flag+" is empty: give it a value, or leave it out\n", name)
		case *cli.DurationFlag, *cli.IntFlag, *cli.Int32Flag, *cli.Uint64Flag:
			want := exitUsage
			if key := name + " " + flag; zeros[key] != "" {
				want, known[key] = exitOK, true
			}
			code, stderr := call("0")
			require.Equal(t, want, code, "%s %s 0: %s", name, flag, stderr)
		default:
			t.Errorf("%s %s: nobody knows what %T takes", name, flag, fl)
		}
	}
	root := commandTree()
	for _, fl := range root.Flags {
		try("dtask", fl, []string{"ping"})
	}
	leaves(root, "", func(name string, c *cli.Command) {
		args := strings.Fields(name)[1:]
		if more := arguments[name]; more != nil {
			args = append(args, more(f)...)
		}
		for _, fl := range c.Flags {
			try(name, fl, args)
		}
		code, _ := f.execute(io.Discard, append(args, "")...)
		require.Equal(t, exitUsage, code, "%s takes an empty argument", name)
	})
	for key := range zeros {
		require.True(t, known[key], "there is no flag %s", key)
	}
}

// An empty variable is as good as none.
func TestEmptyVariables(t *testing.T) {
	f := newFleet(t)
	for _, name := range []string{"DTASK_ADDR", "DTASK_OUTPUT", "DTASK_CLIENT"} {
		t.Setenv(name, "")
	}
	code, stderr := f.execute(io.Discard, "schedule", "a", "--task", "t")
	require.Zero(t, code, stderr)
	require.Equal(t, []string{"t"}, f.leases("t"), "the client is who types")
	t.Setenv("DTASK_CLIENT", "ann")
	code, stderr = f.execute(io.Discard, "schedule", "a", "--task", "t2")
	require.Zero(t, code, stderr)
	require.Equal(t, []string{"t"}, f.leases("t"))
}
