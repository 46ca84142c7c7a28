package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// quoted are the texts within an expression, and grouping the labels of by,
// without, on and ignoring: neither names a metric.
var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\([^)]*\)`)
	named    = regexp.MustCompile(`\b(?:dtask[_:]|process_|go_)[a-zA-Z0-9_:]+\b`)
)

// metricsIn returns the names of metrics in an expression.
func metricsIn(expr string) []string {
	expr = grouping.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), "")
	return named.FindAllString(expr, -1)
}

// documented returns the metrics that docs/metrics.md has a row for.
func documented(t *testing.T) map[string]bool {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(dtask_[a-z0-9_]+)` \\|").FindAllStringSubmatch(read(t, metricsFile), -1) {
		all[m[1]] = true
	}
	require.NotEmpty(t, all)
	return all
}

// base returns the documented metric of a name: a histogram has three.
func base(name string, in map[string]bool) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if bare, ok := strings.CutSuffix(name, suffix); ok && !in[name] && in[bare] {
			return bare
		}
	}
	return name
}

// ofTheLibrary reports whether a metric comes with the client library.
// docs/metrics.md does not list them; that they are there is seen live.
func ofTheLibrary(name string) bool {
	return strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "go_")
}

// TestMetricsOfRulesAndPanelsAreDocumented: an alert that asks for a metric that
// is not there stays silent for ever.
func TestMetricsOfRulesAndPanelsAreDocumented(t *testing.T) {
	docs, recorded := documented(t), map[string]bool{}
	for _, r := range rules(t) {
		recorded[r.Record] = true
	}
	check := func(where, expr string) {
		for _, name := range metricsIn(expr) {
			require.True(t, recorded[name] || docs[base(name, docs)] || ofTheLibrary(name), "%s asks for %s, which docs/metrics.md does not have", where, name)
		}
	}
	for _, r := range rules(t) {
		check(r.Alert+r.Record, r.Expr)
	}
	for _, q := range queries(t, "5m") {
		check(q.panel, q.expr)
	}
}

// TestEveryMetricIsUsed by an alert, a panel or a runbook: what nobody looks at
// need not be measured.
func TestEveryMetricIsUsed(t *testing.T) {
	docs, used := documented(t), map[string]bool{}
	use := func(text string) {
		for _, name := range named.FindAllString(text, -1) {
			used[base(name, docs)] = true
		}
	}
	for _, r := range rules(t) {
		use(r.Expr)
	}
	for _, q := range queries(t, "5m") {
		use(q.expr)
	}
	for _, book := range runbooks(t) {
		use(book.text)
	}
	for name := range docs {
		require.True(t, used[name], "no alert, panel or runbook uses %s", name)
	}
}

// TestEveryRecordedRuleIsUsed by an alert or a panel.
func TestEveryRecordedRuleIsUsed(t *testing.T) {
	var all strings.Builder
	for _, r := range alerts(t) {
		all.WriteString(r.Expr + "\n")
	}
	for _, q := range queries(t, "5m") {
		all.WriteString(q.expr + "\n")
	}
	for _, r := range rules(t) {
		if r.Record != "" {
			require.Regexp(t, regexp.QuoteMeta(r.Record)+`\b`, all.String())
		}
	}
}

// ofPrometheus are labels whose values are not the scheduler's.
var ofPrometheus = []string{"job", "instance", "le", "quantile", "alertname", "alertstate", "severity"}

// TestValuesOfLabelsAreDocumented: an alert that asks for a code or a state that
// is not there stays silent for ever, too.
func TestValuesOfLabelsAreDocumented(t *testing.T) {
	docs := read(t, metricsFile) + read(t, "../docs/errors.md") + read(t, "../docs/api.md") + read(t, "../docs/protocol-operators.md")
	matcher := regexp.MustCompile(`([a-z_]+)(?:=|!=|=~|!~)"([^"]+)"`)
	check := func(where, expr string) {
		for _, m := range matcher.FindAllStringSubmatch(expr, -1) {
			if slices.Contains(ofPrometheus, m[1]) {
				continue
			}
			for value := range strings.SplitSeq(m[2], "|") {
				require.True(t, strings.Contains(docs, "`"+value+"`"), "%s asks for %s of %s", where, m[1], value)
			}
		}
	}
	for _, r := range rules(t) {
		check(r.Alert+r.Record, r.Expr)
	}
	for _, q := range queries(t, "5m") {
		check(q.panel, q.expr)
	}
}

func TestMetricsInFindsNamesAlone(t *testing.T) {
	require.Equal(t, []string{"dtask_a_total", "dtask:b:ratio", "process_c"},
		metricsIn(`sum by (go_version) (rate(dtask_a_total{go="dtask_no"}[5m])) / on (dtask_label) dtask:b:ratio + process_c`))
}
