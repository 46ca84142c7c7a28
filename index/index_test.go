package index

import (
	"fmt"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"
)

// put adds an eligible worker with a load.
func put(t *testing.T, x *Index, w Worker, load uint32, tags ...string) {
	t.Helper()
	require.NoError(t, x.Put(w, tags))
	x.SetLoad(w, load)
	x.SetEligible(w, true)
}

// ask returns the requirement for the tags.
func ask(x *Index, tags ...string) *Requirement {
	return x.Intern(fmt.Append(nil, tags), tags)
}

// requireLeast checks the choice and the whole index.
func requireLeast(t *testing.T, x *Index, want Worker, tags ...string) {
	t.Helper()
	got, ok := x.Least(ask(x, tags...))
	require.True(t, ok, "nobody for %q", tags)
	require.Equal(t, want, got, "for %q", tags)
	require.NoError(t, x.Check())
}

// requireNobody checks that there is no choice, and the whole index.
func requireNobody(t *testing.T, x *Index, tags ...string) {
	t.Helper()
	got, ok := x.Least(ask(x, tags...))
	require.False(t, ok, "worker %d for %q", got, tags)
	require.NoError(t, x.Check())
}

func TestLeastLoadedWins(t *testing.T) {
	x := New(Config{})
	put(t, x, 1, Load(1, 2), "gpu", "zone=1")
	put(t, x, 2, Load(1, 3), "gpu", "zone=2")
	put(t, x, 3, Load(1, 4), "zone=1")
	requireLeast(t, x, 3)
	requireLeast(t, x, 2, "gpu")
	requireLeast(t, x, 1, "gpu", "zone=1")
	requireNobody(t, x, "zone=1", "zone=2")
}

func TestEqualsAreChosenByTheLeastRecentGiveThenBySlot(t *testing.T) {
	x := New(Config{})
	for _, w := range []Worker{7, 3, 5} {
		put(t, x, w, 0, fmt.Sprintf("own=%d", w))
	}
	for _, want := range []Worker{3, 5, 7, 3, 5, 7} {
		requireLeast(t, x, want)
		x.Give(want, 0)
	}
	x.SetLoad(3, 9)
	x.SetLoad(3, 0)
	requireLeast(t, x, 3)
}

func TestNewWorkerIsIneligibleAndFull(t *testing.T) {
	x := New(Config{})
	require.NoError(t, x.Put(4, []string{"gpu", "gpu"}))
	requireNobody(t, x, "gpu")
	require.True(t, x.AnyMatch(ask(x, "gpu")))
	require.Equal(t, []uint32{4}, matched(x, ask(x, "gpu")).ToArray())
	x.SetLoad(4, 0)
	require.False(t, x.Eligible(4))
	requireNobody(t, x, "gpu")
	x.SetEligible(4, true)
	requireLeast(t, x, 4, "gpu")
	require.Equal(t, Stats{Workers: 1, Tags: 1, Profiles: 1, Requirements: 1}, x.Stats())
}

func TestChangedTagsKeepLoadStampAndEligibility(t *testing.T) {
	x := New(Config{})
	put(t, x, 1, 50, "old")
	put(t, x, 2, 50, "new")
	x.Give(1, 50)
	require.NoError(t, x.Put(1, []string{"new"}))
	requireLeast(t, x, 2, "new")
	x.Give(2, 50)
	requireLeast(t, x, 1, "new")
	requireNobody(t, x, "old")
	require.Nil(t, x.TagWorkers("old"))
	require.True(t, x.Eligible(1))
}

func TestReusedSlotRemembersNothing(t *testing.T) {
	x := New(Config{})
	put(t, x, 1, 0, "a")
	put(t, x, 2, 0, "b")
	x.Give(1, 0)
	x.Remove(1)
	x.Remove(1)
	require.False(t, x.Known(1))
	require.NoError(t, x.Put(1, []string{"b"}))
	requireLeast(t, x, 2, "b")
	x.SetEligible(1, true)
	requireLeast(t, x, 2, "b")
	x.SetLoad(1, 0)
	requireLeast(t, x, 1, "b")
}

func TestTagLimitIsNamedAndChangesNothing(t *testing.T) {
	x := New(Config{MaxTags: 3})
	put(t, x, 1, 0, "a", "b")
	put(t, x, 2, 0, "c")
	err := x.Put(2, []string{"c", "d"})
	require.ErrorIs(t, err, ErrTagLimit)
	require.EqualError(t, err, `too many distinct tags: max_tags is 3, no place for "d"`)
	require.ErrorIs(t, x.Put(3, []string{"d"}), ErrTagLimit)
	require.False(t, x.Known(3))
	requireLeast(t, x, 2, "c")
	require.NoError(t, x.Put(2, []string{"d"}), "c dies with this change")
	requireLeast(t, x, 2, "d")
	requireNobody(t, x, "c")
}

func TestUnknownTagMatchesOnceAWorkerHasIt(t *testing.T) {
	x := New(Config{})
	r := ask(x, "gpu", "later")
	require.False(t, x.AnyMatch(r))
	require.True(t, matched(x, r).IsEmpty())
	put(t, x, 1, 0, "gpu")
	require.False(t, x.AnyMatch(r))
	require.Equal(t, 1, x.Stats().Tags, "a request makes no tag")
	put(t, x, 2, 0, "later", "gpu")
	w, ok := x.Least(r)
	require.True(t, ok)
	require.Equal(t, Worker(2), w)
	x.Remove(2)
	require.False(t, x.AnyMatch(r))
	put(t, x, 3, 0, "other")
	put(t, x, 4, 0, "later", "gpu")
	requireLeast(t, x, 4, "gpu", "later")
}

func TestTagsAreListedInOrder(t *testing.T) {
	x := New(Config{})
	put(t, x, 1, 0, "b", "a")
	put(t, x, 2, 0, "c", "a")
	var listed []string
	for tag, workers := range x.Tags {
		listed = append(listed, fmt.Sprintf("%s %d", tag, workers))
		if tag == "b" {
			break
		}
	}
	require.Equal(t, []string{"a 2", "b 1"}, listed)
}

func TestHashDependsOnTheTagsAlone(t *testing.T) {
	x := New(Config{})
	put(t, x, 1, 0, "zone=1")
	for _, c := range []struct {
		tags []string
		want uint64
	}{
		{nil, 0xefd01f60ba992926},
		{[]string{"gpu"}, 0x8d8113284ec56a98},
		{[]string{"zone=1", "gpu", "gpu"}, 0xa3fa78266ce5435b},
		{[]string{"ab", "c"}, 0x7236b01620399134},
		{[]string{"a", "bc"}, 0x8bf3e63960fe6f9d},
	} {
		require.Equal(t, c.want, ask(x, c.tags...).Hash(), "%q", c.tags)
	}
}

func TestProgrammerErrorsPanic(t *testing.T) {
	x := New(Config{})
	require.Panics(t, func() { _ = x.Put(MaxWorkers, nil) })
	require.Panics(t, func() { x.SetLoad(3, 0) })
	require.Panics(t, func() { x.Give(3, 0) })
	require.Panics(t, func() { x.SetEligible(3, true) })
	put(t, x, 3, 0)
	x.Remove(3)
	require.Panics(t, func() { x.SetLoad(3, 0) })
	require.NoError(t, x.Check())
}

// matched returns the workers of a whole walk.
func matched(x *Index, r *Requirement) *roaring.Bitmap {
	all := roaring.New()
	w := x.Matching(r, 0)
	for n, matches, ok := w.Next(); ok; n, matches, ok = w.Next() {
		if matches {
			all.Add(uint32(n))
		}
	}
	return all
}
