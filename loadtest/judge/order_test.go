package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOrder: who matters more and came long before must not come long after.
func TestOrder(t *testing.T) {
	low, high, other := Wait{1, 0}, Wait{1, 2}, Wait{2, 2}
	for _, c := range []struct {
		name   string
		broken bool
		judged bool
		first  Wait
		lead   time.Duration // by which the first came before the second got its place
		lag    time.Duration // by which its own came later
		second Wait
	}{
		{"in order", false, true, low, 3 * slack, 3 * slack, high},
		{"passed over", true, true, high, 3 * slack, 3 * slack, low},
		{"another need", false, true, other, 3 * slack, 3 * slack, low},
		{"came just before", false, true, high, slack / 2, 3 * slack, low},
		{"answers crossed", false, true, high, 3 * slack, slack / 2, low},
		{"the scheduler forgot", false, false, high, 3 * slack, 3 * slack, low},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Second
			j := New(nil, func() time.Duration { return now }, nil)
			j.Asked(task(1), c.first, nil)
			now += c.lead
			j.Asked(task(2), c.second, nil)
			j.Settled(task(2), true, c.judged)
			now += c.lag
			j.Asked(task(1), c.first, nil) // again, on another connection
			j.Settled(task(1), true, c.judged)
			_, n := j.Violations()
			require.Equal(t, c.broken, n == 1, "%d violations", n)
			require.Empty(t, j.waits)
		})
	}
}
