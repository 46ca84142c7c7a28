package index

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLongKeysAreNotKept: a requirement of any length is answered, and one
// that is too long to keep leaves nothing behind.
func TestLongKeysAreNotKept(t *testing.T) {
	x := New(Config{})
	require.NoError(t, x.Put(1, []string{"a", "b"}))
	x.SetLoad(1, 0)
	x.SetEligible(1, true)
	key := make([]byte, MaxKey+1)
	for round := range 3 {
		require.Nil(t, x.Lookup(key))
		w, ok := x.Least(x.Intern(key, []string{"b", "a"}))
		require.True(t, ok)
		require.EqualValues(t, 1, w)
		many := make([]string, 1000)
		for i := range many {
			many[i] = fmt.Sprintf("unknown-%d-%d", round, i)
		}
		_, ok = x.Least(x.Intern(key, many))
		require.False(t, ok)
	}
	require.Zero(t, x.Stats().Requirements)
	require.NoError(t, x.Check())
}
