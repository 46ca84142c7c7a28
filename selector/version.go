package selector

import "strings"

// Holds reports whether one tag satisfies the term.
func (t *Term) Holds(tag string) bool {
	key, value, valued := strings.Cut(tag, "=")
	switch {
	case t.Cmp == Has:
		return tag == t.Key || valued && key == t.Key
	case !valued || key != t.Key:
		return false
	case t.Cmp == Eq:
		for _, v := range t.Values {
			if v == value || isVersion(v) && isVersion(value) && compare(v, value) == 0 {
				return true
			}
		}
		return false
	case !isVersion(value):
		return false
	}
	c := compare(value, t.Values[0])
	switch t.Cmp {
	case Lt:
		return c < 0
	case Le:
		return c <= 0
	case Gt:
		return c > 0
	}
	return c >= 0
}

// isVersion reports whether a value is digits in parts with dots between them,
// perhaps with a v before them, or a negative integer.
func isVersion(s string) bool {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest != "" && digits(rest) == len(rest)
	}
	s = strings.TrimPrefix(s, "v")
	for {
		n := digits(s)
		if n == 0 || n == len(s) {
			return n > 0
		}
		if s[n] != '.' {
			return false
		}
		s = s[n+1:]
	}
}

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// compare compares two versions part by part, as numbers of any length. Missing
// parts are 0.
func compare(a, b string) int {
	a, minusA := strings.CutPrefix(a, "-")
	b, minusB := strings.CutPrefix(b, "-")
	switch {
	case minusA && minusB:
		a, b = b, a
	case minusA && !zero(a):
		return -1
	case minusB && !zero(b):
		return 1
	}
	return compareParts(a, b)
}

// zero reports whether digits are those of 0, which has no sign.
func zero(digits string) bool { return strings.Trim(digits, "0") == "" }

func compareParts(a, b string) int {
	a, b = strings.TrimPrefix(a, "v"), strings.TrimPrefix(b, "v")
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}
