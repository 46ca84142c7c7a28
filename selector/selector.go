// Package selector reads expressions over the tags of a worker, such as
//
//	gpu && cuda>=12.0 && !spot && zone in (a, b) && (avx2 || avx512)
//
// and says for which tags they hold. It is pure, and equal requirements have
// equal trees and texts: operands are sorted and distinct, nested operators of
// one kind are joined, and negations stand above single terms only.
// docs/selectors.md is the description for users.
package selector

import (
	"slices"
	"strings"
)

// Limits of an expression.
const (
	MaxBytes = 4096 // of its text
	MaxTerms = 128  // comparisons and words; each value of a list counts
	MaxDepth = 16   // parentheses and negations within each other
)

// Op says what an Expr is.
type Op uint8

// The kinds of Expr.
const (
	True Op = iota // holds for every worker
	And            // all of Args hold
	Or             // at least one of Args holds
	Not            // the one of Args, a Leaf, does not hold
	Leaf           // Term holds for at least one tag
)

// Expr is an expression in canonical form. It must not be changed.
type Expr struct {
	Op   Op
	Args []*Expr // of And and Or at least two, sorted by their text
	Term Term    // of Leaf
}

// Cmp is how a Term compares.
type Cmp uint8

// The comparisons.
const (
	Has Cmp = iota // the tag is Key, or its key is
	Eq             // its value is one of Values
	Lt             // its value is a version less than the one of Values
	Le
	Gt
	Ge
)

// Term is what is asked of one tag.
type Term struct {
	Key    string
	Cmp    Cmp
	Values []string // sorted and distinct; several only for Eq, none for Has
}

var always = &Expr{Op: True}

// All returns what holds when all of the expressions hold, nil ones left out.
func All(exprs ...*Expr) *Expr { return join(And, exprs) }

// join connects expressions with And or Or.
func join(op Op, exprs []*Expr) *Expr {
	var args []*Expr
	for _, e := range exprs {
		switch {
		case e == nil:
		case e.Op == op:
			args = append(args, e.Args...)
		case e.Op == True && op == Or:
			return always
		case e.Op != True:
			args = append(args, e)
		}
	}
	text := make(map[*Expr]string, len(args))
	for _, e := range args {
		text[e] = e.String()
	}
	slices.SortFunc(args, func(a, b *Expr) int { return strings.Compare(text[a], text[b]) })
	args = slices.CompactFunc(args, func(a, b *Expr) bool { return text[a] == text[b] })
	switch len(args) {
	case 0:
		return always
	case 1:
		return args[0]
	}
	return &Expr{Op: op, Args: args}
}

// negate returns what holds when e does not. The parser never negates True.
func negate(e *Expr) *Expr {
	switch e.Op {
	case Not:
		return e.Args[0]
	case Leaf:
		return &Expr{Op: Not, Args: []*Expr{e}}
	}
	args := make([]*Expr, len(e.Args))
	for i, a := range e.Args {
		args[i] = negate(a)
	}
	if e.Op == And {
		return join(Or, args)
	}
	return join(And, args)
}

// Match reports whether the expression holds for a worker with these tags.
func (e *Expr) Match(tags []string) bool {
	switch e.Op {
	case And:
		return !slices.ContainsFunc(e.Args, func(a *Expr) bool { return !a.Match(tags) })
	case Or:
		return slices.ContainsFunc(e.Args, func(a *Expr) bool { return a.Match(tags) })
	case Not:
		return !e.Args[0].Match(tags)
	case Leaf:
		return slices.ContainsFunc(tags, e.Term.Holds)
	}
	return true
}

// Requires reports whether the expression holds only for workers that have a
// tag, by its name alone: a && b requires a, a || b does not, nor does a=1.
func (e *Expr) Requires(tag string) bool {
	switch requires := func(a *Expr) bool { return a.Requires(tag) }; e.Op {
	case And:
		return slices.ContainsFunc(e.Args, requires)
	case Or:
		return !slices.ContainsFunc(e.Args, func(a *Expr) bool { return !requires(a) })
	case Leaf:
		return e.Term.Cmp == Has && e.Term.Key == tag
	}
	return false
}

// String returns the canonical text, "" for True.
func (e *Expr) String() string {
	switch e.Op {
	case And:
		return e.list(" && ")
	case Or:
		return e.list(" || ")
	case Not:
		return e.Args[0].Term.text(true)
	case Leaf:
		return e.Term.text(false)
	}
	return ""
}

// list writes the operands; those with operators of their own in parentheses.
func (e *Expr) list(between string) string {
	parts := make([]string, len(e.Args))
	for i, a := range e.Args {
		parts[i] = a.String()
		if a.Op == And || a.Op == Or {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, between)
}

var signs = [...]string{Eq: "=", Lt: "<", Le: "<=", Gt: ">", Ge: ">="}

// text returns the text of a term, or of its negation.
func (t *Term) text(negated bool) string {
	key := quote(t.Key)
	switch {
	case t.Cmp == Eq && len(t.Values) > 1:
		values := make([]string, len(t.Values))
		for i, v := range t.Values {
			values[i] = quote(v)
		}
		in := " in ("
		if negated {
			in = " not in ("
		}
		return key + in + strings.Join(values, ", ") + ")"
	case t.Cmp == Eq && negated:
		return key + "!=" + quote(t.Values[0])
	case t.Cmp != Has:
		key += signs[t.Cmp] + quote(t.Values[0])
	}
	if negated {
		return "!" + key
	}
	return key
}

// quote returns a word as it must be written.
func quote(word string) string {
	if word != "" && wordEnd(word) == len(word) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
