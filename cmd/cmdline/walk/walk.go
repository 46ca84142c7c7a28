// Package walk gives tests the command lines with mistakes that they try on every
// flag of every program.
package walk

import "regexp"

// raw finds texts of the packages of Go that say nothing to a user.
var raw = regexp.MustCompile(`provided but not defined|needs an argument|invalid (boolean )?value|bad flag syntax|parse error|` +
	`strconv\.|[ :]time: |parsing "|invalid syntax|value out of range|missing unit|unknown unit "|Config\.|missing port|too many colons|unexpected EOF|%!`)

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
