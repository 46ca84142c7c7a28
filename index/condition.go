package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/dtask/dtask-scheduler/selector"
)

// A condition is the expression of a requirement as a test of sets of terms. It is
// put to one profile after the other: which terms hold for a tag is found out from
// the texts once (memo), the set of a profile is the union of those of its tags, and
// what most expressions ask is two comparisons of that set.
type condition struct {
	terms []*selector.Term // by number, in the order of their keys
	words int              // of a set of terms
	keys  uint64           // a bit for the mark of each key: a tag whose mark has none is in no term
	must  termset          // terms without which it does not hold
	never termset          // terms with which it does not hold
	rest  []test           // what it asks beside
	tests int              // in rest, those within each other counted one by one
}

// maxTerms is the most terms of one expression: those of a selector and of a
// preference.
const maxTerms = 2 * selector.MaxTerms

// A termset is a set of terms, a bit for each number.
type termset [maxTerms / 64]uint64

func (s *termset) add(term int) { s[term/64] |= 1 << (term % 64) }

func (s *termset) has(term int) bool { return s[term/64]&(1<<(term%64)) != 0 }

// A test is an expression over the numbers of terms.
type test struct {
	op   selector.Op
	term int    // of Leaf, and of the Leaf under Not
	args []test // of And and Or
}

// newCondition reads an expression.
func newCondition(e *selector.Expr) *condition {
	leaves := leavesOf(e, nil)
	slices.SortStableFunc(leaves, func(a, b *selector.Expr) int { return cmp.Compare(a.Term.Key, b.Term.Key) })
	c := &condition{terms: make([]*selector.Term, len(leaves)), words: (len(leaves) + 63) / 64}
	numbers := make(map[*selector.Expr]int, len(leaves))
	for i, l := range leaves {
		c.terms[i], numbers[l] = &l.Term, i
		c.keys |= 1 << markOf(l.Term.Key)
	}
	all := []*selector.Expr{e}
	if e.Op == selector.And {
		all = e.Args
	}
	for _, a := range all {
		switch t := c.test(a, numbers); t.op {
		case selector.Leaf:
			c.must.add(t.term)
		case selector.Not:
			c.never.add(t.term)
		default:
			c.rest = append(c.rest, t)
		}
	}
	return c
}

// leavesOf appends the leaves of an expression.
func leavesOf(e *selector.Expr, to []*selector.Expr) []*selector.Expr {
	if e.Op == selector.Leaf {
		return append(to, e)
	}
	for _, a := range e.Args {
		to = leavesOf(a, to)
	}
	return to
}

func (c *condition) test(e *selector.Expr, numbers map[*selector.Expr]int) test {
	c.tests++
	switch e.Op {
	case selector.Leaf:
		return test{op: e.Op, term: numbers[e]}
	case selector.Not:
		return test{op: e.Op, term: numbers[e.Args[0]]}
	}
	t := test{op: e.Op, args: make([]test, len(e.Args))}
	for i, a := range e.Args {
		t.args[i] = c.test(a, numbers)
	}
	return t
}

func (t *test) holds(terms *termset) bool {
	switch t.op {
	case selector.Leaf:
		return terms.has(t.term)
	case selector.Not:
		return !terms.has(t.term)
	}
	for i := range t.args {
		if t.args[i].holds(terms) != (t.op == selector.And) {
			return t.op == selector.Or
		}
	}
	return t.op == selector.And
}

// A memo holds which terms of one condition hold for each tag, as far as that was
// found out. It is for one condition at a time, and for as long as no tag comes or
// goes, so it needs no more memory than one set for each tag.
type memo struct {
	of     *condition
	at     uint64   // tagTable.changes when it began
	stamp  uint32   // of the present condition
	stamps []uint32 // by tag: the stamp when its set was found out
	sets   []uint64 // by tag, as many words as the condition has
}

// begin makes the memo one of a condition.
func (m *memo) begin(c *condition, tags *tagTable) {
	if m.of == c && m.at == tags.changes {
		return
	}
	m.of, m.at = c, tags.changes
	if m.stamp++; m.stamp == 0 || len(m.stamps) < len(tags.tags) {
		m.stamp, m.stamps = 1, make([]uint32, len(tags.tags)+len(tags.tags)/4)
	}
	if n := len(m.stamps) * c.words; len(m.sets) < n {
		m.sets = make([]uint64, n)
	}
}

// holds reports whether the condition of a requirement holds for a set of tags. Every
// term that is compared with a tag counts as a unit of work, and so does every value
// of a list, and every eighth look at a tag or test that needs no text.
func (x *Index) holds(c *condition, set tagset) bool {
	x.work += (set.len()*c.words + c.tests) / 8
	x.memo.begin(c, &x.tags)
	terms := x.termsOf(set)
	for k := range c.words {
		if terms[k]&c.must[k] != c.must[k] || terms[k]&c.never[k] != 0 {
			return false
		}
	}
	for i := range c.rest {
		if !c.rest[i].holds(&terms) {
			return false
		}
	}
	return true
}

// termsOf returns the terms of the memo's condition that hold for a set of tags.
func (x *Index) termsOf(set tagset) (all termset) {
	m := &x.memo
	words := m.of.words
	for ; set != ""; set = set[tagBytes:] {
		n := int(set.at(0))
		if m.stamps[n] != m.stamp {
			x.learn(n)
		}
		all[0] |= m.sets[n*words]
		for k := 1; k < words; k++ { // usually none
			all[k] |= m.sets[n*words+k]
		}
	}
	return all
}

// asks reports whether a term of the memo's condition holds for a tag.
func (x *Index) asks(n, term int) bool {
	m := &x.memo
	if m.stamps[n] != m.stamp {
		x.learn(n)
	}
	return m.sets[n*m.of.words+term/64]&(1<<(term%64)) != 0
}

// learn finds out which terms hold for a tag.
func (x *Index) learn(n int) {
	m, t := &x.memo, &x.tags.tags[n]
	set := m.sets[n*m.of.words:][:m.of.words]
	clear(set)
	m.stamps[n] = m.stamp
	if m.of.keys>>t.keyMark&1 != 0 {
		x.compare(set, t.name, t.key)
	}
	if t.name != t.key && m.of.keys>>t.nameMark&1 != 0 { // a term may ask for the whole of it
		x.compare(set, t.name, t.name)
	}
}

// compare adds the terms with a key that hold for a tag.
func (x *Index) compare(set []uint64, name, key string) {
	terms := x.memo.of.terms
	i, _ := slices.BinarySearchFunc(terms, key, func(t *selector.Term, key string) int { return cmp.Compare(t.Key, key) })
	x.work++
	for ; i < len(terms) && terms[i].Key == key; i++ {
		if x.work += 1 + len(terms[i].Values); terms[i].Holds(name) {
			set[i/64] |= 1 << (i % 64)
		}
	}
}

// candidateWork is how much work may be spent on finding the rarest term.
const candidateWork = 8192

// rarestTerm returns the profiles of each tag for which one of the terms holds that the
// condition must have, if these are fewer than least, and how many they are. It gives up
// when the work is more than most.
func (x *Index) rarestTerm(c *condition, rarest []*roaring.Bitmap, least uint64, most int) ([]*roaring.Bitmap, uint64) {
	most = min(most, x.work+candidateWork)
	x.memo.begin(c, &x.tags)
	for i := range c.terms {
		if !c.must.has(i) {
			continue
		}
		profiles, n := x.profilesWith(c, i, least, most)
		if x.work > most {
			break
		}
		if n < least {
			rarest, least = profiles, n
		}
	}
	return rarest, least
}

// profilesWith returns the profiles of each tag for which a term holds, and how many they
// are. It goes no further than to least of them, or to most work.
func (x *Index) profilesWith(c *condition, term int, least uint64, most int) (profiles []*roaring.Bitmap, n uint64) {
	look := func(name string) {
		x.work++
		if number, alive := x.tags.number(name); alive && x.asks(int(number), term) {
			profiles = append(profiles, x.tags.tags[number].profiles)
			n += x.tags.tags[number].profiles.GetCardinality()
		}
	}
	if c.terms[term].Cmp == selector.Has {
		look(c.terms[term].Key)
	}
	prefix := c.terms[term].Key + "="
	x.tags.names.from(prefix, func(name string) bool {
		if n >= least || x.work > most || !strings.HasPrefix(name, prefix) {
			return false
		}
		look(name)
		return true
	})
	return profiles, n
}
