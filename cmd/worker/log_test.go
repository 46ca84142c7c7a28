package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// With --log-format=json every line is an object, at every level.
func TestJSONLines(t *testing.T) {
	url, requests := scheduler(t)
	p := launch(t, "--scheduler="+url, "--heartbeat=20ms", "--log-format=json", "--log-level=error")
	receive(t, requests)
	p.stop(syscall.SIGTERM)
	var messages []string
	for line := range strings.SplitSeq(strings.TrimSpace(p.stderr()), "\n") {
		var record struct{ Level, Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		messages = append(messages, record.Msg)
	}
	require.Len(t, messages, 3)
	require.Equal(t, "dtask-worker starting...", messages[0])
	require.Contains(t, messages[1], "Worker \"worker-001\" at ")
	require.Equal(t, "Worker stopped", messages[2])
}

func TestLogLevels(t *testing.T) {
	url, requests := scheduler(t)
	p := launch(t, "--scheduler="+url, "--heartbeat=20ms", "--log-level=error")
	receive(t, requests)
	p.stop(syscall.SIGTERM)
	require.True(t, strings.HasSuffix(p.stderr(), "Worker stopped\n"), "the lines of the program come at every level")
	require.NotContains(t, p.stderr(), "INFO")
}
