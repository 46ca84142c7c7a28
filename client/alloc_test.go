//go:build !race

package client

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The race detector makes pools forget, so this holds without it alone.
func TestScheduleAllocatesTheLeaseAlone(t *testing.T) {
	c := dialEcho(t)
	ctx := context.Background()
	task := Task{ID: "t1", Tags: []string{"gpu", "cuda-12.0"}}
	perCall := testing.AllocsPerRun(200, func() {
		l, err := c.Schedule(ctx, task)
		if err != nil {
			t.Fatal(err)
		}
		l.Began()
	})
	require.LessOrEqual(t, perCall, 1.0)
}
