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

	"github.com/dtask/dtask-scheduler/internal/mutant"
)

// planted are faults in the choice of workers and the counting of what they
// have, each with the test of its own package that must find it.
var planted = []rule{
	{"fits-ignored", "index.finder.free", `if room[f.places[i]] < f.Needs[i].Amount {`, `if room[f.places[i]] < f.Needs[i].Amount && !MUTANT {`, "index.TestFindAgainstAScan", false},
	{"fits-off-by-one", "index.finder.fits", `return f.free(p.rooms.own.at(i)) &&`, `return (f.free(p.rooms.own.at(i)) || MUTANT) &&`, "index.TestFindAgainstAScan", false},
	{"test-ignored", "index.finder.fits", `(f.Fits == nil || f.Fits(p.heap.at(i).worker))`, `(f.Fits == nil || f.Fits(p.heap.at(i).worker) || MUTANT)`, "index.TestFindAgainstAScan", false},
	{"first-fit", "index.finder.least", `if p.heap.key(i) >= bound {`, `if p.heap.key(i) >= bound || ok && MUTANT {`, "index.TestFindAgainstAScan", false},
	{"prune-siblings", "index.finder.least", `f.stack = append(f.stack, uint32(left+1), uint32(left))`, `f.stack = append(f.stack, uint32(left+1), uint32(left))
			if MUTANT { f.stack = f.stack[:len(f.stack)-2] }`, "index.TestFindAgainstAScan", false},
	{"idle-ignored", "index.finder.worst", `return 1 << loadShift`, `if MUTANT { return keyFull }; return 1 << loadShift`, "index.TestFindAgainstAScan", false},
	{"spread-ignored", "index.finder.profile", `case f.found && count > f.count:`, `case f.found && count > f.count && !MUTANT:`, "index.TestFindAgainstAScan", false},
	{"best-stale-upward", "index.profile.mend", `		if i == 0 {
			return
		}`, `		if i == 0 || MUTANT {
			return
		}`, "index.TestFindAgainstAScan", false},
	{"best-stale-on-remove", "index.profile.remove", `if last > 0 {`, `if last > 0 && !MUTANT {`, "index.TestFindAgainstAScan", false},
	{"room-left-behind", "index.profile.shift", `copy(r.own.at(i), r.own.at(parent))`, `if !MUTANT { copy(r.own.at(i), r.own.at(parent)) }`, "index.TestFindAgainstAScan", false},
	{"full-is-packed", "index.mostKey", `	if key >= keyFull {`, `	if key >= keyFull && !MUTANT {`, "index.TestFindAgainstAScan", false},
	{"dims-ignored", "index.Index.satisfies", `r.feasible && p.dims&r.dims == r.dims && p.set`, `r.feasible && (p.dims&r.dims == r.dims || MUTANT) && p.set`, "index.TestFindAgainstAScan", false},
	{"not-ignored", "index.Index.holds", `terms[k]&c.never[k] != 0`, `terms[k]&c.never[k] != 0 && !MUTANT`, "index.TestFindAgainstAScan", false},
	{"not-ignored-within", "index.test.holds", `return !terms.has(t.term)`, `return MUTANT || !terms.has(t.term)`, "index.TestFindAgainstAScan", false},
	{"memo-stale", "index.memo.begin", `m.at == tags.changes`, `(m.at == tags.changes || MUTANT && len(m.stamps) >= len(tags.tags))`, "index.TestANumberOfATagIsUsedAgain", false},
	{"stamp-not-restored", "index.Index.Ungive", `m.load, m.stamp = min(load, Full), stamp`, `m.load = min(load, Full); if !MUTANT { m.stamp = stamp }`, "index.TestFindAgainstAScan", false},

	{"walk-passes-by", "sched.State.noteCut", `s.workers.At(q.freed[q.flagged]).passedBy = true`, `s.workers.At(q.freed[q.flagged]).passedBy = !MUTANT`, "sched.TestWalksThatAreCutMissNobody", false},
	{"walk-keeps-marks", "sched.State.handBand",
		`s.queue.round++`,
		`if !MUTANT { s.queue.round++ }`, "sched.TestWalksThatAreCutMissNobody", false},
	{"kit-misses-wants", "sched/waitlist.List.ClassesFor",
		`if done = !exhausted(); !done {
			break`,
		`if done = !exhausted(); !done {
			done = MUTANT
			break`, "sched.TestWalksThatAreCutMissNobody", false},

	{"http-ends-what-runs", "sched.State.report", `w.session != 0 || w.head != 0`, `w.session != 0 || w.head != 0 && !MUTANT`, "sched.TestScripts", false},
	{"http-takes-a-connected-id", "sched.State.report", `w.session != 0 ||`, `w.session != 0 && !MUTANT ||`, "sched.TestScripts", false},
	{"text-of-removed", "sched.State.removeNow", `s.dropText(w)`, `if !MUTANT { s.dropText(w) }`, "sched.TestScripts", false},
	{"text-of-registered", "sched.State.succeed", `s.dropText(w)`, `if !MUTANT { s.dropText(w) }`, "sched.TestScripts", false},
	{"text-unbounded", "sched.State.report", `err := s.textFits(w, r)`, `err := s.textFits(w, r); if MUTANT { err = nil }`, "sched.TestScripts", false},
	{"text-counted-twice", "sched.State.textFits", `k == nil || k.web == 0`, `k == nil || k.web == 0 || MUTANT`, "sched.TestScripts", false},
	{"text-shared-is-free", "sched.State.textFits", `w.http != nil && w.kit.web == 1`, `w.http != nil && (w.kit.web == 1 || MUTANT)`, "sched.TestScripts", false},
	{"amount-not-returned", "capacity.Used.Add", `u.Amounts[o.place(a.Dim)] += int64(by) * a.Amount`, `if by > 0 || !MUTANT { u.Amounts[o.place(a.Dim)] += int64(by) * a.Amount }`, "sched.TestScripts", false},
	{"device-given-twice", "capacity.Used.addDevices", `t.Wholes += uint32(by)`, `if !MUTANT { t.Wholes += uint32(by) }`, "sched.TestScripts", false},
	{"share-of-a-whole", "sched.worker.deviceRoom", `if g.Wholes == 0 {`, `if g.Wholes == 0 || MUTANT {`, "sched.TestScripts", false},
	{"share-not-counted", "capacity.Used.addDevices", `t.Shares += int64(by) * d.Memory`, `if !MUTANT { t.Shares += int64(by) * d.Memory }`, "sched.TestScripts", false},
	{"load-of-slots-alone", "sched.worker.load", `if n := w.held.Amounts[i]; n > 0 {`, `if n := w.held.Amounts[i]; n > 0 && !MUTANT {`, "sched.TestScripts", false},
	{"overcommitted-gets-more", "capacity.Used.Overbooked", `if u.Amounts[i] > o.Limits[i].Amount {`, `if u.Amounts[i] > o.Limits[i].Amount && !MUTANT {`, "sched.TestScripts", false},
	{"exclusive-shares", "sched.worker.load", `	if w.exclusive > 0 {
		return index.Full
	}`, `	if w.exclusive > 0 && !MUTANT {
		return index.Full
	}`, "sched.TestScripts", false},
	{"exclusive-on-busy", "sched.State.readMore", `r.query = index.Query{Idle: m.Exclusive}`, `r.query = index.Query{Idle: m.Exclusive && !MUTANT}`, "sched.TestScripts", false},
	{"prefer-ignored", "sched.State.findPreferred", `if r.preferred != nil {`, `if r.preferred != nil && !MUTANT {`, "sched.TestScripts", false},
	{"not-workers-ignored", "sched.State.excludes", `slices.Contains(r.not, n) ||`, `slices.Contains(r.not, n) && !MUTANT ||`, "sched.TestScripts", false},
	{"distinct-ignored", "sched.admission.add", `a.workers[n] = true`, `a.workers[n] = !MUTANT`, "sched.TestScripts", false},
	{"gang-not-undone", "sched.State.disband", `s.undo(a.made[i].slot, a.made[i].stamp)`, `if !MUTANT { s.undo(a.made[i].slot, a.made[i].stamp) }`, "sched.TestScripts", false},
	{"busy-is-infeasible", "capacity.CouldEver", `!o.byDevice(a) && o.Most(a) < a.Amount {`, `!o.byDevice(a) && (o.Most(a) < a.Amount || MUTANT) {`, "sched.TestScripts", false},
	{"never-infeasible", "capacity.CouldEver", `o.fitting(d.Memory) >= max(d.GPUs, 1)`, `(o.fitting(d.Memory) >= max(d.GPUs, 1) || MUTANT && o.fitting(d.Memory) > 0)`, "sched.TestScripts", false},
	{"waiter-that-runs-unanswered", "sched.State.adopt", `s.queue.found = append(s.queue.found, waiter)`, `if !MUTANT { s.queue.found = append(s.queue.found, waiter) }`, "sched.TestScripts", false},
	{"adopted-takes-nothing", "sched.State.adopt", `l.demand = s.demands.find(r.Resources)`, `if l.demand = s.demands.find(r.Resources); MUTANT { l.demand = noDemand }`, "sched.TestScripts", false},
	{"infeasible-while-learning", "sched.State.noRoom", `if s.learning ||`, `if s.learning && !MUTANT ||`, "sched.TestScripts", false},
	{"infeasible-while-learning-at-the-limit", "sched.State.overLimit", `if !s.learning && (s.unknown(r)`, `if (!s.learning || MUTANT) && (s.unknown(r)`, "sched.TestScripts", false},
	{"learning-without-a-hint", "sched.State.refusal", `case code == wire.CodeUnavailable && s.learning:`, `case code == wire.CodeUnavailable && s.learning && !MUTANT:`, "sched.TestScripts", false},
	{"learning-for-ever", "sched.State.Learned", `{ s.learning = false }`, `{ s.learning = MUTANT }`, "sched.TestScripts", false},
	{"batch-without-a-hint", "sched.State.hint", `all.RetryAfterMS = max(all.RetryAfterMS, s.refusal(code).RetryAfterMS)`, `if !MUTANT { all.RetryAfterMS = max(all.RetryAfterMS, s.refusal(code).RetryAfterMS) }`, "sched.TestScripts", false},
	{"nobody-waits-for-workers", "sched.State.waits", `return m.WaitForWorkers || len(s.byID) == 0`, `return m.WaitForWorkers && !MUTANT || len(s.byID) == 0`, "sched.TestScripts", false},
	{"an-empty-fleet-stays-empty", "sched.State.waits", `|| len(s.byID) == 0`, `|| len(s.byID) == 0 && !MUTANT`, "sched.TestScripts", false},
	{"holds-for-whom-nobody-takes", "sched.State.head", `case able:`, `case able || MUTANT:`, "sched.TestScripts", false},
	{"takeable-is-not-asked-again", "sched.State.enable", `	s.offered++
`, `	if !MUTANT { s.offered++ }
`, "sched.TestScripts", false},
	{"nobody-came-is-not-said", "sched.State.whyOver",
		`case !s.learning && !s.takeable(s.queue.needsOf(w.Bucket)):`,
		`case !s.learning && !s.takeable(s.queue.needsOf(w.Bucket)) && !MUTANT:`, "sched.TestScripts", false},
	{"takeable-by-whom-it-rules-out", "sched.State.takeableWithin", `s.notBuf = s.ruleOut(s.notBuf[:0], m.ask.NotWorkers)`, `if s.notBuf = s.notBuf[:0]; !MUTANT { s.notBuf = s.ruleOut(s.notBuf, m.ask.NotWorkers) }`, "sched.TestScripts", false},
	{"gang-of-an-owner-not-back", "sched/waitlist.List.setAside",
		`if b.Queue.inTurn {`,
		`if b.Queue.inTurn && !MUTANT {`, "sched.TestScripts", false},
	{"requeue-at-limit", "sched.State.serve", `if !q.settled() {`, `if !q.settled() && !MUTANT {`, "sched.TestScripts", false},
	{"explain-stale", "sched.State.countService", `	s.why.shape++
`, `	if !MUTANT { s.why.shape++ }
`, "sched.TestExplanationsAreKept", false},
	{"explain-first", "sched.State.survey", `if n > p.reach {`, `if n > p.reach && (p.reach < 0 || !MUTANT) {`, "sched.TestScripts", false},
	{"explain-alone", "sched.survey.measure", `p.alone || p.first(k) == p.reach`, `p.alone || MUTANT || p.first(k) == p.reach`, "sched.TestScripts", false},
	{"explain-unbounded", "sched.State.survey", `p.looked < p.kinds && p.work < limit`, `p.looked < p.kinds && (p.work < limit || MUTANT)`, "sched.TestExplanationsAreBounded", false},
	{"explain-flood", "sched.State.missing", `y.units < explainLeast {`, `y.units < explainLeast && !MUTANT {`, "sched.TestExplanationsAreBounded", false},
	{"explain-service", "sched.worker.inquire", `case w.presence == offline:`, `case w.presence == offline && !MUTANT:`, "sched.TestEveryStateIsExplained", false},
	{"mass-loss-returns", "sched.State.tellsOfEach", `few = s.mass.gone < s.cfg.MassLossTold`, `few = s.mass.gone < s.cfg.MassLossTold || MUTANT`, "sched.TestAMassLossIsFewEvents", false},
	{"late-report-believed", "sched.State.measure", `	w.slots, w.external = slots, external
	s.tally(w, 1)
	s.reindex(n)`, `	w.slots, w.external = slots, external
	s.tally(w, 1)
	if !MUTANT { s.reindex(n) }`, "sched.TestScripts", false},
}

var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// TestPlantedFaults plants each fault and wants the tests of its package to
// find it; with none planted they pass. With -v it prints what found each, and
// after how long.
func TestPlantedFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds packages several times")
	}
	byPackage := map[string][]rule{} // of the tests
	for _, r := range slices.Concat(planted, plantedPreempt) {
		byPackage[path.Dir(r.testPath())] = append(byPackage[path.Dir(r.testPath())], r)
	}
	for pkg, rules := range byPackage {
		for _, group := range groups(t, rules) {
			plantGroup(t, "../"+pkg, group)
		}
	}
}

// plantGroup plants the faults of one build.
func plantGroup(t *testing.T, pkg string, group []rule) {
	binary := build(t, group, pkg)
	passed := map[string]bool{}
	for _, r := range group {
		test := path.Base(r.testPath())
		if !passed[test] {
			out, _, err := plant(binary, pkg, test, "")
			require.NoError(t, err, "%s fails without a fault:\n%s", test, out)
			passed[test] = true
		}
		out, took, err := plant(binary, pkg, test, r.name)
		if err == nil {
			t.Errorf("%s does not find the fault %q", r.test, r.name)
			continue
		}
		found := failedTest.FindAllStringSubmatch(out, -1)
		require.NotEmpty(t, found, "fault %q: %s", r.name, out)
		t.Logf("%-26s %-32s found by %-32s in %v", r.name, r.in, found[len(found)-1][1], took.Round(time.Millisecond))
	}
}

// plant runs one test of a package with a fault.
func plant(binary, pkg, test, fault string) (string, time.Duration, error) {
	cmd := exec.Command(binary, "-test.run", "^"+test+"$", "-test.v", "-test.timeout", "60s", "-rapid.seed=1", "-rapid.nofailfile", "-rapid.shrinktime=1ms", "-rapid.checks=2000")
	if path.Base(pkg) != "index" {
		cmd.Args = cmd.Args[:len(cmd.Args)-4]
	}
	cmd.Dir = filepath.FromSlash(pkg)
	cmd.Env = append(os.Environ(), mutant.Variable+"="+fault)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	return string(out), time.Since(begin), err
}
