package sim

import (
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/internal/mutant"
)

var withSeeds = flag.Bool("mutants", false, "drop the rules that random seeds must find as well, which takes minutes; make mutants does")

// TestMutants drops each rule and wants its scenario to fail. Mutants that
// change different places share one build, in which a variable brings one of
// them to life; with none of them alive every scenario must pass. Nothing in
// the tree changes: the builds see other files through an overlay.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package several times")
	}
	for n, group := range groups(t, rules) {
		binary := build(t, group, ".")
		passed := map[string]bool{"TestSeeds": !*withSeeds || n > 0} // once does
		for _, m := range group {
			if !passed[m.test] {
				out, err := scenario(binary, m.test, "")
				require.NoError(t, err, "%s fails although no rule is dropped:\n%s", m.test, out)
				require.Contains(t, out, "PASS", "there is no test %s", m.test)
				passed[m.test] = true
			}
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				drop(t, binary, &m)
			})
		}
	}
}

// drop wants the tests of a mutant to fail while it is alive.
func drop(t *testing.T, binary string, m *rule) {
	tests := []string{m.test}
	if m.seeds {
		tests = append(tests, "TestSeeds")
	}
	for _, test := range tests {
		if test == "TestSeeds" && !*withSeeds {
			continue
		}
		out, err := scenario(binary, test, m.name)
		require.Error(t, err, "%s passes without the rule %q:\n%s", test, m.name, out)
		require.Contains(t, out, "--- FAIL: "+test, "mutant %q", m.name)
		if test == "TestSeeds" {
			require.Contains(t, out, "go run ./sim/simulate -seed", "the command that repeats it")
		}
	}
}

// testPath returns the folder of a rule's test, from the root, and its name.
func (r *rule) testPath() string {
	if folder, test, ok := strings.Cut(r.test, "."); ok {
		return folder + "/" + test
	}
	return "sim/" + r.test
}

func (r *rule) mutant() mutant.Mutant {
	return mutant.Mutant{Name: r.name, Edits: []mutant.Edit{{In: r.in, Old: r.old, New: r.new}}}
}

// source is the source of this module.
func source(t *testing.T) *mutant.Source {
	t.Helper()
	s, err := mutant.Open("..")
	require.NoError(t, err)
	return s
}

// TestMutantsFit: what each rule names is there.
func TestMutantsFit(t *testing.T) {
	s := source(t)
	seen := map[string]bool{}
	for _, r := range slices.Concat(rules, planted, plantedPreempt) {
		assert.NoError(t, s.Fits(r.mutant()))
		has, err := s.HasTest(path.Split(r.testPath()))
		assert.NoError(t, err)
		assert.True(t, has, "mutant %q: there is no test %s", r.name, r.test)
		assert.False(t, seen[r.name], "two mutants have the name %q", r.name)
		seen[r.name] = true
	}
}

// groups distributes rules over builds.
func groups(t *testing.T, rules []rule) (out [][]rule) {
	t.Helper()
	all := make([]mutant.Mutant, len(rules))
	for i := range rules {
		all[i] = rules[i].mutant()
	}
	groups, err := source(t).Groups(all)
	require.NoError(t, err)
	for _, g := range groups {
		var group []rule
		for _, i := range g {
			group = append(group, rules[i])
		}
		out = append(out, group)
	}
	return out
}

// build compiles the tests of a package without the rules of one group.
func build(t *testing.T, group []rule, pkg string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	var all []mutant.Mutant
	for _, r := range group {
		all = append(all, r.mutant())
	}
	overlay, err := source(t).Overlay(dir, all)
	require.NoError(t, err)
	binary = filepath.Join(dir, "mutants.test")
	out, err := exec.Command("go", "test", "-c", "-o", binary, "-overlay", overlay, pkg).CombinedOutput()
	require.NoError(t, err, "a build with mutants:\n%s", out)
	return binary
}

// hangs is when a run is ended that does not end by itself. A machine that others
// use may need minutes for all seeds.
const hangs = "240s"

// scenario runs one test of a build with a mutant alive.
func scenario(binary, test, alive string) (string, error) {
	cmd := exec.Command(binary, "-test.run", "^"+test+"$", "-test.v", "-test.timeout", hangs)
	cmd.Env = append(os.Environ(), mutant.Variable+"="+alive)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
