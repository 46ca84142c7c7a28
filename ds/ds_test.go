package ds

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWheelAgainstSortedList drives the timing wheel beside a plain map: what
// is handed out is what is due, no item is late, and none is early.
func TestWheelAgainstSortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Wheel
		naive := map[int32]Time{}
		now := Time(rapid.Int64Range(0, 1<<40).Draw(t, "start"))
		w.now = now
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			item := rapid.Int32Range(0, 20).Draw(t, "item")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				shift := rapid.IntRange(0, 33).Draw(t, "shift")
				at := now + Time(rapid.Int64Range(-5, 3).Draw(t, "at"))<<shift
				w.Set(item, at)
				naive[item] = min(max(at, w.now+1), w.now+wheelSpan)
			case 2:
				w.Remove(item)
				delete(naive, item)
			case 3:
				now += Time(rapid.Int64Range(0, 1<<rapid.IntRange(0, 34).Draw(t, "scale")).Draw(t, "step"))
				advanceBoth(t, &w, naive, now, rapid.IntRange(1, 5).Draw(t, "budget"))
			}
			first := Never
			for item, at := range naive {
				first = min(first, at)
				require.Equal(t, at, w.At(item))
			}
			require.LessOrEqual(t, w.Next(), first, "the wheel must never ask too late")
		}
	})
}

func advanceBoth(t *rapid.T, w *Wheel, naive map[int32]Time, now Time, budget int) {
	last := Time(0)
	for calls := 0; w.Next() <= now; calls++ {
		require.Less(t, calls, 1000, "advance must come to an end")
		w.Advance(now, budget, func(item int32) {
			at, ok := naive[item]
			require.True(t, ok, "item %d is not set", item)
			require.LessOrEqual(t, at, now)
			require.GreaterOrEqual(t, at, last, "in order of time")
			last = at
			delete(naive, item)
		})
	}
	w.Advance(now, budget, func(int32) { require.Fail(t, "nothing is left") })
	for item, at := range naive {
		require.Greater(t, at, now, "item %d was forgotten", item)
	}
}

// TestOrderAgainstSortedSlice drives the sorted set beside a sorted slice.
func TestOrderAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Order
		var naive []string
		grow := rapid.IntRange(1, 4).Draw(t, "bias")
		for range rapid.IntRange(1, 3000).Draw(t, "steps") {
			id := fmt.Sprintf("w%d", rapid.IntRange(0, 3000).Draw(t, "id"))
			at, found := slices.BinarySearch(naive, id)
			switch {
			case !found:
				o.Add(id)
				naive = slices.Insert(naive, at, id)
			case rapid.IntRange(0, grow).Draw(t, "remove") == 0:
				o.Remove(id)
				naive = slices.Delete(naive, at, at+1)
			}
		}
		o.Remove("never added")
		after := fmt.Sprintf("w%d", rapid.IntRange(0, 3000).Draw(t, "after"))
		for _, from := range []string{"", after} {
			var got []string
			o.After(from, func(id string) bool { got = append(got, id); return true })
			start, found := slices.BinarySearch(naive, from)
			if found {
				start++
			}
			require.True(t, slices.Equal(naive[start:], got))
		}
	})
}

// TestRingAgainstASlice keeps the last entries of a sequence beside all of them.
func TestRingAgainstASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRing[int](rapid.IntRange(1, 9).Draw(t, "size"))
		all := rapid.SliceOf(rapid.Int()).Draw(t, "entries")
		for i, v := range all {
			*r.Next() = v
			kept := min(i+1, int(r.size))
			require.Equal(t, []uint64{uint64(i + 1), uint64(i + 2 - kept)}, []uint64{r.Last(), r.First()})
			require.Equal(t, kept, r.Len())
			for n := r.First(); n <= r.Last(); n++ {
				require.Equal(t, all[n-1], *r.At(n))
			}
		}
	})
}

// TestChunksNeverMove: a place stays what it was however large the array becomes.
func TestChunksNeverMove(t *testing.T) {
	var c Chunks[int]
	c.Grow(1)
	first := c.At(0)
	for n := 1; n < 3*chunkSize; n++ {
		c.Grow(n)
		*c.At(int32(n - 1)) = n
		require.Equal(t, n, c.Len())
	}
	require.Same(t, first, c.At(0))
	for n := range int32(c.Len()) {
		require.Equal(t, int(n)+1, *c.At(n))
	}
	c.Truncate(1)
	require.Equal(t, 1, c.Len())
}

// item is an element of a List.
type item struct {
	Links[item]
	v int
}

// TestListAgainstASlice drives the linked list beside a slice.
func TestListAgainstASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l List[item, *item]
		var naive []*item
		for v := range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := rapid.IntRange(0, len(naive)).Draw(t, "at")
			if at < len(naive) && rapid.Bool().Draw(t, "remove") {
				l.Remove(naive[at])
				naive = slices.Delete(naive, at, at+1)
			} else {
				var after *item
				if at > 0 {
					after = naive[at-1]
				}
				e := &item{v: v}
				l.InsertAfter(e, after)
				naive = slices.Insert(naive, at, e)
			}
			var forth, back []*item
			for e := l.First(); e != nil; e = e.Next() {
				forth = append(forth, e)
			}
			for e := l.Last(); e != nil; e = e.Prev() {
				back = append(back, e)
			}
			slices.Reverse(back)
			require.True(t, slices.Equal(naive, forth))
			require.True(t, slices.Equal(naive, back))
		}
	})
}
