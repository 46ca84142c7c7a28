package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesStayInOrder: names come and go in any order, and are listed in theirs
// from anywhere on.
func TestNamesStayInOrder(t *testing.T) {
	x, r := New(Config{}), rand.New(rand.NewPCG(1, 2))
	const most = 3000
	for step := range 6 * most {
		n := r.IntN(most)
		if grow := step < 3*most; grow || n%3 > 0 {
			tags := []string{fmt.Sprint("tag-", n)}
			if !grow {
				x.Remove(Worker(n))
			} else {
				require.NoError(t, x.Put(Worker(n), tags))
			}
		}
	}
	require.NoError(t, x.Check())
	last, listed := "", 0
	x.Tags(func(name string, workers int) bool {
		require.Less(t, last, name)
		require.Equal(t, 1, workers)
		last = name
		listed++
		return true
	})
	require.Equal(t, x.Stats().Tags, listed)
	for _, from := range []string{"", "a", "tag-1500", "tag-15000", "z"} {
		x.TagsFrom(from, func(name string, _ int) bool {
			require.GreaterOrEqual(t, name, from)
			return false
		})
	}
}

// TestASpreadOutlivesChanges: a Spread counts by value, also when profiles come and
// go meanwhile.
func TestASpreadOutlivesChanges(t *testing.T) {
	x := New(Config{})
	for w := range Worker(4) {
		require.NoError(t, x.Put(w, []string{fmt.Sprint("zone=", w%2), fmt.Sprint("own-", w)}))
		x.SetEligible(w, true)
		x.SetLoad(w, 0)
	}
	r, s := x.Intern([]byte("k"), nil), x.NewSpread("zone")
	place := func() Worker {
		w, outcome := x.Find(r, &Query{Spread: s})
		require.Equal(t, Found, outcome)
		x.Count(s, w, 1)
		return w
	}
	require.Equal(t, Worker(0), place())
	x.Remove(0) // its profile's number goes to another zone
	require.NoError(t, x.Put(5, []string{"zone=1", "new"}))
	x.SetEligible(5, true)
	x.SetLoad(5, 0)
	x.SetLoad(1, 10)
	x.SetLoad(3, 10)
	require.Equal(t, Worker(5), place(), "zone 1 has no task yet")
}
