package sim

import (
	"slices"
	"strings"
)

// formula is a selector as the simulator draws it, with a reading of its own:
// it shares no code with the package that reads the text of it.
type formula struct {
	op     string // not, and, or; else a comparison of key with values: has, =, !=, <, <=, >, >=, in, not in
	args   []*formula
	key    string
	values []string
}

// zones and versions are the values of the keys zone and cuda, the versions in
// their order, which is not that of text.
var (
	zones    = []string{"a", "b", "c"}
	versions = []string{"11.8", "12.1", "12.9", "12.10", "13.0.0-beta1", "13.0.0-rc.1", "13", "13.1+cu118", "2024-05-17", "2024-11"}
)

// formula draws an expression, at most so many operators deep.
func (w *World) formula(depth int) *formula {
	if depth > 0 && w.chance(1, 2) {
		op := []string{"not", "and", "or"}[w.rng.IntN(3)]
		f := &formula{op: op, args: []*formula{w.formula(depth - 1)}}
		for range w.between(1, 2) {
			if op != "not" {
				f.args = append(f.args, w.formula(depth-1))
			}
		}
		return f
	}
	switch w.rng.IntN(4) {
	case 0:
		ops := []string{"<", "<=", ">", ">=", "=", "!="}
		return &formula{op: ops[w.rng.IntN(len(ops))], key: "cuda", values: []string{versions[w.rng.IntN(len(versions))]}}
	case 1:
		return &formula{op: []string{"in", "not in"}[w.rng.IntN(2)], key: "zone", values: zones[:w.between(1, 2)]}
	}
	return &formula{op: "has", key: append([]string{"zone", "cuda"}, allTags...)[w.rng.IntN(2+len(allTags))]}
}

// String is the text of a formula as a client would write it.
func (f *formula) String() string {
	var args []string
	for _, a := range f.args {
		args = append(args, "("+a.String()+")")
	}
	switch f.op {
	case "has":
		return f.key
	case "not":
		return "!" + args[0]
	case "and":
		return strings.Join(args, " && ")
	case "or":
		return strings.Join(args, "||")
	case "in", "not in":
		return f.key + " " + f.op + " (" + strings.Join(f.values, ", ") + ")"
	}
	return f.key + f.op + f.values[0]
}

// holds reports whether a worker with some tags is one that the formula means;
// nil means all.
func (f *formula) holds(tags []string) bool {
	if f == nil {
		return true
	}
	switch f.op {
	case "not":
		return !f.args[0].holds(tags)
	case "and":
		return !slices.ContainsFunc(f.args, func(a *formula) bool { return !a.holds(tags) })
	case "or":
		return slices.ContainsFunc(f.args, func(a *formula) bool { return a.holds(tags) })
	case "!=", "not in":
		return !f.any(tags, func(v string) bool { return slices.Contains(f.values, v) })
	case "has":
		return slices.Contains(tags, f.key) || f.any(tags, func(string) bool { return true })
	case "=", "in":
		return f.any(tags, func(v string) bool { return slices.Contains(f.values, v) })
	}
	want := slices.Index(versions, f.values[0])
	return f.any(tags, func(v string) bool {
		has := slices.Index(versions, v)
		return has < want && f.op[0] == '<' || has > want && f.op[0] == '>' || has == want && len(f.op) == 2
	})
}

// any reports whether one of the values of the key passes a test.
func (f *formula) any(tags []string, passes func(value string) bool) bool {
	return slices.ContainsFunc(tags, func(tag string) bool {
		value, ok := strings.CutPrefix(tag, f.key+"=")
		return ok && passes(value)
	})
}
