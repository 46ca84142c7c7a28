// Package walk gives tests the command lines with mistakes that they try on every
// flag of every program.
package walk

import (
	"flag"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// raw finds texts of the packages of Go that say nothing to a user.
var raw = regexp.MustCompile(`provided but not defined|needs an argument|invalid (boolean )?value|bad flag syntax|parse error|` +
	`strconv\.|[ :]time: |parsing "|invalid syntax|value out of range|missing unit|unknown unit "|Config\.|missing port|too many colons|unexpected EOF|%!`)

// flagName finds a flag in a sentence.
var flagName = regexp.MustCompile(`(^|[ :(])--?[a-z]`)

// Raw returns such a text, "" if there is none.
func Raw(output string) string { return raw.FindString(output) }

// Values are values that no flag, or only some, can have.
var Values = []string{"", "x", "5", "-1", "0", "1.5", "1e99", "5 s", "1h1", "99999999999999999999", "-99999999999999999999", "maybe", "0x", "a,b", "::1", "h:port", "NaN", "1ns", "ü", "\x00"}

// Misspellings of a flag's name, of which one that is near must be named.
func Misspellings(name string) []string {
	if len(name) < 4 {
		return nil
	}
	return []string{name + "x", name[:len(name)-1], name[1:], name[:1] + name[2:]}
}

// Flags tries every value and misspelling on every flag of a set. says returns what
// the program says of a command line, "" if nothing is wrong with it: it must name a
// flag, and have no text of Go's packages. Flags returns how many values were
// refused.
func Flags(t testing.TB, fs *flag.FlagSet, says func(args ...string) string) (refused int) {
	t.Helper()
	known := map[string]bool{}
	fs.VisitAll(func(f *flag.Flag) { known[f.Name] = true })
	require.NotEmpty(t, known)
	for name := range known {
		for _, value := range Values {
			said := says("--" + name + "=" + value)
			require.Empty(t, Raw(said), "--%s=%q: %s", name, value, said)
			if said != "" {
				refused++
				require.Regexp(t, flagName, said, "--%s=%q", name, value)
			}
		}
		said := says("--" + name)
		require.Empty(t, Raw(said), "--%s: %s", name, said)
		for _, typed := range Misspellings(name) {
			if !known[typed] {
				said := says("--" + typed)
				require.Empty(t, Raw(said), said)
				require.Contains(t, said, "there is no flag --"+typed+"; did you mean --")
			}
		}
	}
	return refused
}
