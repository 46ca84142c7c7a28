package deploy

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var live = flag.Bool("live", false, "run a scheduler, a fleet and a Prometheus that watches them (about a minute); make alerts does")

// liveLimit bounds the whole test, after the binaries are built.
const liveLimit = 90 * time.Second

// TestAlertsAndDashboardLive has a real Prometheus read a real scheduler under
// load: every query of the dashboard has an answer, workers that are killed are
// noticed, and so is that they are back; those that leave properly are not.
func TestAlertsAndDashboardLive(t *testing.T) {
	if !*live || testing.Short() {
		t.Skip("takes a minute; make alerts runs it")
	}
	path := need(t, "prometheus")
	bin := build(t.Context(), t, "scheduler", "worker", "loadtest")
	ctx, cancel := context.WithTimeout(t.Context(), liveLimit)
	defer cancel()

	s := startScheduler(ctx, t, bin)
	p := watch(ctx, t, path, s.http)
	p.until("the scheduler is read", func() bool { return p.holds(`up{job="dtask"} == 1`) })
	p.until("the alert that always fires does", func() bool { return p.alert(alwaysFires) != nil })
	p.queriesHaveAnswers(launch(ctx, t, "loadtest", filepath.Join(bin, "loadtest"), "--addr", s.native, "--http-addr", s.http,
		"--workers=60", "--slots=4", "--transport=mixed", "--profile=overload", "--task-time=300ms", "--duration=10s"))
	p.workersAreMissed(ctx, s, bin)

	s.stop()
	p.until("SchedulerDown fires", func() bool { return p.alert("SchedulerDown") != nil })
}

// scheduler is a scheduler in a process of its own.
type scheduler struct {
	*program
	http, native string // host:port
}

// startScheduler starts a scheduler on free ports that soon misses workers.
func startScheduler(ctx context.Context, t *testing.T, bin string) *scheduler {
	t.Helper()
	p := launch(ctx, t, "scheduler", filepath.Join(bin, "scheduler"), "--port=0",
		"--heartbeat=500ms", "--suspicious-threshold=3s", "--offline-threshold=5s")
	at := p.await(`HTTP on (\S+), native protocol on (\S+) `)
	return &scheduler{program: p, http: at[1], native: at[2]}
}

// mustShow reports whether a query has something to show under load. That there
// is an alert to mark on the panels is not certain.
func mustShow(q query) bool { return q.panel != "annotation" }

// selector is a metric in an expression, with the labels that it must have.
var selector = regexp.MustCompile(`\b(?:dtask_[a-z_]+|process_[a-z_]+|up)\b(?:\{[^}]*\})?`)

// inputs returns what the alerts look at, each by itself: one that finds nothing
// keeps its alert silent for ever.
func inputs(t *testing.T) (all []query) {
	for _, r := range alerts(t) {
		for _, expr := range selector.FindAllString(r.Expr, -1) {
			all = append(all, query{r.Alert, expr})
		}
	}
	return all
}

// queriesHaveAnswers runs every query of the dashboard, and what the alerts look
// at, until each has shown a number, which all must while the load lasts.
func (p *prometheus) queriesHaveAnswers(load *program) {
	p.t.Helper()
	open := append(queries(p.t, "10s"), inputs(p.t)...)
	all := len(open)
	p.until(fmt.Sprintf("%d queries were answered", all), func() bool {
		over := load.ended()
		open = slices.DeleteFunc(open, func(q query) bool { return p.hasNumber(q.expr) })
		return over || !slices.ContainsFunc(open, mustShow)
	})
	require.Empty(p.t, slices.DeleteFunc(open, func(q query) bool { return !mustShow(q) }), "these show nothing under load")
	p.until("the load is over", load.ended) // its judge has tests of its own
	p.until("its workers are gone", func() bool { return p.holds(`sum(dtask_workers) == 0`) })
}

// Of the fleet whose workers are killed.
const (
	fleetSize = 12
	killed    = 4
)

// judged is how long alerts take at most here: a scrape, an evaluation, and the
// second that they wait.
const judged = 4 * time.Second

// workersAreMissed kills a third of a fleet, sees the alert, starts them again,
// and sees it end.
func (p *prometheus) workersAreMissed(ctx context.Context, s *scheduler, bin string) {
	p.t.Helper()
	start := func(n int) *program {
		return launch(ctx, p.t, fmt.Sprintf("worker-%03d", n), filepath.Join(bin, "worker"), fmt.Sprintf("--id=worker-%03d", n),
			"--addr=localhost:9001", "--tags=cpu", "--max-tasks=4", "--gpus=0", "--scheduler=dtask://"+s.native)
	}
	var fleet []*program
	for n := range fleetSize {
		fleet = append(fleet, start(n))
	}
	whole := fmt.Sprintf(`sum(dtask_workers{status="online"}) == %d`, fleetSize)
	p.until("the fleet is online", func() bool { return p.holds(whole) })
	require.Nil(p.t, p.alert("WorkersLost"), "nobody is lost yet")

	for _, w := range fleet[:killed] {
		w.kill()
	}
	var alert *firing
	p.until("WorkersLost fires for a third", func() bool {
		alert = p.alert("WorkersLost")
		return alert != nil && strings.HasPrefix(alert.Annotations["summary"], "33.33%")
	})
	require.Equal(p.t, map[string]string{"alertname": "WorkersLost", "severity": "page", "priority": "P1", "job": "dtask",
		"instance": s.http}, alert.Labels)
	require.Equal(p.t, runbookURL+"workerslost", alert.Annotations["runbook_url"])

	for n := range killed {
		fleet[n] = start(n)
	}
	p.until("WorkersLost is over", func() bool { return p.alert("WorkersLost") == nil })
	p.until("the whole fleet is back", func() bool { return p.holds(whole) })

	for _, w := range fleet {
		w.stop()
	}
	p.until("all have said good-bye", func() bool { return p.holds(`sum(dtask_workers) == 0`) })
	gone := time.Now()
	p.until("that has been judged", func() bool { return time.Since(gone) > judged })
	require.Nil(p.t, p.alert("WorkersLost"), "who says good-bye is not lost")
}
