package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/cmd/cmdline/walk"
	"github.com/dtask/dtask-scheduler/loadtest"
)

// TestMistakesAreSentences: whatever is wrong with whichever flag, the answer names
// the flag and has no text of Go's packages.
func TestMistakesAreSentences(t *testing.T) {
	known := map[string]bool{}
	(&options{}).flags().VisitAll(func(f *flag.Flag) { known[f.Name] = true })
	says := func(args ...string) string {
		var stderr strings.Builder
		o, err := parse(args, &stderr)
		if err != nil {
			return stderr.String()
		}
		if o.load.Addr == "" {
			o.load.Addr = "127.0.0.1:1"
		}
		var wrong *loadtest.ConfigError
		if errors.As(o.load.Verify(), &wrong) {
			return named(wrong)
		}
		return ""
	}
	refused := 0
	for name := range known {
		for _, value := range walk.Values {
			said := says("--" + name + "=" + value)
			require.Empty(t, walk.Raw(said), "--%s=%q: %s", name, value, said)
			if said != "" {
				refused++
				require.Contains(t, said, "--", "--%s=%q", name, value)
			}
		}
		for _, typed := range walk.Misspellings(name) {
			if !known[typed] {
				said := says("--" + typed)
				require.Empty(t, walk.Raw(said), said)
				require.Contains(t, said, "there is no flag --"+typed+"; did you mean --")
			}
		}
	}
	require.Greater(t, refused, 100)
	require.Contains(t, says("--release=0.9", "--hold=0.9"), "--release + --hold + --late + --repeat must be in 0..1")
	require.Contains(t, says("--transport=http"), "--http-addr must be host:port")
}
