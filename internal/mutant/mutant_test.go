package mutant

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// module writes a module of one program and returns its source.
func module(t *testing.T) (*Source, string) {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	write("go.mod", "module example.com/m\n\ngo 1.24\n")
	write("cmd/p/main.go", `package main

const (
	limit = 10 // of all
	least = 1
)

type box[T any] struct{ n T }

func (b *box[T]) get() T { return b.n }

func sum(a, b int) int {
	// a and b
	return a + b
}

func main() {
	b := box[int]{n: sum(
		2,
		3,
	)}
	if b.get() > limit {
		println("much")
	}
	println(sum(b.get(), 1))
}
`)
	write("cmd/p/main_test.go", "package main\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) {}\n")
	s, err := Open(root)
	require.NoError(t, err)
	return s, root
}

func TestFitsFindsTextByDeclaration(t *testing.T) {
	s, _ := module(t)
	for _, e := range []Edit{
		{In: "cmd/p.sum", Old: "return a+b"},
		{In: "cmd/p.sum", Old: "{ return a + b }"},
		{In: "cmd/p.box.get", Old: "b.n", New: "map[bool]T{MUTANT: b.other}[least > limit]"},
		{In: "cmd/p.limit", Old: "10"},
		{In: "cmd/p.box", Old: "n T"},
		{In: "cmd/p.main", Old: "box[int]{n: sum(2, 3)}"},
		{In: "cmd/p.main", Old: "if b.get() > limit {\n\tprintln("},
	} {
		require.NoError(t, s.Fits(Mutant{"m", []Edit{e}}), "%v", e)
	}
	for want, e := range map[string]Edit{
		"cmd/p.total: found 0 declarations of this name, and in them 0 times the text\n\treturn a + b\ncmd/p.sum holds it 1 times": {In: "cmd/p.total", Old: "return a + b"},
		"cmd/p.main: found 1 declarations of this name, and in them 2 times the text\n\tb.get()":                                   {In: "cmd/p.main", Old: "b.get()"},
		"no declaration of the module holds it": {In: "cmd/p.sum", Old: "return a - b"},
		"the new text names c, ":                {In: "cmd/p.sum", Old: "a + b", New: "max(a, c.b)"},
		"there is no old text":                  {In: "cmd/p.sum", Old: " // a and b"},
		"no such file":                          {In: "cmd/q.sum", Old: "a"},
	} {
		err := s.Fits(Mutant{"m", []Edit{e}})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, `mutant "m"`)
	}
}

func TestHasTest(t *testing.T) {
	s, _ := module(t)
	has, err := s.HasTest("cmd/p", "TestIt")
	require.NoError(t, err)
	require.True(t, has)
	has, err = s.HasTest("cmd/p", "sum")
	require.NoError(t, err)
	require.False(t, has)
}

func TestOneMutantOfABuildIsAlive(t *testing.T) {
	s, root := module(t)
	all := []Mutant{
		{"minus", []Edit{{"cmd/p.sum", "return a + b", "if MUTANT { return a - b }; return a + b"}}},
		{"other", []Edit{{"cmd/p.sum", "a + b", "a"}}},
		{"twice", []Edit{
			{"cmd/p.main", "println(sum(b.get(), 1))", "println(sum(b.get(), map[bool]int{false: 1, true: 4}[MUTANT]))"},
			{"cmd/p.box.get", "return b.n", "if MUTANT { println(1) }; return b.n"},
		}},
	}
	groups, err := s.Groups(all)
	require.NoError(t, err)
	require.Equal(t, [][]int{{0, 2}, {1}}, groups)

	list, err := s.Overlay(t.TempDir(), []Mutant{all[0], all[2]})
	require.NoError(t, err)
	text, err := os.ReadFile(list)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &struct{ Replace map[string]string }{}))
	bin := filepath.Join(t.TempDir(), "p")
	build := exec.Command("go", "build", "-overlay", list, "-o", bin, "./cmd/p")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for alive, want := range map[string]string{"": "6\n", "minus": "-2\n", "twice": "1\n1\n9\n", "other": "6\n"} {
		run := exec.Command(bin)
		run.Env = append(os.Environ(), Variable+"="+alive)
		out, err := run.CombinedOutput()
		require.NoError(t, err)
		require.Equal(t, want, string(out), alive)
	}
}
