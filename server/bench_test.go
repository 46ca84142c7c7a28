package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// bench is a server with a fleet, driven without sockets.
type bench struct {
	srv *Server
	l   *loop
	s   *session

	release wire.Release // of the round, so that the client's part allocates nothing
}

func newBench(tb testing.TB, workers int) *bench {
	tb.Helper()
	cfg := DefaultConfig()
	cfg.Sched.Retention, cfg.Sched.StartTTL = wire.MaxTTL, wire.MaxTTL
	cfg.Sched.Suspicious, cfg.Sched.Offline = wire.MaxTTL, wire.MaxTTL
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	srv, err := New(cfg)
	require.NoError(tb, err)
	b := &bench{srv: srv, l: newLoop(srv, nil)}
	b.s = &session{id: 1, loop: b.l}
	b.feed(tb, wire.Append(nil, 1, helloOf("bench")))
	var in []byte
	for i := range workers {
		in = wire.Append(in[:0], 1, &wire.Register{Worker: fmt.Sprintf("w%05d", i), Address: fmt.Sprintf("10.0.%d.%d:9000", i/250, i%250),
			Incarnation: 1, Seq: 1, Slots: 1 << 16, Tags: []string{fmt.Sprintf("rack-%d", i%40), "gpu"}})
		b.feed(tb, in)
		handle := b.l.out.Items[0].Other.(*wire.Registered)
		b.feed(tb, wire.Append(in[:0], 0, &wire.Promised{Handle: handle.Handle, Grantor: handle.Grantor}))
	}
	return b
}

// feed handles frames as OnTraffic does, up to the write.
func (b *bench) feed(tb testing.TB, in []byte) {
	used := b.l.batch(b.s, in, maxFrames)
	if used != len(in) {
		tb.Fatalf("%d bytes of %d were taken", used, len(in))
	}
	b.l.encode(b.s)
	b.l.measure()
	b.l.lines = b.l.lines[:0]
}

// round handles n schedule requests, and then the releases of their leases.
func (b *bench) round(tb testing.TB, n int, in, releases []byte) ([]byte, []byte) {
	b.feed(tb, in)
	releases = releases[:0]
	for i := range n {
		it := &b.l.out.Items[i]
		if it.Kind != wire.KindPlaced {
			tb.Fatalf("%v %v", it.Kind, it.Other)
		}
		b.release.Lease = it.Placed.Lease
		releases = wire.Append(releases, 1, &b.release)
	}
	b.feed(tb, releases)
	return in, releases
}

func scheduleFrames(n int) []byte {
	var in []byte
	for i := range n {
		in = wire.Append(in, uint64(i+1), task(fmt.Sprintf("task-%05d", i), "gpu", "rack-7"))
	}
	return in
}

// BenchmarkScheduleAndRelease is the path of a request from the bytes that were
// read to the bytes that are written: decode, apply, encode.
func BenchmarkScheduleAndRelease(b *testing.B) {
	for _, n := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("%d_in_flight", n), func(b *testing.B) {
			x := newBench(b, 4_000)
			in, releases := scheduleFrames(n), []byte(nil)
			b.ReportAllocs()
			requests := 0
			for b.Loop() {
				in, releases = x.round(b, n, in, releases)
				requests += 2 * n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(requests), "ns/request")
		})
	}
}

// BenchmarkHeartbeatDatagram is the path of a datagram from the bytes that were
// read to the bytes that are written.
func BenchmarkHeartbeatDatagram(b *testing.B) {
	x := newBench(b, 4_000)
	u := &udpPort{srv: x.srv}
	beat := &wire.Beat{Worker: []byte("w01234"), Incarnation: 1}
	var in []byte
	b.ReportAllocs()
	for b.Loop() {
		beat.Seq++
		in = wire.AppendDatagram(in[:0], 1, beat)
		if len(u.handle(in)) == 0 {
			b.Fatal("no answer")
		}
	}
}

func TestTheHotPathDoesNotAllocate(t *testing.T) {
	x := newBench(t, 100)
	in, releases := scheduleFrames(64), []byte(nil)
	for range 200 { // until the slots of remembered leases are used again
		in, releases = x.round(t, 64, in, releases)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { in, releases = x.round(t, 64, in, releases) }))
}

// BenchmarkOverTCP schedules and releases over one connection of the loopback,
// with a client that writes and reads whole bursts.
func BenchmarkOverTCP(b *testing.B) {
	for _, n := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("%d_in_flight", n), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.Addr, cfg.HTTPAddr, cfg.MaxConnections = "127.0.0.1:0", "", 64
			cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
			srv, err := New(cfg)
			require.NoError(b, err)
			require.NoError(b, srv.Start())
			defer srv.Kill()
			require.NoError(b, srv.core.Report("", &sched.Report{Worker: "w", Address: "h:1", Slots: 1 << 20,
				Tags: strings.Fields("gpu rack-7")}))
			conn, err := net.Dial("tcp", srv.Addr())
			require.NoError(b, err)
			burst(b, conn, wire.Append(nil, 1, helloOf("c")), 1)
			in := scheduleFrames(n)
			requests := 0
			for b.Loop() {
				burst(b, conn, in, n)
				requests += n
			}
			b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// burst writes frames and reads n answers.
func burst(b *testing.B, conn net.Conn, frames []byte, n int) {
	if _, err := conn.Write(frames); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	have := 0
	for n > 0 {
		k, err := conn.Read(buf[have:])
		if err != nil {
			b.Fatal(err)
		}
		have += k
		rest := buf[:have]
		for {
			frame, k, err := wire.Split(rest, wire.MaxFrame)
			if err != nil {
				b.Fatal(err)
			}
			if frame == nil {
				break
			}
			rest = rest[k:]
			n--
		}
		have = copy(buf, rest)
	}
}
