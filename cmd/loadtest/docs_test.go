package main

import (
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
)

const document = "../../docs/loadtest.md"

func text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(document)
	require.NoError(t, err)
	return string(b)
}

// TestFlagsAreDocumented: the document has a row for each flag with its
// default, and for nothing else.
func TestFlagsAreDocumented(t *testing.T) {
	want, got := map[string]string{}, map[string]string{}
	new(options).flags().VisitAll(func(f *flag.Flag) { want[f.Name] = f.DefValue })
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| ([^|]*?) *\\| [^|]").FindAllStringSubmatch(text(t), -1) {
		got[m[1]] = m[2]
	}
	require.NotEmpty(t, got)
	require.Equal(t, want, got)
}

// TestRulesAreDocumented: the document has a row for each rule of the judge,
// and for nothing else.
func TestRulesAreDocumented(t *testing.T) {
	var got []judge.Rule
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z][a-z-]+)` \\| [^|]").FindAllStringSubmatch(text(t), -1) {
		got = append(got, judge.Rule(m[1]))
	}
	require.Equal(t, judge.Rules(), got, "in the same order")
}
