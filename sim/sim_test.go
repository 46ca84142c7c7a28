package sim

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sim/fault"
)

// fixedSeeds is how many seeds a test run simulates, and mostSeeds how many until
// each fault was hit: some come once in a hundred runs. shortSeeds is how many a
// short run simulates, which hits some of the faults.
const (
	fixedSeeds = 120
	mostSeeds  = 600
	shortSeeds = 20
)

// TestSeeds runs a fixed number of seeds, the same ones always. Together they hit
// every fault.
func TestSeeds(t *testing.T) {
	first, most := uint64(fixedSeeds), uint64(mostSeeds)
	if testing.Short() {
		first, most = shortSeeds, shortSeeds
	}
	total, err := runSeeds(first, most)
	require.NoError(t, err)
	t.Logf("%d events, %d leases, %d tasks begun", total.Events, total.Granted, total.Begun)
	for f, n := range total.Faults {
		if testing.Short() {
			break
		}
		require.Positive(t, n, "the fault %s was never hit", fault.Kind(f))
	}
}

// runSeeds runs the first seeds on every core, and further ones, most in all,
// until all faults were hit or one failed.
func runSeeds(first, most uint64) (total Result, err error) {
	var mu sync.Mutex
	next := uint64(1)
	take := func() (seed uint64, more bool) {
		mu.Lock()
		defer mu.Unlock()
		seed, next = next, next+1
		missed := seed <= most && slices.Contains(total.Faults[:], 0)
		return seed, err == nil && (seed <= first || missed)
	}
	var runs sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		runs.Go(func() {
			for seed, more := take(); more; seed, more = take() {
				r, failed := Run(seed, nil)
				mu.Lock()
				total.Add(&r)
				if failed != nil {
					err = fmt.Errorf("%w\nrepeat it with: go run ./sim/simulate -seed %d -trace", failed, seed)
				}
				mu.Unlock()
			}
		})
	}
	runs.Wait()
	return total, err
}

// TestOneSeedIsOneRun runs seeds twice: everything is the same.
func TestOneSeedIsOneRun(t *testing.T) {
	seeds := []uint64{1, 2, 3, 11, 2024}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
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

// TestHealingHasAMargin: an agent that learns last that its datagrams do not count, or
// that its connection is dead, is online well before I28 is judged: it misses
// acknowledgements, asks in vain, connects, and hears of its next heartbeat.
func TestHealingHasAMargin(t *testing.T) {
	const (
		missed    = (missingAcks + 1) * slowestBeat // until it registers again
		in        = answerIn + slowestBeat          // until it gives up a connection that does not answer
		exchange  = 8 * mostLatency                 // hello, registration, promise and their answers
		heartbeat = slowestBeat + 2*mostLatency
	)
	require.Less(t, missed+in+mostReconnect+exchange+heartbeat, healTime)
}
