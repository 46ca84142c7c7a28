package offer

import (
	"slices"
	"strings"
)

// Formula is a selector as the simulator draws it, with a reading of its own:
// it shares no code with the package that reads the text of it.
type Formula struct {
	Op     string // not, and, or; else a comparison of key with values: has, =, !=, <, <=, >, >=, in, not in
	Args   []*Formula
	Key    string
	Values []string
}

// zones and versions are the values of the keys zone and cuda, the versions in
// their order, which is not that of text.
var (
	Zones    = []string{"a", "b", "c"}
	Versions = []string{"11.8", "12.1", "12.9", "12.10", "13.0.0-beta1", "13.0.0-rc.1", "13", "13.1+cu118", "2024-05-17", "2024-11"}
)

// String is the text of a formula as a client would write it.
func (f *Formula) String() string {
	var args []string
	for _, a := range f.Args {
		args = append(args, "("+a.String()+")")
	}
	switch f.Op {
	case "has":
		return f.Key
	case "not":
		return "!" + args[0]
	case "and":
		return strings.Join(args, " && ")
	case "or":
		return strings.Join(args, "||")
	case "in", "not in":
		return f.Key + " " + f.Op + " (" + strings.Join(f.Values, ", ") + ")"
	}
	return f.Key + f.Op + f.Values[0]
}

// Holds reports whether a worker with some tags is one that the formula means;
// nil means all.
func (f *Formula) Holds(tags []string) bool {
	if f == nil {
		return true
	}
	switch f.Op {
	case "not":
		return !f.Args[0].Holds(tags)
	case "and":
		return !slices.ContainsFunc(f.Args, func(a *Formula) bool { return !a.Holds(tags) })
	case "or":
		return slices.ContainsFunc(f.Args, func(a *Formula) bool { return a.Holds(tags) })
	case "!=", "not in":
		return !f.any(tags, func(v string) bool { return slices.Contains(f.Values, v) })
	case "has":
		return slices.Contains(tags, f.Key) || f.any(tags, func(string) bool { return true })
	case "=", "in":
		return f.any(tags, func(v string) bool { return slices.Contains(f.Values, v) })
	}
	want := slices.Index(Versions, f.Values[0])
	return f.any(tags, func(v string) bool {
		has := slices.Index(Versions, v)
		return has < want && f.Op[0] == '<' || has > want && f.Op[0] == '>' || has == want && len(f.Op) == 2
	})
}

// any reports whether one of the values of the key passes a test.
func (f *Formula) any(tags []string, passes func(value string) bool) bool {
	return slices.ContainsFunc(tags, func(tag string) bool {
		value, ok := strings.CutPrefix(tag, f.Key+"=")
		return ok && passes(value)
	})
}
