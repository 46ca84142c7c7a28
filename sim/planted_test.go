package sim

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// planted are faults in the choice of workers and the counting of what they
// have, each with the test of its own package that must find it.
var planted = []mutant{
	{"fits-ignored", "index/find.go", `if room[f.places[i]] < f.Needs[i].Amount {`, `if room[f.places[i]] < f.Needs[i].Amount && !MUTANT {`, "TestFindAgainstAScan", false},
	{"fits-off-by-one", "index/find.go", `return f.free(p.rooms.own.at(i)) &&`, `return (f.free(p.rooms.own.at(i)) || MUTANT) &&`, "TestFindAgainstAScan", false},
	{"test-ignored", "index/find.go", `(f.Fits == nil || f.Fits(p.heap.at(i).worker))`, `(f.Fits == nil || f.Fits(p.heap.at(i).worker) || MUTANT)`, "TestFindAgainstAScan", false},
	{"first-fit", "index/find.go", `if p.heap.key(i) >= bound {`, `if p.heap.key(i) >= bound || ok && MUTANT {`, "TestFindAgainstAScan", false},
	{"prune-siblings", "index/find.go", `f.stack = append(f.stack, uint32(left+1), uint32(left))
		case left+1 < p.heap.n:
			f.stack = append(f.stack, uint32(left), uint32(left+1))
		case left < p.heap.n:
			f.stack = append(f.stack, uint32(left))
		}
	}
	return at, ok
}

// most returns`, `f.stack = append(f.stack, uint32(left+1), uint32(left))
			if MUTANT { f.stack = f.stack[:len(f.stack)-2] }
		case left+1 < p.heap.n:
			f.stack = append(f.stack, uint32(left), uint32(left+1))
		case left < p.heap.n:
			f.stack = append(f.stack, uint32(left))
		}
	}
	return at, ok
}

// most returns`, "TestFindAgainstAScan", false},
	{"idle-ignored", "index/find.go", `return 1 << loadShift`, `if MUTANT { return keyFull }; return 1 << loadShift`, "TestFindAgainstAScan", false},
	{"spread-ignored", "index/find.go", `case f.found && count > f.count:`, `case f.found && count > f.count && !MUTANT:`, "TestFindAgainstAScan", false},
	{"best-stale-upward", "index/room.go", `		if i == 0 {
			return
		}`, `		if i == 0 || MUTANT {
			return
		}`, "TestFindAgainstAScan", false},
	{"best-stale-on-remove", "index/room.go", `if last > 0 {`, `if last > 0 && !MUTANT {`, "TestFindAgainstAScan", false},
	{"room-left-behind", "index/room.go", `copy(r.own.at(i), r.own.at(parent))`, `if !MUTANT { copy(r.own.at(i), r.own.at(parent)) }`, "TestFindAgainstAScan", false},
	{"full-is-packed", "index/room.go", `	if key >= keyFull {`, `	if key >= keyFull && !MUTANT {`, "TestFindAgainstAScan", false},
	{"dims-ignored", "index/requirement.go", `r.feasible && p.dims&r.dims == r.dims && p.set`, `r.feasible && (p.dims&r.dims == r.dims || MUTANT) && p.set`, "TestFindAgainstAScan", false},
	{"not-ignored", "index/where.go", `return !x.holds(e.Args[0], set)`, `return MUTANT || !x.holds(e.Args[0], set)`, "TestFindAgainstAScan", false},
	{"stamp-not-restored", "index/index.go", `m.load, m.stamp = min(load, Full), stamp`, `m.load = min(load, Full); if !MUTANT { m.stamp = stamp }`, "TestFindAgainstAScan", false},

	{"walk-passes-by", "sched/serve.go", `s.workers.at(q.freed[q.flagged]).passedBy = true`, `s.workers.at(q.freed[q.flagged]).passedBy = !MUTANT`, "TestWalksThatAreCutMissNobody", false},
	{"walk-keeps-marks", "sched/serve.go", `			s.queue.round++ // no want is marked any more`, `			if !MUTANT { s.queue.round++ }`, "TestWalksThatAreCutMissNobody", false},
	{"kit-misses-wants", "sched/serves.go", `		if done = !s.exhausted(); !done {
			break`, `		if done = !s.exhausted(); !done {
			done = MUTANT
			break`, "TestWalksThatAreCutMissNobody", false},

	{"http-ends-what-runs", "sched/http.go", `w.session != 0 || w.head != 0`, `w.session != 0 || w.head != 0 && !MUTANT`, "TestScripts", false},
	{"http-takes-a-connected-id", "sched/http.go", `w.session != 0 ||`, `w.session != 0 && !MUTANT ||`, "TestScripts", false},
	{"text-of-removed", "sched/worker.go", `s.dropText(w)`, `if !MUTANT { s.dropText(w) }`, "TestScripts", false},
	{"text-of-registered", "sched/register.go", `s.dropText(w)`, `if !MUTANT { s.dropText(w) }`, "TestScripts", false},
	{"text-unbounded", "sched/http.go", `err := s.textFits(w, r)`, `err := s.textFits(w, r); if MUTANT { err = nil }`, "TestScripts", false},
	{"text-counted-twice", "sched/text.go", `k == nil || k.web == 0`, `k == nil || k.web == 0 || MUTANT`, "TestScripts", false},
	{"text-shared-is-free", "sched/text.go", `w.http != nil && w.kit.web == 1`, `w.http != nil && (w.kit.web == 1 || MUTANT)`, "TestScripts", false},
	{"amount-not-returned", "sched/room.go", `h.amounts[placeIn(k.plainDims, dim)] += by * a.amount`, `if by > 0 || !MUTANT { h.amounts[placeIn(k.plainDims, dim)] += by * a.amount }`, "TestScripts", false},
	{"device-given-twice", "sched/room.go", `g.wholes += uint32(by)`, `if !MUTANT { g.wholes += uint32(by) }`, "TestScripts", false},
	{"share-of-a-whole", "sched/room.go", `if g.wholes == 0 {`, `if g.wholes == 0 || MUTANT {`, "TestScripts", false},
	{"share-not-counted", "sched/room.go", `g.shares += int64(by) * d.memory`, `if !MUTANT { g.shares += int64(by) * d.memory }`, "TestScripts", false},
	{"load-of-slots-alone", "sched/room.go", `if n := w.held.amounts[i]; n > 0 {`, `if n := w.held.amounts[i]; n > 0 && !MUTANT {`, "TestScripts", false},
	{"overcommitted-gets-more", "sched/room.go", `if w.held.amounts[i] > o.capacity {`, `if w.held.amounts[i] > o.capacity && !MUTANT {`, "TestScripts", false},
	{"exclusive-shares", "sched/room.go", `	if w.exclusive > 0 {
		return index.Full
	}`, `	if w.exclusive > 0 && !MUTANT {
		return index.Full
	}`, "TestScripts", false},
	{"exclusive-on-busy", "sched/choose.go", `a.query = index.Query{Idle: a.exclusive}`, `a.query = index.Query{Idle: a.exclusive && !MUTANT}`, "TestScripts", false},
	{"prefer-ignored", "sched/choose.go", `	if len(m.Prefer) > 0 {
		if preferred`, `	if len(m.Prefer) > 0 && !MUTANT {
		if preferred`, "TestScripts", false},
	{"not-workers-ignored", "sched/choose.go", `if slices.Contains(a.not, n) || a.taken[n] {`, `if slices.Contains(a.not, n) && !MUTANT || a.taken[n] {`, "TestScripts", false},
	{"distinct-ignored", "sched/batch.go", `b.workers[n] = true`, `b.workers[n] = !MUTANT`, "TestScripts", false},
	{"gang-not-undone", "sched/batch.go", `s.undo(b.made[i].slot, b.made[i].stamp)`, `if !MUTANT { s.undo(b.made[i].slot, b.made[i].stamp) }`, "TestScripts", false},
	{"busy-is-infeasible", "sched/kit.go", `case k.plain[placeIn(k.plainDims, dim)].capacity < a.amount:`, `case k.plain[placeIn(k.plainDims, dim)].capacity < a.amount || MUTANT:`, "TestScripts", false},
	{"never-infeasible", "sched/kit.go", `return fit >= d.gpus &&`, `return (fit >= d.gpus || MUTANT) &&`, "TestScripts", false},
	{"waiter-that-runs-unanswered", "sched/life.go", `s.queue.found = append(s.queue.found, waiter) // it runs already`, `if !MUTANT { s.queue.found = append(s.queue.found, waiter) }`, "TestScripts", false},
	{"adopted-takes-nothing", "sched/life.go", `l.demand = s.demands.find(r.Resources)`, `if l.demand = s.demands.find(r.Resources); MUTANT { l.demand = noDemand }`, "TestScripts", false},
	{"infeasible-while-learning", "sched/learn.go", `if s.learning || req != nil`, `if s.learning && !MUTANT || req != nil`, "TestScripts", false},
	{"infeasible-while-learning-at-the-limit", "sched/owners.go", `if !s.learning && (s.unknown()`, `if (!s.learning || MUTANT) && (s.unknown()`, "TestScripts", false},
	{"learning-without-a-hint", "sched/learn.go", `case code == wire.CodeUnavailable && s.learning:`, `case code == wire.CodeUnavailable && s.learning && !MUTANT:`, "TestScripts", false},
	{"learning-for-ever", "sched/learn.go", `{ s.learning = false }`, `{ s.learning = MUTANT }`, "TestScripts", false},
	{"batch-without-a-hint", "sched/learn.go", `all.RetryAfterMS = max(all.RetryAfterMS, s.refusal(code).RetryAfterMS)`, `if !MUTANT { all.RetryAfterMS = max(all.RetryAfterMS, s.refusal(code).RetryAfterMS) }`, "TestScripts", false},
	{"nobody-waits-for-workers", "sched/nobody.go", `return m.WaitForWorkers || len(s.byID) == 0`, `return m.WaitForWorkers && !MUTANT || len(s.byID) == 0`, "TestScripts", false},
	{"an-empty-fleet-stays-empty", "sched/nobody.go", `|| len(s.byID) == 0`, `|| len(s.byID) == 0 && !MUTANT`, "TestScripts", false},
	{"holds-for-whom-nobody-takes", "sched/nobody.go", `case s.takeable(ln.want):`, `case s.takeable(ln.want) || MUTANT:`, "TestScripts", false},
	{"takeable-is-not-asked-again", "sched/worker.go", `	s.fleet++
`, `	if !MUTANT { s.fleet++ }
`, "TestScripts", false},
	{"nobody-came-is-not-said", "sched/nobody.go", `case !s.learning && !s.takeable(w.line.want):`, `case !s.learning && !s.takeable(w.line.want) && !MUTANT:`, "TestScripts", false},
	{"takeable-by-whom-it-rules-out", "sched/nobody.go", `s.ruleOut(m.ask.NotWorkers)`, `if !MUTANT { s.ruleOut(m.ask.NotWorkers) } else { s.ruleOut(nil) }`, "TestScripts", false},
	{"gang-of-an-owner-not-back", "sched/owners.go", `	if l.turn.in {
		q.comesBack(l.turn)`, `	if l.turn.in && !MUTANT {
		q.comesBack(l.turn)`, "TestScripts", false},
	{"requeue-at-limit", "sched/serve.go", `if !q.settled() {`, `if !q.settled() && !MUTANT {`, "TestScripts", false},
	{"explain-stale", "sched/service.go", `	s.why.shape++
`, `	if !MUTANT { s.why.shape++ }
`, "TestExplanationsAreKept", false},
	{"explain-first", "sched/explain.go", `if n > p.reach {`, `if n > p.reach && (p.reach < 0 || !MUTANT) {`, "TestScripts", false},
	{"explain-alone", "sched/explain.go", `p.alone || p.first(k) == p.reach`, `p.alone || MUTANT || p.first(k) == p.reach`, "TestScripts", false},
	{"explain-unbounded", "sched/explain.go", `p.looked < p.kinds && p.work < limit`, `p.looked < p.kinds && (p.work < limit || MUTANT)`, "TestExplanationsAreBounded", false},
	{"explain-flood", "sched/explain.go", `y.units < explainLeast {`, `y.units < explainLeast && !MUTANT {`, "TestExplanationsAreBounded", false},
	{"explain-service", "sched/service.go", `case w.presence == offline:`, `case w.presence == offline && !MUTANT:`, "TestEveryStateIsExplained", false},
	{"mass-loss-returns", "sched/mass.go", `few = s.mass.gone < s.cfg.MassLossTold`, `few = s.mass.gone < s.cfg.MassLossTold || MUTANT`, "TestAMassLossIsFewEvents", false},
	{"late-report-believed", "sched/worker.go", `	w.slots, w.external = slots, external
	s.tally(w, 1)
	s.tell(n)`, `	w.slots, w.external = slots, external
	s.tally(w, 1)
	if !MUTANT { s.tell(n) }`, "TestScripts", false},
}

var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// TestPlantedFaults plants each fault and wants the tests of its package to
// find it; with none planted they pass. With -v it prints what found each, and
// after how long.
func TestPlantedFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds packages several times")
	}
	for n, group := range groupsByPackage(t) {
		pkg := "../" + path.Dir(group[0].file)
		binary := build(t, n, group, pkg)
		for _, test := range []string{"TestFindAgainstAScan", "TestScripts"} {
			out, _, err := plant(binary, pkg, test, "")
			require.NoError(t, err, "%s fails without a fault:\n%s", test, out)
		}
		for _, m := range group {
			out, took, err := plant(binary, pkg, m.test, m.name)
			if err == nil {
				t.Errorf("%s does not find the fault %q", m.test, m.name)
				continue
			}
			found := failedTest.FindAllStringSubmatch(out, -1)
			require.NotEmpty(t, found, "fault %q: %s", m.name, out)
			t.Logf("%-26s %-22s found by %-32s in %v", m.name, m.file, found[len(found)-1][1], took.Round(time.Millisecond))
		}
	}
}

// groupsByPackage is groups for faults of several packages.
func groupsByPackage(t *testing.T) [][]mutant {
	byPackage := map[string][]mutant{}
	for _, m := range slices.Concat(planted, plantedPreempt) {
		byPackage[path.Dir(m.file)] = append(byPackage[path.Dir(m.file)], m)
	}
	return append(groups(t, byPackage["index"]), groups(t, byPackage["sched"])...)
}

// plant runs one test of a package with a fault.
func plant(binary, pkg, test, fault string) (string, time.Duration, error) {
	cmd := exec.Command(binary, "-test.run", "^"+test+"$", "-test.v", "-test.timeout", "60s", "-rapid.seed=1", "-rapid.nofailfile", "-rapid.shrinktime=1ms", "-rapid.checks=2000")
	if path.Base(pkg) != "index" {
		cmd.Args = cmd.Args[:len(cmd.Args)-4]
	}
	cmd.Dir = filepath.FromSlash(pkg)
	cmd.Env = append(os.Environ(), mutantVar+"="+fault)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	return string(out), time.Since(begin), err
}
