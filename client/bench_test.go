package client

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// echo answers every schedule with a new lease and every release with OK, one
// write for each read, as cheaply as it can.
func echo(nc net.Conn) {
	defer nc.Close()
	in := newInput(nc)
	target := wire.AppendTarget(nil, "worker-1", "10.0.0.1:7000")
	var out []byte
	placed := &wire.Placed{Target: target, Incarnation: 9, TTLMS: 10_000}
	released := &wire.Released{}
	counter := uint64(0)
	for {
		m, request, err := in.message()
		if err != nil {
			return
		}
		switch m.(type) {
		case *wire.Hello:
			out = wire.Append(out, request, &wire.HelloOK{Version: 1, StartTTLMS: 10_000})
		case *wire.Schedule:
			counter++
			placed.Lease = wire.LeaseID{Epoch: 1, Instance: 1, Counter: counter}
			out = wire.Append(out, request, placed)
		case *wire.Release:
			out = wire.Append(out, request, released)
		}
		if !in.buffered() {
			if _, err := nc.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

// dialEcho returns a client of an echo over loopback.
func dialEcho(tb testing.TB) *Client {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go echo(nc)
		}
	}()
	c, err := Dial(context.Background(), []string{l.Addr().String()}, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { c.Close(); l.Close() })
	return c
}

// BenchmarkSchedule is one caller that waits for each answer.
func BenchmarkSchedule(b *testing.B) {
	c := dialEcho(b)
	ctx := context.Background()
	task := Task{ID: "t1", Tags: []string{"gpu", "cuda-12.0"}}
	b.ReportAllocs()
	for b.Loop() {
		l, err := c.Schedule(ctx, task)
		if err != nil {
			b.Fatal(err)
		}
		l.Began()
	}
}

// BenchmarkScheduleParallel is many callers on one connection.
func BenchmarkScheduleParallel(b *testing.B) {
	for _, callers := range []int{16, 64, 512} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			c := dialEcho(b)
			ctx := context.Background()
			task := Task{ID: "t1", Tags: []string{"gpu", "cuda-12.0"}}
			b.ReportAllocs()
			b.SetParallelism(callers / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					l, err := c.Schedule(ctx, task)
					if err != nil {
						b.Error(err)
						return
					}
					l.Began()
				}
			})
		})
	}
}

// BenchmarkScheduleRelease is the life of a task that nobody needs.
func BenchmarkScheduleRelease(b *testing.B) {
	c := dialEcho(b)
	ctx := context.Background()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := c.Schedule(ctx, Task{ID: "t1"})
			if err == nil {
				err = c.Release(ctx, l)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkConnGo keeps 64 requests in flight from the reader alone.
func BenchmarkConnGo(b *testing.B) {
	c := dialEcho(b).conn.Load()
	m := &wire.Schedule{Task: []byte("t1"), Tags: wire.AppendTags(nil, []string{"gpu", "cuda-12.0"})}
	var left atomic.Int64
	left.Store(int64(b.N))
	end := make(chan error, 1)
	var done Done
	done = func(_ wire.Message, err error) {
		switch n := left.Add(-1); {
		case n == 0 || err != nil:
			end <- err
		case n >= 64:
			_ = c.Go(m, done) // the count tells if one is missing
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range min(64, b.N) {
		require.NoError(b, c.Go(m, done))
	}
	require.NoError(b, <-end)
}
