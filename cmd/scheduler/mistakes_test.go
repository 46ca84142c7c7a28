package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/cmd/cmdline/walk"
	"github.com/dtask/dtask-scheduler/server"
)

// complaint returns what the program says of a command line before it listens.
func complaint(args ...string) string {
	var stderr strings.Builder
	o, err := parse(args, &stderr)
	if err == nil && !o.version {
		if _, err = server.New(o.config); err != nil {
			stderr.WriteString(explain(err, o))
		}
	}
	return stderr.String()
}

// TestMistakesAreSentences: whatever is wrong with whichever flag, the answer names
// the flag and has no text of Go's packages.
func TestMistakesAreSentences(t *testing.T) {
	refused := walk.Flags(t, (&options{}).flags(), complaint)
	require.Greater(t, refused, 200)
}

// TestFieldsHaveTheirFlags: an error of the configuration names the flag.
func TestFieldsHaveTheirFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--loops=0":                      "--loops must be in 1..255, not 0",
		"--offline-threshold=1s":         "--suspicious-threshold 10000 ms and --offline-threshold 1000 ms must be positive and in this order",
		"--quarantine-failures=2":        "--quarantine-owners 3 is outside 1..--quarantine-failures 2",
		"--listen=h":                     `--listen "h" is not host:port, such as 127.0.0.1:8081 or [::1]:8081`,
		"--host=127.0.0.1:80":            `--host "127.0.0.1:80" is no host; its port is --port`,
		"--host=[::1]":                   `--host "[::1]" is no host`,
		"--suspicious-threshold=99999ns": "want whole milliseconds",
	} {
		require.Contains(t, complaint(args), want)
	}
	require.Empty(t, complaint("--host=::1"))
	known := map[string]bool{}
	(&options{}).flags().VisitAll(func(f *flag.Flag) { known[f.Name] = true })
	for field, flag := range flagOf {
		require.True(t, known[flag], "%s: there is no flag --%s", field, flag)
	}
}
