package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/cmd/cmdline/walk"
)

// TestFlagMistakesAreSentences: whatever is wrong with whichever flag, the answer
// names the flag and has no text of Go's packages.
func TestFlagMistakesAreSentences(t *testing.T) {
	worker := func(args ...string) string {
		var stderr strings.Builder
		parse(args, io.Discard, &stderr)
		return stderr.String()
	}
	walk.Flags(t, (&options{}).flags(), worker)
	walk.Flags(t, (&options{}).flags(), func(args ...string) string { return worker(append(args, "--scheduler=dtask://h")...) })
	walk.Flags(t, (&statusOptions{}).flags(), func(args ...string) string {
		var stderr strings.Builder
		status(append(args, "--sidecar=nowhere"), io.Discard, &stderr) // asks nobody
		return stderr.String()
	})
}

// An empty text is no flag that was left out: a state directory in a variable
// that was never set would lose what runs.
func TestEmptyFlagsAreRefused(t *testing.T) {
	for _, name := range []string{"id", "scheduler", "state-dir", "sidecar", "devices"} {
		var stderr strings.Builder
		_, code, done := parse([]string{"--" + name + "="}, io.Discard, &stderr)
		require.True(t, done, name)
		require.Equal(t, 2, code)
		require.Contains(t, stderr.String(), "--"+name+" is empty: give it a value, or leave it out")
	}
	var stderr strings.Builder
	_, _, done := parse([]string{"--tags="}, io.Discard, &stderr)
	require.False(t, done, stderr.String())
	require.Equal(t, 2, status([]string{"--sidecar="}, io.Discard, &stderr))
}
