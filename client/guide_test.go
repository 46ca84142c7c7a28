package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuideIsCompiled: every block of Go in docs/client.md stands, line by line,
// in a file of tests.
func TestGuideIsCompiled(t *testing.T) {
	guide, err := os.ReadFile("../docs/client.md")
	require.NoError(t, err)
	var sources []string
	for _, pattern := range []string{"*_test.go", "*/example_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			sources = append(sources, squeeze(string(text)))
		}
	}
	blocks := goBlocks(string(guide))
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		found := false
		for _, s := range sources {
			found = found || strings.Contains(s, squeeze(b))
		}
		require.True(t, found, "no test compiles\n%s", b)
	}
}

// goBlocks returns the blocks of a document that are marked go.
func goBlocks(text string) (blocks []string) {
	for i, part := range strings.Split(text, "```") {
		if i%2 == 1 && strings.HasPrefix(part, "go\n") {
			blocks = append(blocks, strings.TrimPrefix(part, "go\n"))
		}
	}
	return blocks
}

// squeeze makes blanks and empty lines alike.
func squeeze(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			b.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	return b.String()
}
