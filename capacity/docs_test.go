package capacity

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocumentedAmounts reads the table of units of docs/resources.md.
func TestDocumentedAmounts(t *testing.T) {
	text, err := os.ReadFile("../docs/resources.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(.*)` \\| (\\d+) \\| (\\d+) \\|$").FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, 6)
	for _, row := range rows {
		for i, round := range []Round{Up, Down} {
			n, err := Parse(row[1], row[2], round)
			require.NoError(t, err, row[0])
			require.Equal(t, row[3+i], strconv.FormatInt(n, 10), row[0])
		}
	}
}
