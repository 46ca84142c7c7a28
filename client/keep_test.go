package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// pipes dials connections in memory, so that a test may run in virtual time.
// serve plays the n-th scheduler; a nil one refuses to be dialled.
func pipes(serve func(n int) func(in *input, nc net.Conn)) func(context.Context, string) (net.Conn, error) {
	var mu sync.Mutex
	n := 0
	return func(context.Context, string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		play := serve(n)
		n++
		if play == nil {
			return nil, errors.New("refused")
		}
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			in := newInput(far)
			if _, _, err := in.message(); err != nil {
				return
			}
			far.Write(wire.Append(nil, 1, &wire.HelloOK{Version: 1, StartTTLMS: 10_000,
				Limits: map[string]uint64{"selector": wire.MaxSelector, "wait_ms": wire.MaxWait, "grace_ms": graceOfFake}}))
			play(in, far)
		}()
		return near, nil
	}
}

// pong answers every message with a pong.
func pong(in *input, nc net.Conn) {
	for {
		_, request, err := in.message()
		if err != nil {
			return
		}
		nc.Write(wire.Append(nil, request, &wire.Pong{}))
	}
}

// hangUp lets the handshake end and says nothing more.
func hangUp(*input, net.Conn) { time.Sleep(time.Millisecond) }

func TestASilentSchedulerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []wire.Kind
		silent := func(in *input, _ net.Conn) {
			for {
				m, _, err := in.message()
				if err != nil {
					return
				}
				asked = append(asked, m.Kind())
			}
		}
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(n int) func(*input, net.Conn) {
			return []func(*input, net.Conn){silent, pong}[n]
		})})
		require.NoError(t, err)
		start := time.Now()
		require.NoError(t, c.Ping(t.Context()), "by the second connection")
		require.Less(t, time.Since(start), 3*silence)
		require.NoError(t, c.Close())
		synctest.Wait()
		require.Equal(t, []wire.Kind{wire.KindPing, wire.KindPing}, asked, "the call, and one more to make sure")
	})
}

func TestAnIdleConnectionIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(n int) func(*input, net.Conn) {
			require.Zero(t, n, "dialled once")
			return func(in *input, nc net.Conn) {
				_, _, err := in.message() // blocks: nobody asks anything
				require.Error(t, err)
			}
		})})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.NoError(t, c.Close())
	})
}

func TestBackoffIsBoundedAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Time
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(n int) func(*input, net.Conn) {
			dials = append(dials, time.Now())
			switch {
			case n == 0:
				return hangUp
			case n < 30:
				return nil
			}
			return pong
		})})
		require.NoError(t, err)
		require.NoError(t, c.Ping(t.Context()))
		require.Len(t, dials, 31)
		for i := 1; i < len(dials); i++ {
			bound := min(lastBackoff, firstBackoff<<min(i-1, 10)) + 2*time.Millisecond
			require.LessOrEqual(t, dials[i].Sub(dials[i-1]), bound, "pause %d", i)
		}
		require.NoError(t, c.Close())
	})
}

// A scheduler that greets and hangs up must not be dialled in a tight loop.
func TestAConnectionThatDoesNotLastKeepsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(n int) func(*input, net.Conn) {
			dials++
			return hangUp
		})})
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		require.NoError(t, c.Close())
		time.Sleep(time.Second) // the last of the peers may be asleep
		require.Less(t, dials, 600, "one in 2.5 s on average, after the first few")
	})
}

func TestRenewalsComeEveryThirdOfTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var renewed []time.Time
		serve := func(in *input, nc net.Conn) {
			for {
				m, request, err := in.message()
				if err != nil {
					return
				}
				var answer wire.Message = &wire.Placed{Lease: wire.LeaseID{Epoch: 1, Instance: 1, Counter: 1}, Target: wire.AppendTarget(nil, "w", "h"), TTLMS: 10_000}
				if _, ok := m.(*wire.Renew); ok {
					renewed = append(renewed, time.Now())
					answer = &wire.Renewed{Leases: []wire.LeaseStatus{{State: wire.StateGranted}}}
				}
				if _, ok := m.(*wire.Release); ok {
					answer = &wire.Released{}
				}
				nc.Write(wire.Append(nil, request, answer))
			}
		}
		c, err := Dial(t.Context(), []string{"x"}, &Options{Dial: pipes(func(int) func(*input, net.Conn) { return serve })})
		require.NoError(t, err)
		l, err := c.Schedule(t.Context(), Task{ID: "t1"})
		require.NoError(t, err)
		granted := time.Now()
		<-l.Lost()
		require.ErrorIs(t, l.Err(), errStartWithin)
		require.GreaterOrEqual(t, time.Since(granted), defaultStartWithin)
		require.Less(t, time.Since(granted), defaultStartWithin+5*time.Second)
		require.NoError(t, c.Close())
		synctest.Wait()
		last := granted
		for _, at := range renewed {
			require.LessOrEqual(t, at.Sub(last), 5*time.Second, "half of the ttl at most")
			last = at
		}
		require.GreaterOrEqual(t, len(renewed), 14)
	})
}

// TestFailuresThatDifferByALocalPortAreLoggedOnce: while no scheduler answers, each
// reason is one line, and again after one has answered.
func TestFailuresThatDifferByALocalPortAreLoggedOnce(t *testing.T) {
	var log strings.Builder
	c := &Client{log: slog.New(slog.NewTextHandler(&log, nil))}
	reset := func(port int) error {
		return &net.OpError{
			Op: "read", Net: "tcp", Err: syscall.ECONNRESET,
			Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081},
		}
	}
	for port := 40_000; port < 40_050; port++ {
		c.tellFailure(fmt.Errorf("dtask: connecting to h: %w", reset(port)))
	}
	require.Equal(t, 1, strings.Count(log.String(), "no scheduler answers"))
	c.tellFailure(io.EOF)
	c.tellFailure(io.EOF)
	c.tellFailure(reset(40_051))
	require.Equal(t, 3, strings.Count(log.String(), "no scheduler answers"))
}
