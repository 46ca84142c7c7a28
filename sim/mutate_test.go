package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutantVar is the environment variable that names the mutant which is alive.
const mutantVar = "SIM_MUTANT"

var withSeeds = flag.Bool("mutants", false, "drop the rules that random seeds must find as well, which takes minutes; make mutants does")

// TestMutants drops each rule and wants its scenario to fail. Mutants that
// change different places share one build, in which a variable brings one of
// them to life; with none of them alive every scenario must pass. Nothing in
// the tree changes: the builds see other files through an overlay.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package several times")
	}
	for n, group := range groups(t, mutants) {
		binary := build(t, n, group, ".")
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
func drop(t *testing.T, binary string, m *mutant) {
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

// groups cuts the mutants into builds: two that change the same text cannot be
// in one.
func groups(t *testing.T, mutants []mutant) [][]mutant {
	t.Helper()
	var out [][]mutant
	for _, m := range mutants {
		source := read(t, m.file)
		require.Equal(t, 1, strings.Count(source, m.old), "mutant %q: its old text must stand in %s exactly once:\n%s", m.name, m.file, m.old)
		n := 0
		for n < len(out) && overlaps(source, m, out[n]) {
			n++
		}
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], m)
	}
	return out
}

// overlaps reports whether m changes text that one of the others changes.
func overlaps(source string, m mutant, others []mutant) bool {
	from := strings.Index(source, m.old)
	for _, o := range others {
		at := strings.Index(source, o.old)
		if o.file == m.file && from < at+len(o.old) && at < from+len(m.old) {
			return true
		}
	}
	return false
}

// read returns a file of the module.
func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	require.NoError(t, err)
	return string(b)
}

// build compiles the tests of a package with the mutants of one group.
func build(t *testing.T, n int, group []mutant, pkg string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{} // by path from the root
	for _, m := range group {
		source, ok := files[m.file]
		if !ok {
			source = read(t, m.file)
		}
		alive := fmt.Sprintf("mutantAlive(%q)", m.name)
		files[m.file] = strings.Replace(source, m.old, strings.ReplaceAll(m.new, "MUTANT", alive), 1)
		folder := path.Dir(m.file)
		files[folder+"/mutant_alive.go"] = fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar mutantName = os.Getenv(%q)\n\nfunc mutantAlive(name string) bool { return name == mutantName }\n", path.Base(folder), mutantVar)
	}
	replace := map[string]string{}
	for file, source := range files {
		target, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(file)))
		require.NoError(t, err)
		replace[target] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		require.NoError(t, os.WriteFile(replace[target], []byte(source), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	list := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(list, overlay, 0o600))
	binary = filepath.Join(dir, "sim.test")
	out, err := exec.Command("go", "test", "-c", "-o", binary, "-overlay", list, pkg).CombinedOutput()
	require.NoError(t, err, "build %d of the mutants:\n%s", n, out)
	return binary
}

// hangs is when a run is ended that does not end by itself. A machine that others
// use may need minutes for all seeds.
const hangs = "240s"

// scenario runs one test of a build with a mutant alive.
func scenario(binary, test, mutant string) (string, error) {
	cmd := exec.Command(binary, "-test.run", "^"+test+"$", "-test.v", "-test.timeout", hangs)
	cmd.Env = append(os.Environ(), mutantVar+"="+mutant)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
