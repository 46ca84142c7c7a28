package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dtask/dtask-scheduler/selector"
)

// isExpression reports whether an argument is a selector: it holds one of the
// characters of an operator, or begins with a quotation mark. A tag with a value
// (zone=a) is a plain tag.
func isExpression(arg string) bool {
	return strings.ContainsAny(arg, "&|!<>(") || strings.Contains(arg, "==") || strings.HasPrefix(arg, `"`) || strings.HasPrefix(arg, "'")
}

// splitSelectors tells plain tags from expressions, and joins these; what names
// one in the error.
func splitSelectors(what string, args []string) (tags []string, where string, err error) {
	var parts []string
	for _, arg := range args {
		if !isExpression(arg) {
			tags = append(tags, arg)
			continue
		}
		if err := readExpression(what, arg); err != nil {
			return nil, "", err
		}
		parts = append(parts, arg)
	}
	if len(parts) < 2 {
		return tags, strings.Join(parts, ""), nil
	}
	where = "(" + strings.Join(parts, ") && (") + ")"
	return tags, where, readExpression("all selectors together", where)
}

// readExpression checks an expression; what names it in the error, which shows
// where the mistake is.
func readExpression(what, text string) error {
	_, err := selector.Parse(text)
	var e *selector.Error
	if !errors.As(err, &e) {
		return nil
	}
	hint := "see how selectors are written with `dtask schedule --help`"
	if strings.HasPrefix(e.Message, "&& or ||") && !strings.ContainsAny(text, `&|!<>="'`) {
		hint = "a tag that is no word is quoted twice: " + quoted([]string{asArgument(text)})
	}
	limit := ""
	if e.Limit != 0 {
		limit = fmt.Sprintf(" (limit %d)", e.Limit)
	}
	return usage(fmt.Sprintf("%s: %v%s\n%s", what, e, limit, pointed(text, e.Column)), hint)
}

// asArgument returns a tag as an argument that means this tag.
func asArgument(tag string) string {
	if !isExpression(tag) {
		return tag
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(tag) + `"`
}

// Of a long expression this many letters are shown before the mark and behind it.
const (
	shownBefore = 50
	shownBehind = 20
)

// pointed shows an expression with a mark below a column, in bytes from 1.
func pointed(text string, column int) string {
	at := min(max(column-1, 0), len(text))
	before, behind := []rune(clean(blanks.Replace(text[:at]))), []rune(clean(blanks.Replace(text[at:])))
	head, tail := "", ""
	if n := len(before); n > shownBefore {
		head, before = "...", before[n-shownBefore:]
	}
	if len(behind) > shownBehind {
		behind, tail = behind[:shownBehind], "..."
	}
	line := head + string(before)
	return line + string(behind) + tail + "\n" + strings.Repeat(" ", len(head)+len(before)) + "^"
}

// blanks puts an expression of several lines into one.
var blanks = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")
