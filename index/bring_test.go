package index

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/selector"
)

// TestBringTakesBoundedSteps: a new requirement over many tag sets, with as many
// terms as there may be, takes steps of a bounded size whatever it asks for, and
// ends with the matches that one step finds, also when tag sets come and go
// between the steps.
func TestBringTakesBoundedSteps(t *testing.T) {
	const sets, most = 3000, 5000
	x := New(Config{})
	for w := range Worker(sets) {
		require.NoError(t, x.Put(w, []string{"cpu", fmt.Sprint("host=", w), fmt.Sprintf("v=%d.%d", w%7, w%3), fmt.Sprint("third-", w%3)}))
	}
	long := func(term string, between string) *selector.Expr {
		text := ""
		for i := range selector.MaxTerms {
			if next := fmt.Sprintf(term, i); len(text)+len(next)+8 < selector.MaxBytes {
				if i > 0 {
					text += between
				}
				text += next
			}
		}
		e, err := selector.Parse(text)
		require.NoError(t, err)
		return e
	}
	list := func(key string, values int) *selector.Expr {
		text := key + " in (0"
		for i := range values - 1 {
			text += fmt.Sprintf(", %d.9", i)
		}
		e, err := selector.Parse(text + ")")
		require.NoError(t, err)
		return e
	}
	step := most + selector.MaxTerms*5 + 2 // the last profile of a step may pass the bound
	for i, s := range []Spec{
		{Tags: []string{"cpu"}},
		{Tags: []string{"cpu"}, Where: long("!a%d", " || ")},
		{Where: long("!a%d", " && ")},
		{Where: long("host>=%d", " && ")},
		{Where: long("v<%d.1", " || ")},
		{Where: long("x%d", " || ")},
		{Tags: []string{"third-1"}, Where: long("x%d", " || ")},
		{Tags: []string{"third-1"}, Where: long("!host=%d", " && ")},
		{Tags: []string{"third-2", "gone"}, Where: long("x%d", " || ")},
		{Where: list("host", selector.MaxTerms)},
	} {
		r, steps, left := x.InternSpec([]byte{byte(i)}, s), 0, most
		for ; !x.Bring(r, &left); steps++ {
			require.Greater(t, left, most-step-1, "%d", i)
			left = most
			if steps < 50 {
				w := Worker(sets + steps)
				require.NoError(t, x.Put(w, []string{"cpu", fmt.Sprint("new-", steps)}))
				x.Remove(Worker(steps))
			}
		}
		require.Greater(t, left, most-step-1)
		if s.Where != nil && (len(s.Tags) == 0 || s.Tags[len(s.Tags)-1] != "gone") {
			require.Greater(t, steps, 1, "%d", i)
		}
		fresh := newRequirement(s, nil)
		require.Equal(t, matched(x, fresh).ToArray(), matched(x, r).ToArray(), "%d", i)
		require.NoError(t, x.Check())
	}
}
