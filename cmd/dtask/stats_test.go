package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
)

// TestCountersHaveAGroup: each counter of the scheduler stands in one group, and
// those of a newer one are shown all the same.
func TestCountersHaveAGroup(t *testing.T) {
	addr, stop, err := embed()
	require.NoError(t, err)
	defer stop()
	c, err := client.Dial(t.Context(), []string{addr}, nil)
	require.NoError(t, err)
	defer c.Close()
	s, err := c.Stats(t.Context())
	require.NoError(t, err)
	grouped := map[string]int{}
	for _, g := range counterGroups {
		for _, name := range g.names {
			grouped[name]++
			require.Contains(t, s.Counters, name)
			require.Equal(t, 1, grouped[name], name)
		}
	}
	for name := range s.Counters {
		require.Contains(t, grouped, name)
	}
	var out strings.Builder
	(&app{out: newPrinter(&out)}).printCounters(map[string]uint64{"granted": 3, "from_the_future": 7})
	lines := strings.Split(out.String(), "\n")
	require.True(t, slices.Contains(lines, "from_the_future  7"), out.String())
	require.NotContains(t, out.String(), "QUEUE")
}
