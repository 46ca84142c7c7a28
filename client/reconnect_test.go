package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// swallowFirst makes f drop the connection instead of answering the first
// message of a kind, after the fake has acted on it if act is set.
func swallowFirst(f *fake, k wire.Kind, act bool) {
	var swallowed atomic.Bool
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if m.Kind() != k || !swallowed.CompareAndSwap(false, true) {
			return false
		}
		if act {
			f.answer(p, m)
		}
		p.nc.Close()
		return true
	})
}

func TestScheduleIsRepeatedAfterAReconnect(t *testing.T) {
	for _, acted := range []bool{false, true} {
		t.Run(fmt.Sprintf("acted=%v", acted), func(t *testing.T) {
			f := newFake(t)
			swallowFirst(f, wire.KindSchedule, acted)
			c := f.dial(&Options{ClientID: "stable"})
			l := mustSchedule(t, c, Task{ID: "t1"})
			require.Equal(t, acted, l.Flags().Repeat())
			require.Equal(t, 1, f.live())
			require.Equal(t, []string{"stable", "stable"}, f.hellos)
		})
	}
}

func TestBatchIsRepeatedAfterAReconnect(t *testing.T) {
	f := newFake(t)
	swallowFirst(f, wire.KindBatch, true)
	results, err := f.dial(nil).ScheduleAll(within(t), []Task{{ID: "a"}, {ID: "b"}})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.NoError(t, results[1].Err)
	require.Equal(t, 2, f.live())
}

func TestReleaseIsRepeatedAfterAReconnect(t *testing.T) {
	for _, acted := range []bool{false, true} {
		t.Run(fmt.Sprintf("acted=%v", acted), func(t *testing.T) {
			f := newFake(t)
			swallowFirst(f, wire.KindRelease, acted)
			c := f.dial(nil)
			l := mustSchedule(t, c, Task{ID: "t1"})
			require.NoError(t, c.Release(within(t), l), "already released by itself is success")
			require.Zero(t, f.live())
		})
	}
}

func TestReadsAreRepeatedAfterAReconnect(t *testing.T) {
	f := newFake(t)
	swallowFirst(f, wire.KindPing, false)
	require.NoError(t, f.dial(nil).Ping(within(t)))
}

func TestRenewalsGoOnAfterAReconnect(t *testing.T) {
	f := quick(newFake(t))
	c := f.dial(nil)
	l := mustSchedule(t, c, Task{ID: "t1"})
	f.drop()
	before := f.count(f.renewals, l.ID())
	eventually(t, "renewed again", func() bool { return f.count(f.renewals, l.ID()) > before+1 })
	require.NoError(t, l.Err())
}

func TestCallsWaitForAConnectionUntilTheirContextEnds(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	f.listener.Close()
	f.drop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := c.Schedule(ctx, Task{ID: "t1"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, c.Close())
	_, err = c.Schedule(t.Context(), Task{ID: "t1"})
	require.ErrorIs(t, err, ErrClosed)
}

func TestReconnectTakesAnotherAddress(t *testing.T) {
	first, second := newFake(t), newFake(t)
	c, err := Dial(within(t), []string{first.addr(), second.addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	first.listener.Close()
	first.drop()
	mustSchedule(t, c, Task{ID: "t1"})
	require.Equal(t, 1, second.live())
}

func TestAnAbandonedAnswerIsReleased(t *testing.T) {
	f := newFake(t)
	arrived, hold := make(chan struct{}, 1), make(chan struct{})
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if m.Kind() == wire.KindSchedule || m.Kind() == wire.KindBatch {
			arrived <- struct{}{}
			<-hold
		}
		return false
	})
	c := f.dial(nil)
	for name, call := range map[string]func(context.Context) error{
		"one": func(ctx context.Context) error {
			_, err := c.Schedule(ctx, Task{ID: "t1"})
			return err
		},
		"batch": func(ctx context.Context) error {
			results, err := c.ScheduleAll(ctx, []Task{{ID: "b1"}, {ID: "b2"}})
			if !errors.Is(results[1].Err, context.Canceled) {
				t.Error("a task that was not answered has no error")
			}
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { failed <- call(ctx) }()
		<-arrived
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled, name)
		hold <- struct{}{}
	}
	eventually(t, "released", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.released) == 3
	})
	require.Zero(t, f.live())
}

// A caller that gives up and asks again at once must not get the lease that its
// first call sends back.
func TestAskingAgainAfterGivingUp(t *testing.T) {
	f := newFake(t)
	arrived, hold := make(chan struct{}, 2), make(chan struct{})
	var once sync.Once
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if m.Kind() == wire.KindSchedule {
			once.Do(func() { arrived <- struct{}{}; <-hold })
		}
		return false
	})
	c := f.dial(nil)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Schedule(ctx, Task{ID: "t1"})
		failed <- err
	}()
	<-arrived
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	second := make(chan *Lease, 1)
	go func() {
		l, err := c.Schedule(within(t), Task{ID: "t1"})
		if err != nil {
			t.Error(err)
		}
		second <- l
	}()
	// Both requests are on the wire before the first is answered.
	conn := c.conn.Load()
	eventually(t, "both sent", func() bool { return conn.inFlight() == 2 })
	close(hold)
	l := <-second
	require.NoError(t, l.Err())
	require.Equal(t, wire.StateGranted, f.state(l.ID()).State)
	require.Equal(t, 1, f.live())
}

// Releases, schedules, lost connections and given-up calls at random: in the end
// only what is held takes room.
func TestNoRoomLeaks(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	var all sync.WaitGroup
	var held sync.Map
	for g := range 8 {
		all.Go(func() {
			for i := range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond+100*time.Microsecond)
				l, err := c.Schedule(ctx, Task{ID: fmt.Sprintf("t-%d-%d", g, i)})
				cancel()
				switch {
				case err == nil && i%3 == 0:
					held.Store(l.ID(), l)
				case err == nil:
					if err := c.Release(within(t), l); err != nil {
						t.Error(err)
					}
				case !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	want := 0
	held.Range(func(any, any) bool { want++; return true })
	eventually(t, "only held leases take room", func() bool { return f.live() == want })
}
