package deploy

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// need returns the path of a program, or skips the test.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed (on Debian it comes with the package prometheus; .ci/prometheus fetches it without installing)", program)
	}
	return path
}

// promtool runs promtool in the folder of the rules.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	path := need(t, "promtool")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = filepath.Dir(alertsFile)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func TestPromtoolTakesTheRules(t *testing.T) {
	require.Contains(t, promtool(t, "check", "rules", "--lint=all", "--lint-fatal", filepath.Base(alertsFile)), "SUCCESS")
}

func TestPromtoolTakesTheConfiguration(t *testing.T) {
	out := promtool(t, "check", "config", filepath.Base(configFile))
	require.Contains(t, out, "1 rule files found", "the configuration names the rules")
}

func TestAlertsFireAndStaySilent(t *testing.T) {
	require.Contains(t, promtool(t, "test", "rules", filepath.Base(casesFile)), "SUCCESS")
}
