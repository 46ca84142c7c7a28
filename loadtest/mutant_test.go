package loadtest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/internal/mutant"
	"github.com/dtask/dtask-scheduler/loadtest/judge"
)

// faulty is a scheduler with a mistake, the flags of a run, and the rules of
// which the judge must find one broken.
type faulty struct {
	name  string
	edits []mutant.Edit
	flags []string
	rules []judge.Rule
}

func edit(in, old, new string) mutant.Edit { return mutant.Edit{In: in, Old: old, New: new} }

// The first two are the mistakes of the scheduler that this one replaces.
var mutants = []faulty{
	{"a heartbeat overwrites the count", []mutant.Edit{
		edit("sched.State.measure", "w.slots, w.external = slots, external\n", "w.slots, w.external = slots, external\n\tif MUTANT {\n\t\tw.taken = external\n\t}\n"),
		edit("sched.State.measure", "if w.slots == slots && w.external == external {\n", "if w.slots == slots && w.external == external && (!MUTANT || w.taken == 0) {\n"),
		edit("sched.State.occupy", "\tw.taken += uint32(by)\n", "\tif !MUTANT || by > 0 || w.taken > 0 {\n\t\tw.taken += uint32(by)\n\t}\n"),
	}, hard, []judge.Rule{judge.RefusedFull, judge.OverCapacity}},
	{"a timer frees room by itself", []mutant.Edit{
		edit("sched.State.Pulse", "\t\ts.askBack(slot, out)\n", "\t\tif MUTANT {\n\t\t\ts.end(slot, wire.ReasonReleased)\n\t\t\treturn\n\t\t}\n\t\ts.askBack(slot, out)\n"),
	}, hard, []judge.Rule{judge.RefusedFull, judge.OverCapacity}},
	{"amounts are not taken", []mutant.Edit{
		edit("capacity.Used.Add", "u.Amounts[o.place(a.Dim)] += int64(by) * a.Amount\n", "if !MUTANT {\n\tu.Amounts[o.place(a.Dim)] += int64(by) * a.Amount\n}\n"),
	}, append(slices.Clone(needy), "--workers=40", "--slots=60"), []judge.Rule{judge.RefusedFull, judge.OverAmount}},
	{"a device is given twice", []mutant.Edit{
		edit("capacity.Used.addDevices", "\t\tt.Leases += uint32(by)\n", "\t\tif !MUTANT {\n\t\t\tt.Leases += uint32(by)\n\t\t}\n"),
	}, needy, []judge.Rule{judge.RefusedFull, judge.DeviceTwice}},
	{"selectors hold for everybody", []mutant.Edit{
		edit("sched.State.requirement", `parse("selector", m.Selector)`, `parse("selector", map[bool][]byte{false: m.Selector}[MUTANT])`),
	}, needy, []judge.Rule{judge.WrongTags}},
	{"workers are not ruled out", []mutant.Edit{
		edit("sched.State.excludes", "slices.Contains(r.not, n) ||", "slices.Contains(r.not, n) && !MUTANT ||"),
	}, needy, []judge.Rule{judge.RuledOut}},
	{"a gang gets what there is", []mutant.Edit{
		edit("sched.State.disband", "s.undo(a.made[i].slot, a.made[i].stamp)", "if !MUTANT {\n\t\t\ts.undo(a.made[i].slot, a.made[i].stamp)\n\t\t}"),
		edit("sched.State.gang", "\t\tall = gangRefused(len(m.Tasks), failed, err)\n",
			"\t\tif rest := all.Results[failed:]; MUTANT {\n\t\t\tfor i := range rest {\n\t\t\t\trest[i] = wire.BatchResult{Code: wire.CodeAllOrNone}\n\t\t\t}\n\t\t} else {\n\t\t\tall = gangRefused(len(m.Tasks), failed, err)\n\t\t}\n"),
	}, needy, []judge.Rule{judge.GangInPart}},
	{"a gang shares workers", []mutant.Edit{
		edit("sched.admission.add", "\t\ta.workers[n] = true\n", "\t\ta.workers[n] = !MUTANT\n"),
	}, needy, []judge.Rule{judge.NotDistinct}},
	{"the lowest priority goes first", []mutant.Edit{
		edit("sched/waitlist.List.find", "return int(p) - int(b.Priority)", "return map[bool]int{false: 1, true: -1}[MUTANT] * (int(p) - int(b.Priority))"),
	}, crowded, []judge.Rule{judge.OutOfOrder}},
	{"equals make room", []mutant.Edit{
		edit("sched.State.consider", "limit := q.at(slot).Priority() - 1\n", "limit := q.at(slot).Priority() - 1\n\tif MUTANT {\n\t\tlimit++\n\t}\n"),
	}, crowded, []judge.Rule{judge.WrongVictim}},
	{"there is no grace", []mutant.Edit{
		edit("sched.State.warn", "s.expiry.Set(slot, s.now+max(s.cfg.PreemptGrace, 1))", "s.expiry.Set(slot, s.now+map[bool]Time{false: max(s.cfg.PreemptGrace, 1), true: 1}[MUTANT])"),
	}, crowded, []judge.Rule{judge.KilledEarly}},
	{"clients hear twice of an end", []mutant.Edit{
		edit("sched.State.requeueOr", "\ts.tellClient(l, &wire.Notice{News: news, Reason: reason})\n", "\ts.tellClient(l, &wire.Notice{News: news, Reason: reason})\n\tif MUTANT {\n\t\ts.tellClient(l, &wire.Notice{News: news, Reason: reason})\n\t}\n"),
	}, crowded, []judge.Rule{judge.WrongRequeue}},
	{"what is busy is infeasible", []mutant.Edit{
		edit("sched.State.noRoom", "s.feasible(r) {", "s.feasible(r) && !MUTANT {"),
	}, needy, []judge.Rule{judge.NotInfeasible}},
}

// hard are the flags of a run in which room is always short, and many leases
// are handed over after their time to live.
var hard = []string{
	"--workers=200", "--slots=4", "--occupancy=2", "--duration=3s", "--start-ttl=250ms", "--late=0.2",
	"--task-time=250ms", "--heartbeat=500ms", "--clients=8", "--depth=8", "--seed=1", "--json",
}

// needy are the flags of a run whose tasks ask for all there is to ask for, and
// in which some of it is always short.
var needy = []string{
	"--profile=gangs", "--workers=100", "--slots=6", "--occupancy=2", "--duration=2s", "--task-time=250ms", "--heartbeat=500ms",
	"--clients=8", "--depth=8", "--seed=1", "--json",
}

// crowded are the flags of a run in which most tasks have to wait.
var crowded = []string{
	"--profile=overload", "--workers=60", "--slots=4", "--duration=3s", "--task-time=500ms", "--heartbeat=500ms", "--depth=64", "--clients=8",
	"--seed=1", "--json",
}

// TestMutantsFit: what each mutant names is there, and all fit into one build.
func TestMutantsFit(t *testing.T) {
	source, all := source(t)
	for _, m := range all {
		assert.NoError(t, source.Fits(m))
	}
	groups, err := source.Groups(all)
	assert.NoError(t, err)
	assert.Len(t, groups, 1)
}

// source returns the source of this module and the mutants.
func source(t *testing.T) (*mutant.Source, []mutant.Mutant) {
	t.Helper()
	s, err := mutant.Open("..")
	require.NoError(t, err)
	var all []mutant.Mutant
	for _, m := range mutants {
		all = append(all, mutant.Mutant{Name: m.name, Edits: m.edits})
	}
	return s, all
}

// TestTheJudgeFindsMutants builds the load test with all the mistakes in it, of
// which a variable brings one to life, and runs it with the flags of each; with
// none of them alive it must find nothing.
func TestTheJudgeFindsMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program and runs it for each mistake")
	}
	bin := buildMutants(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			code, report := runBuilt(t, bin, m.name, m.flags)
			require.Equal(t, 3, code)
			require.NotEmpty(t, report.FirstViolations)
			rules := make(map[judge.Rule]int)
			for _, v := range report.FirstViolations {
				rules[v.Rule]++
			}
			t.Logf("%d violations, of the first: %v", report.Violations, rules)
			found := 0
			for _, r := range m.rules {
				found += rules[r]
			}
			require.Positive(t, found, "%v", rules)
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		code, report := runBuilt(t, bin, "", hard)
		require.Equal(t, 0, code, "%v", report.FirstViolations)
		require.Positive(t, report.GivenBack, "leases were asked back")
		require.Positive(t, report.BeginsRefused, "and handed over too late")
		require.Positive(t, report.Refused.Count, "and room was short")
		code, report = runBuilt(t, bin, "", needy)
		require.Equal(t, 0, code, "%v", report.FirstViolations)
		require.Len(t, report.Kinds, int(kinds))
		code, report = runBuilt(t, bin, "", crowded)
		require.Equal(t, 0, code, "%v", report.FirstViolations)
		require.Less(t, report.Waits["high"].P50, report.Waits["low"].P50)
		require.Positive(t, report.Preempted, "tasks made room")
		require.Positive(t, report.Requeued, "and waited again")
	})
}

// buildMutants builds cmd/loadtest with all mutants and returns its path.
func buildMutants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, all := source(t)
	overlay, err := source.Overlay(dir, all)
	require.NoError(t, err)
	bin := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", bin, "./cmd/loadtest")
	build.Dir = ".."
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// runBuilt runs the program with one mutant alive.
func runBuilt(t *testing.T, bin, alive string, flags []string) (int, *Report) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, flags...)
	cmd.Env = append(os.Environ(), mutant.Variable+"="+alive)
	var stdout strings.Builder
	cmd.Stdout = &stdout
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	var report Report
	require.NoError(t, json.Unmarshal([]byte(stdout.String()), &report), "%q", stdout.String())
	return cmd.ProcessState.ExitCode(), &report
}
