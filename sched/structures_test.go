package sched

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
		var w wheel
		naive := map[int32]Time{}
		now := Time(rapid.Int64Range(0, 1<<40).Draw(t, "start"))
		w.now = now
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			item := rapid.Int32Range(0, 20).Draw(t, "item")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				shift := rapid.IntRange(0, 33).Draw(t, "shift")
				at := now + Time(rapid.Int64Range(-5, 3).Draw(t, "at"))<<shift
				w.set(item, at)
				naive[item] = min(max(at, w.now+1), w.now+wheelSpan)
			case 2:
				w.remove(item)
				delete(naive, item)
			case 3:
				now += Time(rapid.Int64Range(0, 1<<rapid.IntRange(0, 34).Draw(t, "scale")).Draw(t, "step"))
				advanceBoth(t, &w, naive, now, rapid.IntRange(1, 5).Draw(t, "budget"))
			}
			first := Never
			for item, at := range naive {
				first = min(first, at)
				require.Equal(t, at, w.at(item))
			}
			require.LessOrEqual(t, w.next(), first, "the wheel must never ask too late")
		}
	})
}

func advanceBoth(t *rapid.T, w *wheel, naive map[int32]Time, now Time, budget int) {
	last := Time(0)
	for calls := 0; w.next() <= now; calls++ {
		require.Less(t, calls, 1000, "advance must come to an end")
		w.advance(now, budget, func(item int32) {
			at, ok := naive[item]
			require.True(t, ok, "item %d is not set", item)
			require.LessOrEqual(t, at, now)
			require.GreaterOrEqual(t, at, last, "in order of time")
			last = at
			delete(naive, item)
		})
	}
	w.advance(now, budget, func(int32) { require.Fail(t, "nothing is left") })
	for item, at := range naive {
		require.Greater(t, at, now, "item %d was forgotten", item)
	}
}

// TestOrderAgainstSortedSlice drives the sorted set beside a sorted slice.
func TestOrderAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o order
		var naive []string
		grow := rapid.IntRange(1, 4).Draw(t, "bias")
		for range rapid.IntRange(1, 3000).Draw(t, "steps") {
			id := fmt.Sprintf("w%d", rapid.IntRange(0, 3000).Draw(t, "id"))
			at, found := slices.BinarySearch(naive, id)
			switch {
			case !found:
				o.add(id)
				naive = slices.Insert(naive, at, id)
			case rapid.IntRange(0, grow).Draw(t, "remove") == 0:
				o.remove(id)
				naive = slices.Delete(naive, at, at+1)
			}
		}
		o.remove("never added")
		after := fmt.Sprintf("w%d", rapid.IntRange(0, 3000).Draw(t, "after"))
		for _, from := range []string{"", after} {
			var got []string
			o.after(from, func(id string) bool { got = append(got, id); return true })
			start, found := slices.BinarySearch(naive, from)
			if found {
				start++
			}
			require.True(t, slices.Equal(naive[start:], got))
		}
	})
}

// TestHashSpreads: neighbours in content must not be neighbours in the table.
func TestHashSpreads(t *testing.T) {
	var buckets [256]int
	for i := range 25_600 {
		buckets[keyHash(42, fmt.Appendf(nil, "task-%d", i))&255]++
	}
	for b, n := range buckets {
		require.InDelta(t, 100, n, 60, "bucket %d", b)
	}
	require.NotEqual(t, hashBytes(1, []byte("a")), hashBytes(1, []byte("a\x00")))
	require.NotEqual(t, hashBytes(1, nil), hashBytes(1, make([]byte, 8)))
}
