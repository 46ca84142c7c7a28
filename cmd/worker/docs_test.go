package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/internal/ports"
)

// document returns docs/worker.md.
func document(t *testing.T) string {
	text, err := os.ReadFile("../../docs/worker.md")
	require.NoError(t, err)
	return string(text)
}

func TestFlagsAreDocumented(t *testing.T) {
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| *([^|]*?) *\\|").FindAllStringSubmatch(document(t), -1) {
		documented[m[1]] = m[2]
	}
	(&options{}).flags().VisitAll(func(f *flag.Flag) {
		said, ok := documented[f.Name]
		require.True(t, ok, "--%s is not documented", f.Name)
		switch f.DefValue {
		case "", "false", "true":
		default:
			require.Equal(t, f.DefValue, said, "the default of --%s", f.Name)
		}
		delete(documented, f.Name)
	})
	require.Empty(t, documented, "there are no such flags")
	(&statusOptions{}).flags().VisitAll(func(f *flag.Flag) {
		require.Regexp(t, "`worker status` asks .*`--?"+f.Name+"`", document(t))
	})
}

func TestExamplesAreDocumented(t *testing.T) {
	for name := range tools {
		text, err := os.ReadFile(examples + name)
		require.NoError(t, err)
		require.Contains(t, document(t), "\n"+string(text)+"```\n", "docs/worker.md shows another %s", name)
	}
}

// TestDocumentedCommandsRun runs the first shell block of the document as it
// stands, but for the ports.
func TestDocumentedCommandsRun(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: %v", tool, err)
		}
	}
	_, block, ok := strings.Cut(document(t), "```sh\n")
	require.True(t, ok)
	block, _, _ = strings.Cut(block, "```")
	s := realScheduler(t)
	sidecar := ports.Addr(t)
	block = strings.NewReplacer("localhost:8080", s.HTTPAddr(), "localhost:8081", s.Addr(), defaultSidecar, sidecar,
		"worker status", "worker status --sidecar="+sidecar).Replace(block)
	started := "until bin/worker status --sidecar=" + sidecar + " 2>/dev/null | grep -q ', connected'; do :; done"
	script := "set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n"
	for line := range strings.Lines(block) {
		script += line
		if strings.HasSuffix(line, "&\n") {
			script += started + "\n"
		}
	}

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	binary, err := filepath.Abs(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.Symlink(binary, filepath.Join(dir, "bin", "worker")))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script)
	c.Dir, c.Env, c.WaitDelay = dir, append(os.Environ(), asWorker+"=1", "GORACE=atexit_sleep_ms=0", "no_proxy=*"), time.Second
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s\n%s", script, out)
	for _, want := range []string{"0 of 30", `"status":"begun"`, "1 of 30", `"status":"ended"`, "Worker stopped"} {
		require.Contains(t, string(out), want, fmt.Sprintf("%s\n%s", script, out))
	}
	require.Zero(t, totals(t, s).Used)
}
