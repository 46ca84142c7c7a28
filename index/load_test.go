package index

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoadIsTheExactFloor(t *testing.T) {
	for _, c := range []struct {
		taken, capacity uint64
		want            uint32
	}{
		{0, 0, Full}, {1, 0, Full}, {0, 1, 0}, {1, 1, Full}, {2, 1, Full},
		{1, 2, 1 << 30}, {1, 3, 715827882}, {2, 3, 1431655765},
		{1<<40 - 1, 1 << 40, Full - 1}, {1, 1 << 40, 0}, {1 << 9, 1 << 40, 1},
		{math.MaxUint64 - 1, math.MaxUint64, Full - 1}, {math.MaxUint64, math.MaxUint64, Full},
	} {
		require.Equal(t, c.want, Load(c.taken, c.capacity), "%d of %d", c.taken, c.capacity)
	}
}

func TestLoadEqualsBigIntegers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		capacity := rng.Uint64N(1<<40) + 1
		taken := rng.Uint64N(capacity)
		want := new(big.Int).SetUint64(taken)
		want.Lsh(want, 31).Div(want, new(big.Int).SetUint64(capacity))
		require.Equal(t, uint32(want.Uint64()), Load(taken, capacity), "%d of %d", taken, capacity)
	}
}

func TestKeysOrderByLoadThenStampThenSlot(t *testing.T) {
	ascending := []uint64{
		makeKey(0, neverGiven, 0), makeKey(0, neverGiven, 1), makeKey(0, neverGiven, math.MaxUint32),
		makeKey(0, 1, 7), makeKey(0, lastStamp, 3),
		makeKey(1, neverGiven, 0), makeKey(1, 1, 0),
		makeKey(Full-1, neverGiven, 0), makeKey(Full-1, lastStamp, 0),
		makeKey(Full, neverGiven, 0), keyAbsent,
	}
	for i := 1; i < len(ascending); i++ {
		require.Less(t, ascending[i-1], ascending[i], "key %d", i)
	}
	require.Equal(t, uint64(keyFull), makeKey(math.MaxUint32, 5, 1))
}
