package selector

import "strings"

// Value returns the value that a tag has under the key of a term. For a term
// that compares versions only a version is a value.
func (t *Term) Value(tag string) (value string, ok bool) {
	key, value, valued := strings.Cut(tag, "=")
	if !valued || key != t.Key || t.Cmp > Eq && !isVersion(value) {
		return "", false
	}
	return value, true
}

// Nearer reports whether a value is nearer to what a term of versions asks than
// another one, both of which do not satisfy it: the higher for > and >=, the
// lower for < and <=.
func (t *Term) Nearer(value, than string) bool {
	c := compare(value, than)
	if t.Cmp == Lt || t.Cmp == Le {
		return c < 0
	}
	return c > 0
}
