package deploy

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var mutants = flag.Bool("mutants", false, "break the alerts one by one and see that their cases notice (a minute); make mutants does")

var (
	// threshold is a number that something is compared with. Zero has no
	// neighbours to be told from.
	threshold = regexp.MustCompile(`(>=|>) (0\.\d+|[1-9][\d.]*)`)
	matchers  = regexp.MustCompile(`\{[^}]*\}`)
	condition = regexp.MustCompile(`\s(?:and|or)\s`)
)

// mutant is an alert with one fault.
type mutant struct {
	fault string
	rule  rule
}

// mutantsOf returns an alert with each of its faults: it does not wait, a number
// is half or twice as large, a selector selects everything, or a condition and
// all behind it is gone.
func mutantsOf(t *testing.T, r rule) (all []mutant) {
	add := func(fault, expr, wait string) {
		m := mutant{fault, r}
		m.rule.Expr, m.rule.For = expr, wait
		all = append(all, m)
	}
	if r.For != "" {
		add("does not wait", r.Expr, "")
	}
	for _, at := range threshold.FindAllStringSubmatchIndex(r.Expr, -1) {
		number, err := strconv.ParseFloat(r.Expr[at[4]:at[5]], 64)
		require.NoError(t, err)
		for _, factor := range []float64{0.5, 2} {
			add(fmt.Sprintf("%s times %v", r.Expr[at[0]:at[1]], factor), r.Expr[:at[4]]+fmt.Sprint(number*factor)+r.Expr[at[5]:], r.For)
		}
	}
	for _, at := range matchers.FindAllStringIndex(r.Expr, -1) {
		add("without "+r.Expr[at[0]:at[1]], r.Expr[:at[0]]+r.Expr[at[1]:], r.For)
	}
	for _, at := range condition.FindAllStringIndex(r.Expr, -1) {
		add("without"+r.Expr[at[0]:], r.Expr[:at[0]], r.For)
	}
	return all
}

// TestMutantsOfAlertsAreNoticed: the cases of an alert tell it from one with a
// fault, so they say what it means.
func TestMutantsOfAlertsAreNoticed(t *testing.T) {
	if !*mutants {
		t.Skip("takes a minute; make mutants runs it")
	}
	promtool, all := need(t, "promtool"), rules(t)
	count := 0
	for i, r := range all {
		if r.Alert == "" {
			continue
		}
		dir := t.TempDir()
		casesOf(t, r.Alert, dir)
		// What is recorded comes first: rules are evaluated in order.
		var beside []rule
		for j, o := range all {
			if o.Record != "" && strings.Contains(r.Expr, "dtask:") || o.Alert == r.Alert && i != j {
				beside = append(beside, o)
			}
		}
		require.True(t, casesHold(t, promtool, dir, append(beside, r)), "%s without a fault", r.Alert)
		for _, m := range mutantsOf(t, r) {
			count++
			require.False(t, casesHold(t, promtool, dir, append(beside, m.rule)), "no case notices that %s %s", r.Alert, m.fault)
		}
	}
	t.Logf("%d mutants, each noticed", count)
}

// casesOf writes the cases of one alert into a folder.
func casesOf(t *testing.T, alert, dir string) {
	var file map[string]any
	load(t, casesFile, &file)
	var own []any
	for _, group := range file["tests"].([]any) {
		first := group.(map[string]any)["alert_rule_test"].([]any)[0].(map[string]any)
		if first["alertname"] == alert {
			own = append(own, group)
		}
	}
	require.NotEmpty(t, own, alert)
	file["tests"] = own
	text, err := yaml.Marshal(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(casesFile)), text, 0o600))
}

// casesHold reports whether the cases in dir hold for these rules.
func casesHold(t *testing.T, promtool, dir string, rules []rule) bool {
	var list []any
	for _, r := range rules {
		entry := map[string]any{"expr": r.Expr}
		if r.Record != "" {
			entry["record"] = r.Record
		} else {
			entry["alert"], entry["labels"], entry["annotations"] = r.Alert, r.Labels, r.Annotations
		}
		if r.For != "" {
			entry["for"] = r.For
		}
		list = append(list, entry)
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "all", "rules": list}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(alertsFile)), text, 0o600))
	check := exec.CommandContext(t.Context(), promtool, "check", "rules", filepath.Base(alertsFile))
	check.Dir = dir
	out, err := check.CombinedOutput()
	require.NoError(t, err, "a mutant that is no rule proves nothing: %s", out)
	test := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Base(casesFile))
	test.Dir = dir
	return test.Run() == nil
}
