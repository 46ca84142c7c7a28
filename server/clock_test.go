package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeClock returns a clock and the time that it reads.
func fakeClock() (*clock, *time.Duration) {
	raw := new(time.Duration)
	return &clock{read: func() time.Duration { return *raw }}, raw
}

func TestTheClockLeavesPausesOut(t *testing.T) {
	for _, first := range []string{"a reader", "the tick"} {
		c, raw := fakeClock()
		*raw = clockTick
		require.Equal(t, clockTick, c.tick())
		*raw += maxClockStep
		require.Equal(t, clockTick+maxClockStep, c.Since(), "a late tick is no pause")
		require.Equal(t, clockTick+maxClockStep, c.tick())

		*raw += time.Hour
		woken := clockTick + 2*maxClockStep
		if first == "the tick" {
			require.Equal(t, woken, c.tick())
		}
		require.Equal(t, woken, c.Since())
		require.Equal(t, woken, c.Since())
		require.Equal(t, woken, c.tick())
		*raw += clockTick
		require.Equal(t, woken+clockTick, c.Since(), "it goes on")
	}
}

func TestTheClockNeverGoesBack(t *testing.T) {
	c, raw := fakeClock()
	var last time.Duration
	for i := range 10_000 {
		*raw += time.Duration(i*i%997) * time.Millisecond
		if i%3 == 0 {
			c.tick()
		}
		now := c.Since()
		require.GreaterOrEqual(t, now, last)
		require.LessOrEqual(t, now-last, 2*maxClockStep)
		last = now
	}
	require.Len(t, c.pauses, maxPauses)
}

// A reader that was stopped between its loads and its reading sees the pause,
// although another one has noted it by then.
func TestAReaderIsStoppedInMidReading(t *testing.T) {
	c, raw := fakeClock()
	stopped := false
	c.read = func() time.Duration {
		if !stopped {
			stopped = true
			*raw = time.Hour
			c.tick()
		}
		return *raw
	}
	require.Equal(t, maxClockStep, c.Since())
}

func TestDisplayedTimesCountPauses(t *testing.T) {
	c, raw := fakeClock()
	for range 2 {
		*raw += time.Minute
		c.tick()
	}
	require.Equal(t, 2*maxClockStep, c.Since())
	require.Equal(t, 2*time.Minute, c.ago(2*maxClockStep), "the start")
	require.Equal(t, time.Minute, c.ago(maxClockStep), "the end of the first pause")
	require.Zero(t, c.ago(0))
	for range 2 * maxPauses {
		*raw += time.Minute
		c.tick()
	}
	require.Equal(t, *raw, c.ago(c.Since()), "merged pauses count")
}
