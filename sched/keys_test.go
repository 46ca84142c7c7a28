package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// holds reports whether an entry is in the table.
func (t *keyTable) holds(e keyEntry) bool {
	if t.n == 0 {
		return false
	}
	g := t.segment(e.hash)
	for i := keyHome(e.hash); g.entries[i].slot != 0; i = keyNext(i) {
		if g.entries[i] == e {
			return true
		}
	}
	return false
}

// The table is a set of entries, whatever the hashes are: well spread, in one
// half, in few segments, or all with one home.
func TestKeyTableAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.SampledFrom([]uint32{^uint32(0), 0x7fffffff, 0xffff, 0xf000ffff, 0xffff0000, 0x80000001}).Draw(t, "mask")
		table, twin, slot := keyTable{}, map[keyEntry]bool{}, int32(0)
		var list []keyEntry
		for range rapid.IntRange(1, 4).Draw(t, "tides") {
			for range rapid.IntRange(0, 4000).Draw(t, "added") {
				slot++
				e := keyEntry{uint32(mix(uint64(slot), hashK1)) & mask, slot}
				if table.add(e) {
					twin[e] = true
					list = append(list, e)
				}
			}
			require.NoError(t, table.check())
			for range rapid.IntRange(0, len(list)).Draw(t, "removed") {
				i := int(mix(uint64(len(list)), hashK2) % uint64(len(list)))
				e := list[i]
				list[i] = list[len(list)-1]
				list = list[:len(list)-1]
				table.remove(e)
				delete(twin, e)
			}
			require.NoError(t, table.check())
			require.Equal(t, len(twin), table.n)
			for e := range twin {
				require.True(t, table.holds(e))
			}
		}
	})
}

// A table that was large gives its memory back: after a burst it costs no more
// than before.
func TestKeyTableShrinks(t *testing.T) {
	var table keyTable
	entry := func(i int) keyEntry { return keyEntry{uint32(mix(uint64(i), hashK0)), int32(i + 1)} }
	const burst = 200_000
	for i := range burst {
		require.True(t, table.add(entry(i)))
	}
	wide := table.depth
	for i := range burst - 100 {
		table.remove(entry(i))
	}
	require.NoError(t, table.check())
	require.LessOrEqual(t, table.depth, wide/2)
	for i := burst - 100; i < burst; i++ {
		table.remove(entry(i))
	}
	require.NoError(t, table.check())
	require.LessOrEqual(t, table.depth, uint8(1))
}

// Hashes that agree in all bits fill one segment, which refuses the rest and
// keeps working.
func TestKeyTableWithoutSpread(t *testing.T) {
	var table keyTable
	for i := range int32(keySegmentSize - 1) {
		require.True(t, table.add(keyEntry{7, i + 1}))
	}
	require.False(t, table.add(keyEntry{7, keySegmentSize}))
	require.True(t, table.add(keyEntry{1 << 31, keySegmentSize}))
	require.NoError(t, table.check())
	for i := range int32(keySegmentSize - 1) {
		table.remove(keyEntry{7, i + 1})
	}
	require.NoError(t, table.check())
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
