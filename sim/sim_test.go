package sim

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// fixedSeeds is how many seeds a test run simulates, and mostSeeds how many until
// each fault was hit: some come once in a hundred runs.
const (
	fixedSeeds = 120
	mostSeeds  = 600
)

// TestSeeds runs a fixed number of seeds, the same ones always. Together they hit
// every fault.
func TestSeeds(t *testing.T) {
	var total Result
	for seed := uint64(1); seed <= fixedSeeds || seed <= mostSeeds && slices.Contains(total.Faults[:], 0); seed++ {
		r, err := Run(seed, nil)
		require.NoError(t, err, "repeat it with: go run ./sim/simulate -seed %d -trace", seed)
		total.Add(&r)
	}
	t.Logf("%d events, %d leases, %d tasks begun", total.Events, total.Granted, total.Begun)
	for f, n := range total.Faults {
		require.Positive(t, n, "the fault %s was never hit", Fault(f))
	}
}

// TestOneSeedIsOneRun runs seeds twice: everything is the same.
func TestOneSeedIsOneRun(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 11, 2024} {
		first, err := Run(seed, nil)
		require.NoError(t, err)
		second, err := Run(seed, nil)
		require.NoError(t, err)
		require.Equal(t, first, second, "seed %d", seed)
	}
}

// TestSeedsDiffer shows that the hash tells runs apart.
func TestSeedsDiffer(t *testing.T) {
	first, err := Run(1, nil)
	require.NoError(t, err)
	second, err := Run(2, nil)
	require.NoError(t, err)
	require.NotEqual(t, first.Hash, second.Hash)
}
