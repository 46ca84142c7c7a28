package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/cmd/cmdline/walk"
	"github.com/dtask/dtask-scheduler/loadtest"
)

// TestMistakesAreSentences: whatever is wrong with whichever flag, the answer names
// the flag and has no text of Go's packages.
func TestMistakesAreSentences(t *testing.T) {
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
	refused := walk.Flags(t, (&options{}).flags(), says)
	require.Greater(t, refused, 100)
	require.Contains(t, says("--release=0.9", "--hold=0.9"), "--release + --hold + --late + --repeat must be in 0..1")
	require.Contains(t, says("--transport=http"), "--http-addr must be host:port")
}
