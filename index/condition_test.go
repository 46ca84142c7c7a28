package index

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/selector"
)

// TestANumberOfATagIsUsedAgain: what a selector says of a tag is found out anew when
// its number goes to another tag.
func TestANumberOfATagIsUsedAgain(t *testing.T) {
	x := New(Config{})
	where, err := selector.Parse("a=1")
	require.NoError(t, err)
	r := x.InternSpec([]byte("a=1"), Spec{Where: where})
	require.NoError(t, x.Put(9, strings.Fields("1 2 3 4 5 6 7 8"))) // the memo has room for further tags
	require.NoError(t, x.Put(0, []string{"a=1"}))
	require.True(t, x.AnyMatch(r))
	number, _ := x.tags.number("a=1")
	require.NoError(t, x.Put(0, []string{"b=2"}))
	require.NoError(t, x.Put(1, []string{"a=3"}))
	again, _ := x.tags.number("a=3")
	require.Equal(t, number, again)
	require.False(t, x.AnyMatch(r))
	require.NoError(t, x.Put(2, []string{"a=1"}))
	require.True(t, x.Matches(r, 2))
}

// TestConditionsOfManyTerms: a condition of as many terms as there may be says of a set
// of tags what its expression says.
func TestConditionsOfManyTerms(t *testing.T) {
	x := New(Config{})
	require.NoError(t, x.Put(0, []string{"n=7", "a", "b=1", "c=x"}))
	set := x.profileOf(0).set
	many := func(key string) string {
		text := "(n=7"
		for i := range selector.MaxTerms - 4 {
			text += fmt.Sprintf(" || %s%d=1", key, i)
		}
		return text + ")"
	}
	var all []*selector.Expr
	for i, last := range []string{"a && !b", "a && !d", "(c=y || b>=1) && a", "(c=y || !b) && a", `"c=x" && a`} {
		e, err := selector.Parse(many("k") + " && " + last)
		require.NoError(t, err)
		other, err := selector.Parse(many(fmt.Sprint("other", i, "-")))
		require.NoError(t, err)
		all = append(all, e, selector.All(e, other))
	}
	for _, e := range all {
		require.Equal(t, e.Match([]string{"n=7", "a", "b=1", "c=x"}), x.holds(newCondition(e), set), e.String())
	}
}
