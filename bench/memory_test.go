package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// rawConn is a client's socket without any memory of the Go runtime's, so that
// what a connection takes is the server's alone.
type rawConn int

func dialRaw(tb testing.TB, addr string) rawConn {
	host, port, err := net.SplitHostPort(addr)
	require.NoError(tb, err)
	n, err := strconv.Atoi(port)
	require.NoError(tb, err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(tb, err)
	sa := &unix.SockaddrInet4{Port: n}
	copy(sa.Addr[:], net.ParseIP(host).To4())
	require.NoError(tb, unix.Connect(fd, sa))
	return rawConn(fd)
}

// talk sends frames and waits for answers of the given number.
func (c rawConn) talk(tb testing.TB, frames []byte, answers int, buf []byte) {
	_, err := unix.Write(int(c), frames)
	require.NoError(tb, err)
	have := 0
	for answers > 0 {
		n, err := unix.Read(int(c), buf[have:])
		require.NoError(tb, err)
		require.Positive(tb, n)
		have += n
		for {
			frame, used, err := wire.Split(buf[:have], wire.MaxFrame)
			require.NoError(tb, err)
			if frame == nil {
				break
			}
			answers--
			have = copy(buf, buf[used:have])
		}
	}
}

// BenchmarkWorkerWithConnection reports the heap that an idle registered worker
// takes together with its connection.
func BenchmarkWorkerWithConnection(b *testing.B) {
	const first, more = 4200, 4096 // the first fill the tables of a fixed size
	for b.Loop() {
		cfg := server.DefaultConfig()
		cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.NewTextHandler(io.Discard, nil))
		srv, err := server.New(cfg)
		require.NoError(b, err)
		require.NoError(b, srv.Start())
		conns := make([]rawConn, 0, first+more)
		frames, buf := make([]byte, 0, 4096), make([]byte, 4096)
		before := uint64(0)
		for i := range first + more {
			if i == first {
				before = heapInUse()
			}
			c := dialRaw(b, srv.Addr())
			conns = append(conns, c)
			id := fmt.Sprintf("worker-%06d", i)
			frames = wire.Append(frames[:0], 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent, Client: id})
			frames = wire.Append(frames, 2, &wire.Register{Worker: id, Address: "10.1.2.3:9000", Incarnation: uint64(i) + 1, Seq: 1,
				Tags: []string{"linux", fmt.Sprintf("model-%d", i%48), fmt.Sprintf("zone-%d", i%12)}, Slots: 16})
			c.talk(b, frames, 2, buf)
		}
		b.ReportMetric(float64(heapInUse()-before)/more, "B/worker")
		for _, c := range conns {
			require.NoError(b, unix.Close(int(c)))
		}
		require.NoError(b, srv.Shutdown(context.Background()))
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
