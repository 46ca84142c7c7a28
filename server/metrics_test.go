package server

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// metricRow is a row of the tables of docs/metrics.md.
var metricRow = regexp.MustCompile("(?m)^\\| `(dtask_[a-z_]+)` \\| ([a-z]+) \\|([^|]*)\\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")

// label is a name in backticks.
var label = regexp.MustCompile("`([a-z_]+)`")

func TestTheDocumentHasEveryMetricAndNoOther(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	var documented, defined []string
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		var labels []string
		for _, l := range label.FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, l[1])
		}
		documented = append(documented, row[1]+" "+row[2]+" "+strings.Join(labels, ","))
	}
	for _, m := range metrics {
		defined = append(defined, m.name+" "+m.kind+" "+strings.Join(m.labels, ","))
	}
	require.Equal(t, defined, documented, "in this order")
}

func TestMetricsKeepTheConventions(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range metrics {
		require.True(t, strings.HasPrefix(m.name, "dtask_"), m.name)
		require.Equal(t, m.kind == "counter", strings.HasSuffix(m.name, "_total"), m.name)
		require.Contains(t, []string{"counter", "gauge", "histogram"}, m.kind, m.name)
		require.NotRegexp(t, "_(ms|millis|kib|mib|percent)(_|$)", m.name)
		require.False(t, seen[m.name], m.name)
		seen[m.name] = true
		for _, l := range m.labels {
			require.NotContains(t, []string{"task", "worker", "client", "owner", "lease", "id"}, l, m.name)
		}
	}
}

// gather reads the metrics of a server as the registry checks them: the
// collector keeps to what it has announced.
func (f *fixture) gather() map[string]*dto.MetricFamily {
	f.t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(f.t, r.Register(collector{f.Server}))
	all, err := r.Gather()
	require.NoError(f.t, err)
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	require.NoError(f.t, err)
	require.Empty(f.t, problems)
	families := map[string]*dto.MetricFamily{}
	for _, family := range all {
		families[family.GetName()] = family
	}
	return families
}

// value returns one value of a metric; labels are name=value pairs.
func value(t *testing.T, all map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	require.Contains(t, all, name)
	for _, m := range all[name].Metric {
		have := map[string]bool{}
		for _, l := range m.Label {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		fits := true
		for _, l := range labels {
			fits = fits && have[l]
		}
		switch {
		case !fits:
		case m.Counter != nil:
			return m.Counter.GetValue()
		case m.Gauge != nil:
			return m.Gauge.GetValue()
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		}
	}
	return 0
}

func TestEveryMetricIsServed(t *testing.T) {
	f := storied(t)
	f.post("/api/v1/schedule", `{"task_id":"t"}`)
	all := f.gather()
	for _, m := range metrics {
		require.Contains(t, all, m.name)
	}
	require.Len(t, all, len(metrics))
	text := f.call("GET", "/metrics", "")
	require.Equal(t, 200, text.status)
	require.Contains(t, text.header.Get("Content-Type"), "text/plain")
	for _, name := range []string{"dtask_requests_total{", "go_goroutines", "process_resident_memory_bytes"} {
		require.Contains(t, text.body, name)
	}
}

func TestMetricsCanBeTurnedOff(t *testing.T) {
	f := start(t, func(c *Config) { c.Metrics, c.SlowDecision = false, 0 })
	c := f.dial("c1")
	c.ask(1, task("t1"))
	require.Equal(t, 404, f.call("GET", "/metrics", "").status)
	require.Zero(t, f.native().requests[requestOf(wire.KindSchedule, wire.CodeInfeasible)])
}
