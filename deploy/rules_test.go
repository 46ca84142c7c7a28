// Package deploy holds no code: its tests check what operators are given beside
// the binaries, that is the alert rules, their runbooks and the dashboard.
package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Where the files lie, from this folder.
const (
	alertsFile    = "prometheus/alerts.yml"
	casesFile     = "prometheus/alerts_test.yml"
	configFile    = "prometheus/prometheus.yml"
	dashboardFile = "grafana/dtask.json"
	runbooksFile  = "../docs/runbooks.md"
	metricsFile   = "../docs/metrics.md"
)

// runbookURL is what the links of alerts begin with.
const runbookURL = "https://github.com/dtask/dtask-scheduler/blob/main/docs/runbooks.md#"

// rule is an alert or a recording rule.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// load reads a file of YAML and refuses keys that are not known.
func load(t *testing.T, file string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, file)))
	d.KnownFields(true)
	require.NoError(t, d.Decode(into), file)
}

// group is rules that are evaluated one after the other.
type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

func groups(t *testing.T) []group {
	var file struct {
		Groups []group `yaml:"groups"`
	}
	load(t, alertsFile, &file)
	require.NotEmpty(t, file.Groups)
	return file.Groups
}

// rules returns all rules, those that record among them.
func rules(t *testing.T) (all []rule) {
	for _, g := range groups(t) {
		all = append(all, g.Rules...)
	}
	return all
}

// alerts returns the rules that alert. An alert may have two of them, of
// different severity.
func alerts(t *testing.T) (all []rule) {
	for _, r := range rules(t) {
		if r.Alert != "" {
			all = append(all, r)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func TestAlertsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		severity := r.Labels["severity"]
		require.Contains(t, []string{"page", "ticket", "info"}, severity, r.Alert)
		require.False(t, seen[r.Alert+severity], "%s of this severity is there twice", r.Alert)
		seen[r.Alert+severity] = true
		if p, ok := r.Labels["priority"]; ok {
			require.Contains(t, []string{"P1", "P2", "P3"}, p, r.Alert)
			require.Equal(t, p == "P1", severity == "page", "P1 wakes somebody, and nothing below it does: %s", r.Alert)
		}
		for key := range r.Labels {
			require.Contains(t, []string{"severity", "priority"}, key, r.Alert)
		}
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		require.Equal(t, runbookURL+strings.ToLower(r.Alert), r.Annotations["runbook_url"])
	}
}

// section is a runbook.
type section struct {
	terms string // the first line: severity, priority, for
	text  string
}

// runbooks returns the sections of docs/runbooks.md that have the name of an
// alert, or should have.
func runbooks(t *testing.T) map[string]section {
	all := map[string]section{}
	for _, part := range strings.Split(read(t, runbooksFile), "\n### ")[1:] {
		part, _, _ = strings.Cut(part, "\n## ")
		name, text, _ := strings.Cut(part, "\n\n")
		terms, text, _ := strings.Cut(text, "\n\n")
		require.NotContains(t, all, name)
		all[name] = section{terms: terms, text: text}
	}
	require.NotEmpty(t, all)
	return all
}

// terms returns what the first line of an alert's runbook must be.
func terms(of []rule) string {
	var severities []string
	for _, r := range of {
		severities = append(severities, r.Labels["severity"])
	}
	line := strings.Join(severities, " or ")
	if p := of[0].Labels["priority"]; p != "" {
		line += ", " + p
	}
	wait := of[0].For
	if wait == "" {
		wait = "0s"
	}
	return line + ", after " + wait
}

// TestEveryAlertHasARunbook, every runbook an alert, and both say the same.
func TestEveryAlertHasARunbook(t *testing.T) {
	byName := map[string][]rule{}
	for _, r := range alerts(t) {
		byName[r.Alert] = append(byName[r.Alert], r)
	}
	books := runbooks(t)
	for name, of := range byName {
		require.Contains(t, books, name, "docs/runbooks.md has no section of this alert")
		require.Equal(t, terms(of), books[name].terms, name)
	}
	for name := range books {
		require.Contains(t, byName, name, "docs/runbooks.md has a section of no alert")
	}
}

// TestRunbooksAnswerTheSameQuestions, in the same order, and show at least one
// command to look with.
func TestRunbooksAnswerTheSameQuestions(t *testing.T) {
	parts := regexp.MustCompile(`(?m)^\*\*([A-Z][a-z ]+)\.\*\*\s`)
	for name, book := range runbooks(t) {
		var found []string
		for _, m := range parts.FindAllStringSubmatch(book.text, -1) {
			found = append(found, m[1])
		}
		require.Equal(t, []string{"Means", "Users see", "Look", "Do", "Clears"}, found, name)
		require.Contains(t, book.text, "```sh\n", name)
	}
}

// cases is alerts_test.yml.
type cases struct {
	RuleFiles []string `yaml:"rule_files"`
	Interval  string   `yaml:"evaluation_interval"`
	Order     []string `yaml:"group_eval_order"`
	Tests     []struct {
		Name     string              `yaml:"name"`
		Interval string              `yaml:"interval"`
		Series   []map[string]string `yaml:"input_series"`
		Cases    []struct {
			Alert string `yaml:"alertname"`
			At    string `yaml:"eval_time"`
			Want  []struct {
				Labels      map[string]string `yaml:"exp_labels"`
				Annotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// TestEveryAlertHasItsCases: one in which it fires, for each of its severities,
// and one in which it stays silent.
func TestEveryAlertHasItsCases(t *testing.T) {
	var file cases
	load(t, casesFile, &file)
	require.Equal(t, []string{"alerts.yml"}, file.RuleFiles)
	var order []string
	for _, g := range groups(t) {
		order = append(order, g.Name)
	}
	require.Equal(t, order, file.Order, "promtool evaluates groups that it is not told the order of in any")
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, g := range file.Tests {
		quiet := true
		for _, c := range g.Cases {
			require.True(t, strings.HasPrefix(g.Name, c.Alert+" "), "%q is about %s", g.Name, c.Alert)
			quiet = quiet && len(c.Want) == 0
			for _, w := range c.Want {
				fires[c.Alert+" "+w.Labels["severity"]] = true
			}
		}
		silent[g.Cases[0].Alert] = silent[g.Cases[0].Alert] || quiet
	}
	for _, r := range alerts(t) {
		require.True(t, fires[r.Alert+" "+r.Labels["severity"]], "no case has %s fire as a %s", r.Alert, r.Labels["severity"])
		if r.Alert != alwaysFires {
			require.True(t, silent[r.Alert], "no case has %s stay silent", r.Alert)
		}
	}
}

// alwaysFires is the alert that tells that alerts are alive.
const alwaysFires = "DeadMansSwitch"

// TestOldPromisesAreKept: the alerts that operators of the older scheduler
// count on, with their priorities.
func TestOldPromisesAreKept(t *testing.T) {
	priorities := map[string]string{}
	for _, r := range alerts(t) {
		if p := r.Labels["priority"]; p != "" {
			priorities[r.Alert] = p
		}
	}
	require.Equal(t, map[string]string{"FailureRate": "P1", "WorkersLost": "P1", "LatencyHigh": "P3"}, priorities)
}

// TestAlertsThatAreMentionedExist: a renamed alert leaves no dead word behind on
// the dashboard, and no dead link among the runbooks.
func TestAlertsThatAreMentionedExist(t *testing.T) {
	var names, anchors []string
	for _, r := range alerts(t) {
		names, anchors = append(names, r.Alert), append(anchors, strings.ToLower(r.Alert))
	}
	mentions := regexp.MustCompile(`Alerts?: ((?:[A-Z][A-Za-z]+(?:, )?)+)`).FindAllStringSubmatch(read(t, dashboardFile), -1)
	require.NotEmpty(t, mentions)
	for _, m := range mentions {
		for name := range strings.SplitSeq(strings.TrimSuffix(m[1], ", "), ", ") {
			require.True(t, slices.Contains(names, name), "the dashboard speaks of the alert %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(read(t, runbooksFile), -1) {
		require.True(t, slices.Contains(anchors, m[1]), "docs/runbooks.md links to its section %s", m[1])
	}
}
