package house

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// banned holds phrases that plain technical English does without: the subject
// of a sentence is a component, and each term is the field's own.
var banned = regexp.MustCompile(`(?i)\b(` + strings.Join([]string{
	"who", "whom", "whoever", "nobody", "somebody", "someone", "anybody", "anyone", "everybody",
	"(is|are|was|were|be|been|being) told", "mak(e|es|ing) room", "made room",
	"honestly", "good-bye", "hope", "in vain", "mend(s|ed)?", "of no use",
}, "|") + `)\b`)

// plainRooms have comments and texts that keep to the list.
var plainRooms = []string{
	"agent", "agent/ledger", "bench", "capacity", "client", "client/fake", "cmd", "deploy", "ds", "loadtest", "sched/health", "selector", "server", "server/gateway", "spell", "view", "webguard", "wire",
}

func TestDocumentsArePlain(t *testing.T) {
	operators, err := filepath.Glob("deploy/*/*")
	require.NoError(t, err)
	for _, file := range append(documents(t), append(operators, "docs/openapi.yaml", "Makefile")...) {
		if file == "CHANGELOG.md" { // what older versions said stays
			continue
		}
		for i, line := range strings.Split(read(t, file), "\n") {
			if found := banned.FindString(line); found != "" {
				t.Errorf("%s:%d says %q: name the component that acts, or use the field's term", file, i+1, found)
			}
		}
	}
}

// maxWords bounds a sentence of a document, where a colon or a semicolon ends
// one as well, and code is not counted.
const maxWords = 25

// longSentences are documents in which sentences may still be longer.
var longSentences = []string{"CHANGELOG.md", "docs/architecture.md"}

func TestSentencesAreShort(t *testing.T) {
	fenced := regexp.MustCompile("(?s)```.*?```")
	replaced := regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")
	ends := regexp.MustCompile(`[.!?:;*]*[.!?:;][\s*]|(?:[^\\])\||\n`)
	for _, file := range documents(t) {
		if slices.Contains(longSentences, filepath.ToSlash(file)) {
			continue
		}
		text := replaced.ReplaceAllString(fenced.ReplaceAllString(read(t, file), ""), " ")
		for _, sentence := range ends.Split(text, -1) {
			words := slices.DeleteFunc(strings.Fields(sentence), func(w string) bool { return !strings.ContainsFunc(w, unicode.IsLetter) })
			if len(words) > maxWords {
				t.Errorf("%s: a sentence has %d words, the limit is %d: %s", file, len(words), maxWords, strings.Join(words, " "))
			}
		}
	}
}

// TestTextsOfRoomsArePlain looks at comments and at texts, which become help,
// errors and lines of the log.
func TestTextsOfRoomsArePlain(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || !slices.Contains(plainRooms, s.room) {
			continue
		}
		check := func(pos token.Pos, text string) {
			if found := banned.FindString(text); found != "" {
				t.Errorf("%s says %q: name the component that acts, or use the field's term", s.fset.Position(pos), found)
			}
		}
		for _, group := range s.file.Comments {
			check(group.Pos(), group.Text())
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Errorf("%s: %v", s.fset.Position(lit.Pos()), err)
				}
				check(lit.Pos(), text)
			}
			return true
		})
	}
}
