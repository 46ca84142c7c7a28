package client

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// learns plays a scheduler that has no place for anybody until it has refused so
// many requests, and tells when to ask again.
func learns(refusals int) func(int) func(*input, net.Conn) {
	refuse := func() bool {
		refusals--
		return refusals >= 0
	}
	place := func(n uint64) wire.Placed {
		return wire.Placed{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: n}, Target: wire.AppendTarget(nil, "w1", "h:1"), Incarnation: 9, TTLMS: 10_000}
	}
	return func(int) func(*input, net.Conn) {
		return func(in *input, nc net.Conn) {
			for {
				m, request, err := in.message()
				if err != nil {
					return
				}
				var answer wire.Message = &wire.Pong{}
				switch m := m.(type) {
				case *wire.Schedule:
					p := place(request)
					if answer = &p; refuse() {
						answer = &wire.Error{Code: wire.CodeUnavailable, Message: "not yet", RetryAfterMS: 1000}
					}
				case *wire.Batch:
					all := &wire.PlacedAll{Results: make([]wire.BatchResult, len(m.Tasks))}
					refused := refuse()
					for i := range m.Tasks {
						all.Results[i].Placed = place(request*1000 + uint64(i))
						if refused {
							all.Results[i], all.RetryAfterMS = wire.BatchResult{Code: wire.CodeUnavailable}, 1000
						}
					}
					answer = all
				}
				if _, err := nc.Write(wire.Append(nil, request, answer)); err != nil {
					return
				}
			}
		}
	}
}

// A refusal that says when a repeat makes sense is repeated then, as long as the
// task's wait lasts, alone, in a batch and as a gang.
func TestRefusalsAreRepeatedWithinTheWait(t *testing.T) {
	single := func(c *Client, wait time.Duration) error {
		_, err := c.Schedule(context.Background(), Task{ID: "t1", Wait: wait})
		return err
	}
	batch := func(c *Client, wait time.Duration) error {
		results, err := c.ScheduleAll(context.Background(), []Task{{ID: "t1", Wait: wait}, {ID: "t2", Wait: wait}})
		for _, r := range results {
			if err == nil {
				err = r.Err
			}
		}
		return err
	}
	gang := func(c *Client, wait time.Duration) error {
		_, err := c.ScheduleGang(context.Background(), []Task{{ID: "t1", Wait: wait}, {ID: "t2"}}, true)
		return err
	}
	for name, ask := range map[string]func(*Client, time.Duration) error{"single": single, "batch": batch, "gang": gang} {
		for _, c := range []struct {
			refusals     int
			wait         time.Duration
			placed       bool
			least, below time.Duration // that it takes
		}{
			{3, time.Minute, true, time.Second, 4 * time.Second},
			{1000, 5 * time.Second, false, 5 * time.Second, 7 * time.Second},
			{1000, 0, false, 0, time.Millisecond},
		} {
			t.Run(name+c.wait.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cl, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(learns(c.refusals))})
					require.NoError(t, err)
					defer cl.Close()
					began := time.Now()
					err = ask(cl, c.wait)
					took := time.Since(began)
					require.Equal(t, c.placed, err == nil, "%v", err)
					if !c.placed {
						require.ErrorIs(t, err, ErrUnavailable)
						var e *wire.Error
						require.ErrorAs(t, err, &e)
						require.EqualValues(t, 1000, e.RetryAfterMS)
					}
					require.GreaterOrEqual(t, took, c.least)
					require.Less(t, took, c.below)
				})
			})
		}
	}
}

// The wait for a repeat ends with the caller's context.
func TestARepeatEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(learns(1000))})
		require.NoError(t, err)
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
		defer cancel()
		_, err = c.Schedule(ctx, Task{ID: "t1", Wait: time.Hour})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = c.ScheduleGang(ctx, []Task{{ID: "t1", Wait: time.Hour}}, false)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
