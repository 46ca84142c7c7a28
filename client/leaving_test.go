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

// A program that is interrupted gives back what it is granted in that moment,
// before it ends.
func TestCloseGivesBackWhatAbandonedCallsBring(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *Client){
		"one": func(ctx context.Context, c *Client) {
			_, _ = c.Schedule(ctx, Task{ID: "t1", Wait: time.Hour, TTL: time.Hour})
		},
		"all": func(ctx context.Context, c *Client) { _, _ = c.ScheduleAll(ctx, []Task{{ID: "t1", TTL: time.Hour}}) },
		"gang": func(ctx context.Context, c *Client) {
			_, _ = c.ScheduleGang(ctx, []Task{{ID: "t1", Wait: time.Hour, TTL: time.Hour}}, false)
		},
		"each": func(ctx context.Context, c *Client) {
			for range c.ScheduleEach(ctx, []Task{{ID: "t1", Wait: time.Hour, TTL: time.Hour, Preempt: true}}) {
				continue
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			arrived, hold := make(chan struct{}), make(chan struct{})
			f.setBend(func(p *peer, request uint64, m wire.Message) bool {
				switch m.Kind() {
				case wire.KindSchedule, wire.KindBatch:
					close(arrived)
					<-hold
				case wire.KindCancel:
					p.send(request, &wire.Cancelled{})
					return true
				}
				return false
			})
			c := f.dial(nil)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				call(ctx, c)
				close(ended)
			}()
			<-arrived
			cancel()
			<-ended
			close(hold) // it was granted before the scheduler heard of the end
			require.NoError(t, c.Close())
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Len(t, f.released, 1, "before Close returned")
		})
	}
}

// A scheduler that answers nothing keeps nobody from ending.
func TestCloseLingersForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(int) func(*input, net.Conn) {
			return func(in *input, nc net.Conn) {
				for {
					if _, _, err := in.message(); err != nil {
						return
					}
				}
			}
		})})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Schedule(ctx, Task{ID: "t1"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		start := time.Now()
		require.NoError(t, c.Close())
		require.Equal(t, lingerTimeout, time.Since(start))
	})
}

// Nothing keeps a client that left nothing behind.
func TestCloseDoesNotLingerForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(int) func(*input, net.Conn) { return pong })})
		require.NoError(t, err)
		require.NoError(t, c.Ping(t.Context()))
		start := time.Now()
		require.NoError(t, c.Close())
		require.Equal(t, start, time.Now())
	})
}
