package deploy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source names where a panel's data comes from.
type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// target is a query of a panel.
type target struct {
	RefID      string  `json:"refId"`
	Expr       string  `json:"expr"`
	Legend     string  `json:"legendFormat"`
	Datasource *source `json:"datasource"`
}

// grid is a place on the dashboard, which is 24 columns wide.
type grid struct{ X, Y, W, H int }

func (g grid) overlaps(o grid) bool {
	return g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H
}

// panel is a panel, or a row above some.
type panel struct {
	ID          int      `json:"id"`
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Datasource  *source  `json:"datasource"`
	Grid        *grid    `json:"gridPos"`
	Targets     []target `json:"targets"`
	Panels      []panel  `json:"panels"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []struct {
					Color string   `json:"color"`
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

// variable is one of the choices at the top.
type variable struct {
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	Query      any     `json:"query"`
	Definition string  `json:"definition"`
	Datasource *source `json:"datasource"`
}

// annotation marks moments on all panels.
type annotation struct {
	BuiltIn    int     `json:"builtIn"`
	Datasource *source `json:"datasource"`
	Expr       string  `json:"expr"`
}

// dashboard is deploy/grafana/dtask.json, as far as the tests look at it.
type dashboard struct {
	ID            *int    `json:"id"`
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
}

func theDashboard(t *testing.T) *dashboard {
	t.Helper()
	d := &dashboard{}
	require.NoError(t, json.Unmarshal([]byte(read(t, dashboardFile)), d))
	require.NotEmpty(t, d.Panels)
	return d
}

// chosen is the data source that the reader has chosen at the top.
var chosen = source{Type: "prometheus", UID: "${datasource}"}

// leastSchema is the version of the dashboard's format from Grafana 11 on;
// later ones read it.
const leastSchema = 39

// TestDashboardCanBeImported anywhere: it has no number of its own, a name that
// stays, and takes its data from the source that is chosen.
func TestDashboardCanBeImported(t *testing.T) {
	d := theDashboard(t)
	require.Nil(t, d.ID, "a number belongs to one Grafana")
	require.Equal(t, "dtask-scheduler", d.UID)
	require.NotEmpty(t, d.Title)
	require.GreaterOrEqual(t, d.SchemaVersion, leastSchema)
	variables := map[string]variable{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v
	}
	require.Equal(t, "datasource", variables["datasource"].Type)
	require.Equal(t, "prometheus", variables["datasource"].Query)
	require.Equal(t, &chosen, variables["instance"].Datasource)
	for _, a := range d.Annotations.List {
		if a.BuiltIn == 0 {
			require.Equal(t, &chosen, a.Datasource)
			require.NotEmpty(t, a.Expr)
		}
	}
}

// panelTypes are those that the dashboard is made of, with how many queries
// each may have. All come with Grafana.
var panelTypes = map[string]int{"stat": 1, "timeseries": 8, "heatmap": 1, "bargauge": 1}

// units are the names that Grafana has for the units that we use.
var units = []string{"none", "short", "s", "bytes", "percentunit", "ops", "reqps"}

func TestPanelsAreWhole(t *testing.T) {
	ids, titles := map[int]bool{}, map[string]bool{}
	for _, p := range theDashboard(t).Panels {
		require.False(t, ids[p.ID], "%q has the number of another panel", p.Title)
		require.Positive(t, p.ID)
		ids[p.ID] = true
		require.False(t, titles[p.Title], "two panels are called %q", p.Title)
		require.NotEmpty(t, p.Title)
		titles[p.Title] = true
		if p.Type == "row" {
			require.Empty(t, p.Panels, "panels lie below their row, where they can be seen")
			continue
		}
		checkPanel(t, &p)
	}
}

func checkPanel(t *testing.T, p *panel) {
	most, known := panelTypes[p.Type]
	require.True(t, known, "%q is of the unknown type %q", p.Title, p.Type)
	require.Contains(t, units, p.FieldConfig.Defaults.Unit, p.Title)
	require.NotEmpty(t, p.Description, p.Title)
	require.Equal(t, &chosen, p.Datasource, p.Title)
	require.NotEmpty(t, p.Targets, p.Title)
	require.LessOrEqual(t, len(p.Targets), most, p.Title)
	refs := map[string]bool{}
	for _, q := range p.Targets {
		require.False(t, refs[q.RefID], "%q has two queries %s", p.Title, q.RefID)
		require.NotEmpty(t, q.RefID, p.Title)
		refs[q.RefID] = true
		require.Equal(t, &chosen, q.Datasource, p.Title)
		require.NotEmpty(t, q.Legend, p.Title)
		require.Contains(t, q.Expr, `instance=~"$instance"`, "%q shows schedulers that were not chosen", p.Title)
	}
	for i, s := range p.FieldConfig.Defaults.Thresholds.Steps {
		require.NotEmpty(t, s.Color, p.Title)
		require.Equal(t, i == 0, s.Value == nil, "%q: the first step, and no other, has no value", p.Title)
	}
}

// TestPanelsLieSideBySide: none over another, none outside, each below its row.
func TestPanelsLieSideBySide(t *testing.T) {
	const columns = 24
	panels := theDashboard(t).Panels
	require.Equal(t, "row", panels[0].Type)
	var rows []string
	row := 0
	for i, p := range panels {
		require.NotNil(t, p.Grid, p.Title)
		g := *p.Grid
		require.True(t, g.X >= 0 && g.Y >= 0 && g.W > 0 && g.H > 0 && g.X+g.W <= columns, "%q lies outside", p.Title)
		if p.Type == "row" {
			rows, row = append(rows, p.Title), g.Y
		}
		require.GreaterOrEqual(t, g.Y, row, "%q lies above its row", p.Title)
		for _, o := range panels[:i] {
			require.False(t, g.overlaps(*o.Grid), "%q lies over %q", p.Title, o.Title)
		}
	}
	require.Equal(t, []string{"Overview", "Latency", "Fleet", "Queue and leases", "Server"}, rows)
}

// query is a query of the dashboard with what Grafana would put into it.
type query struct {
	panel string
	expr  string
}

// queries returns all queries, those of annotations and variables among them.
// Rates are taken over rate.
func queries(t *testing.T, rate string) (all []query) {
	fill := strings.NewReplacer("$__rate_interval", rate, "$instance", ".*")
	d := theDashboard(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, query{p.Title, fill.Replace(q.Expr)})
		}
	}
	for _, a := range d.Annotations.List {
		if a.BuiltIn == 0 {
			all = append(all, query{"annotation", fill.Replace(a.Expr)})
		}
	}
	for _, v := range d.Templating.List {
		if metric, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			metric, _, _ = strings.Cut(metric, ",")
			all = append(all, query{"variable", metric})
		}
	}
	for _, q := range all {
		require.NotContains(t, q.expr, "$", "%q has a variable that the tests do not know", q.panel)
	}
	return all
}
