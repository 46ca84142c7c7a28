package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// target is a scheduler in a process of its own, with one worker and one client.
type target struct {
	tb   testing.TB
	p    *process
	conn net.Conn
	dec  wire.Decoder
	in   []byte
	have int
	out  []byte
	ids  []wire.LeaseID
}

func newTarget(tb testing.TB, args ...string) *target {
	tb.Helper()
	x := &target{tb: tb, p: launch(tb, append(args, "--port=0", "--log-level=error", "--offline-threshold=1h", "--suspicious-threshold=1h")...), in: make([]byte, 1<<20)}
	port := x.p.line("Scheduler listening on port ")
	_, native, _ := strings.Cut(x.p.line("HTTP on "), "native protocol on ")
	native, _, _ = strings.Cut(native, " ")
	beat := strings.NewReader(`{"worker_id":"w1","address":"h:1","resource_tags":["gpu"],"max_tasks":1000000}`)
	res, err := http.Post("http://127.0.0.1:"+port+"/api/v1/heartbeat", "application/json", beat)
	require.NoError(tb, err)
	require.NoError(tb, res.Body.Close())
	x.conn, err = net.Dial("tcp", native)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = x.conn.Close() })
	hello := &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleClient, Client: "bench"}
	x.exchange(wire.Append(nil, 1, hello), 1)
	return x
}

// exchange writes frames and reads n answers, whose leases it keeps.
func (x *target) exchange(frames []byte, n int) {
	_, err := x.conn.Write(frames)
	require.NoError(x.tb, err)
	for x.ids = x.ids[:0]; n > 0; {
		k, err := x.conn.Read(x.in[x.have:])
		require.NoError(x.tb, err)
		x.have += k
		used := 0
		for {
			frame, size, err := wire.Split(x.in[used:x.have], wire.MaxFrame)
			require.NoError(x.tb, err)
			if frame == nil {
				break
			}
			m, _, err := x.dec.Decode(frame)
			require.NoError(x.tb, err)
			if p, ok := m.(*wire.Placed); ok {
				x.ids = append(x.ids, p.Lease)
			}
			used, n = used+size, n-1
		}
		x.have = copy(x.in, x.in[used:x.have])
	}
}

// phase schedules and releases n tasks at a time for a while, and returns the
// processor time that the scheduler took for each request.
func (x *target) phase(n int, length time.Duration) float64 {
	tags, requests, before := wire.AppendTags(nil, []string{"gpu"}), 0, x.cpu()
	for end := time.Now().Add(length); time.Now().Before(end); requests += 2 * n {
		x.out = x.out[:0]
		for i := range n {
			x.out = wire.Append(x.out, uint64(i+1), &wire.Schedule{Task: fmt.Appendf(nil, "t%d", i), Tags: tags})
		}
		x.exchange(x.out, n)
		require.Len(x.tb, x.ids, n)
		x.out = x.out[:0]
		for i, id := range x.ids {
			x.out = wire.Append(x.out, uint64(i+1), &wire.Release{Lease: id})
		}
		x.exchange(x.out, n)
	}
	return float64(x.cpu()-before) / float64(requests)
}

// cpu returns the processor time of the process so far.
func (x *target) cpu() (sum time.Duration) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", x.p.cmd.Process.Pid))
	require.NoError(x.tb, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(x.tb, err)
		on, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(on, 10, 64)
		require.NoError(x.tb, err)
		sum += time.Duration(n)
	}
	return sum
}

// BenchmarkMetricsOverSockets prints the processor time that metrics add to a
// request. Three schedulers, two of them without metrics, are driven in turns
// through real sockets; the median of the differences within the rounds is
// taken, also of the two that are alike: that one should be 0, and shows what
// the figures are worth. Run it with -benchtime 50x for fifty rounds.
func BenchmarkMetricsOverSockets(b *testing.B) {
	for _, n := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("%d_in_flight", n), func(b *testing.B) {
			bare := []string{"--metrics=false", "--slow-decision=0"}
			targets := [3]*target{newTarget(b), newTarget(b, bare...), newTarget(b, bare...)}
			const length = 50 * time.Millisecond
			var added, noise, without []float64
			for round := 0; b.Loop(); round++ {
				var cost [len(targets)]float64
				for i := range targets {
					turn := (round + i) % len(targets)
					cost[turn] = targets[turn].phase(n, length)
				}
				added = append(added, cost[0]-(cost[1]+cost[2])/2)
				noise = append(noise, cost[1]-cost[2])
				without = append(without, cost[1])
			}
			b.ReportMetric(median(added), "added-cpu-ns/request")
			b.ReportMetric(median(noise), "noise-cpu-ns/request")
			b.ReportMetric(median(without), "without-cpu-ns/request")
		})
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
