package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/cmd/cmdline/walk"
)

// says runs a command line that reaches nobody, and returns what it prints to
// stderr.
func says(t *testing.T, args []string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var stdout, stderr strings.Builder
	if code := run(ctx, append([]string{"dtask"}, args...), &stdout, &stderr); code != exitOK {
		require.NotEmpty(t, stderr.String(), args)
	}
	return stderr.String()
}

// TestMistakesAreSentences: whatever is wrong with whichever flag of whichever
// command, the answer has no text of Go's packages.
func TestMistakesAreSentences(t *testing.T) {
	t.Setenv("DTASK_ADDR", "127.0.0.1:1") // nobody listens
	seen := 0
	root := commandTree()
	leaves(root, "", func(full string, c *cli.Command) {
		name, flags := strings.Fields(full)[1:], append(slices.Clone(root.Flags), c.Flags...)
		if name[0] == "completion" {
			return // of the library
		}
		known := map[string]bool{}
		for _, f := range flags {
			for _, n := range f.Names() {
				known[n] = true
			}
		}
		for _, f := range flags {
			for _, n := range f.Names() {
				if n == "help" || n == "h" || n == "version" || n == "v" {
					continue
				}
				seen++
				flag := strings.Repeat("-", min(len(n), 2)) + n
				if name[0] != "demo" { // values that are right would run it
					for _, value := range walk.Values {
						said := says(t, append(slices.Clone(name), flag+"="+value))
						require.Empty(t, walk.Raw(said), "%v %s=%q: %s", name, flag, value, said)
					}
				}
				if d, ok := f.(cli.DocGenerationFlag); ok && d.TakesValue() {
					said := says(t, append(slices.Clone(name), flag))
					require.Contains(t, said, "needs a value behind it", "%v %s", name, flag)
				}
				for _, typed := range walk.Misspellings(n) {
					if known[typed] {
						continue
					}
					said := says(t, append(slices.Clone(name), "--"+typed))
					require.Empty(t, walk.Raw(said), said)
					require.Contains(t, said, "there is no flag --"+typed+"; did you mean --", name)
					require.Regexp(t, `\nnext: dtask `+strings.Join(name, " ")+` --`, said)
				}
			}
		}
	})
	require.Greater(t, seen, 150)
}

// TestTheNearestFlagIsNamed shows what users see.
func TestTheNearestFlagIsNamed(t *testing.T) {
	t.Setenv("DTASK_ADDR", "127.0.0.1:1")
	for line, want := range map[string]string{
		"schedule --gpu 1":               "dtask: there is no flag --gpu; did you mean --gpus?\nnext: dtask schedule --gpus NUMBER\n",
		"schedule gpu -gpu 1":            "dtask: there is no flag --gpu; did you mean --gpus?\nnext: dtask schedule --gpus NUMBER\n",
		"schedule --wait 5":              "dtask: --wait: \"5\" has no unit; write 5s, 5m or 5h\nnext: dtask schedule --wait TIME\n",
		"schedule --count many":          "dtask: --count: \"many\" is no whole number\nnext: dtask schedule --count NUMBER\n",
		"schedule -n 1e3":                "dtask: -n: \"1e3\" is no whole number\nnext: dtask schedule -n NUMBER\n",
		"schedule --priority 3e9":        "dtask: --priority: \"3e9\" is no whole number\nnext: dtask schedule --priority NUMBER\n",
		"schedule --priority 3000000000": "dtask: --priority: \"3000000000\" is a number that is too large or too small\nnext: dtask schedule --priority NUMBER\n",
		"events --after -1":              "dtask: --after: \"-1\" is no whole number from 0 on\nnext: dtask events --after NUMBER\n",
		"worker list --watch=perhaps":    "dtask: --watch: \"perhaps\" is neither true nor false\nnext: dtask worker list --watch\n",
		"worker list --owner ann":        "dtask: there is no flag --owner\nnext: dtask worker list --help\n",
		"--timout 5s ping":               "dtask: there is no flag --timout; did you mean --timeout?\nnext: dtask --timeout TIME\n",
		"ping --timeout 5":               "dtask: --timeout: \"5\" has no unit; write 5s, 5m or 5h\nnext: dtask ping --timeout TIME\n",
	} {
		require.Equal(t, want, says(t, strings.Fields(line)), line)
	}
}
