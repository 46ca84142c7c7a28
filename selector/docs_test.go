package selector

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocumentedExamples evaluates the table of docs/selectors.md.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/selectors.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `(.*)` \\| `(.*)` \\| (yes|no) \\|$").FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, 13)
	for _, row := range rows {
		e, err := Parse(strings.ReplaceAll(row[1], `\|`, "|"))
		require.NoError(t, err, row[1])
		require.Equal(t, row[3] == "yes", e.Match(strings.Fields(row[2])), row[0])
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"gpu && cuda>=12.0 && !spot && zone in (a, b) && (avx2 || avx512)", `!("a b"='c' || x not in (y))`, "((("} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil || len(e.String()) > MaxBytes {
			return
		}
		again, err := Parse(e.String())
		require.NoError(t, err, "%q", e)
		require.Equal(t, e, again)
	})
}
