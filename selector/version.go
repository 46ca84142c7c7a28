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
			if v == value || equals(v, value) {
				return true
			}
		}
		return false
	}
	v, ok := readVersion(value)
	if !ok {
		return false
	}
	than, _ := readVersion(t.Values[0])
	c := v.compare(&than)
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

// equals reports whether two texts are the same version. The build counts if the
// version that is asked for has one.
func equals(asked, value string) bool {
	a, isA := readVersion(asked)
	b, isB := readVersion(value)
	return isA && isB && a.compare(&b) == 0 && (a.build == "" || a.build == b.build)
}

// version is a value that has an order.
type version struct {
	negative bool   // of an integer alone
	core     string // numbers with dots between them, or with hyphens in a date
	pre      string // identifiers with dots between them, "" for none
	build    string // the same; it has no order
}

// isVersion reports whether a value can be compared.
func isVersion(s string) bool {
	_, ok := readVersion(s)
	return ok
}

// readVersion reads numbers with dots between them (12.4), perhaps with a v before
// them; a date (2024-05-17 or 2024-05), whose parts are its numbers; both perhaps
// with a prerelease (-beta.1) and a build (+cu118) behind them, as semantic
// versions have; or a negative integer.
func readVersion(s string) (v version, ok bool) {
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		return version{negative: strings.Trim(rest, "0") != "", core: rest}, rest != "" && digits(rest) == len(rest)
	}
	s, build, built := strings.Cut(strings.TrimPrefix(s, "v"), "+")
	if built && !identifiers(build) {
		return v, false
	}
	n := date(s)
	if n == 0 {
		n = numbers(s)
	}
	v.core, v.build = s[:n], build
	pre, has := strings.CutPrefix(s[n:], "-")
	if v.pre = pre; has {
		return v, n > 0 && identifiers(pre)
	}
	return v, n > 0 && n == len(s)
}

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// numbers returns the length of the numbers with dots between them that s begins
// with.
func numbers(s string) int {
	n := digits(s)
	for n > 0 && n < len(s) && s[n] == '.' {
		more := digits(s[n+1:])
		if more == 0 {
			break
		}
		n += 1 + more
	}
	return n
}

// date returns the length of the year and month, and day if there is one, that s
// begins with: 2024-05 and 2024-05-17. It ends with s, or before a hyphen.
func date(s string) int {
	const month, day = len("2024-05"), len("2024-05-17")
	if len(s) < month || digits(s) != 4 || s[0] == '0' || !between(s[4:month], 12) {
		return 0
	}
	if len(s) >= day && between(s[month:day], 31) && (len(s) == day || s[day] == '-') {
		return day
	}
	if len(s) == month || s[month] == '-' {
		return month
	}
	return 0
}

// between reports whether s is a hyphen and two digits, of 01 to most.
func between(s string, most int) bool {
	if s[0] != '-' || digits(s[1:]) != 2 {
		return false
	}
	n := int(s[1]-'0')*10 + int(s[2]-'0')
	return n >= 1 && n <= most
}

// identifiers reports whether s is words of letters, digits and hyphens with dots
// between them.
func identifiers(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" {
			return false
		}
		for i := range len(word) {
			c := word[i]
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
				return false
			}
		}
	}
	return true
}

// compare compares two versions: below 0 if a comes before b.
func compare(a, b string) int {
	x, _ := readVersion(a)
	y, _ := readVersion(b)
	return x.compare(&y)
}

// compare compares the numbers part by part, missing ones are 0. Of equal numbers
// those with a prerelease come first, in the order of semantic versions.
func (v *version) compare(w *version) int {
	switch {
	case v.negative && w.negative:
		return compareNumbers(w.core, v.core)
	case v.negative:
		return -1
	case w.negative:
		return 1
	}
	if c := compareParts(v.core, w.core); c != 0 {
		return c
	}
	switch {
	case v.pre == w.pre:
		return 0
	case v.pre == "":
		return 1
	case w.pre == "":
		return -1
	}
	return comparePre(v.pre, w.pre)
}

func compareParts(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutPart(a)
		y, b = cutPart(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// cutPart cuts the first number off.
func cutPart(core string) (part, rest string) {
	for i := range len(core) {
		if core[i] == '.' || core[i] == '-' {
			return core[:i], core[i+1:]
		}
	}
	return core, ""
}

// compareNumbers compares digits as numbers of any length; none are 0.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// comparePre compares prereleases word by word: numbers as numbers and before
// other words, these by their letters; the shorter one first if all are equal.
func comparePre(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		numberX, numberY := digits(x) == len(x), digits(y) == len(y)
		c := strings.Compare(x, y)
		switch {
		case numberX && numberY:
			c = compareNumbers(x, y)
		case numberX:
			return -1
		case numberY:
			return 1
		}
		if c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}
