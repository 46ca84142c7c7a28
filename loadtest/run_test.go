package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/server"
)

// scheduler is a real one on a free port.
type scheduler struct {
	config server.Config
	server *server.Server
	missed bool // a restart lasts until a request by HTTP has found nobody
}

func startScheduler(t *testing.T, changes ...func(c *server.Config)) *scheduler {
	t.Helper()
	c := server.DefaultConfig()
	c.Addr, c.HTTPAddr = ports.Addr(t), ports.Addr(t) // Restart comes back there
	c.Logger = slog.New(slog.DiscardHandler)
	c.Sched.StartTTL = 500
	for _, change := range changes {
		change(&c)
	}
	s := &scheduler{config: c}
	require.NoError(t, s.start())
	s.config.Addr, s.config.HTTPAddr = s.server.Addr(), s.server.HTTPAddr()
	t.Cleanup(func() { s.server.Kill() })
	return s
}

func (s *scheduler) start() (err error) {
	if s.server, err = server.New(s.config); err != nil {
		return err
	}
	return s.server.Start()
}

// Restart implements Restarter.
func (s *scheduler) Restart(ctx context.Context) error {
	s.server.Kill()
	if s.missed {
		if err := miss(ctx, s.config.HTTPAddr); err != nil {
			return err
		}
	}
	return s.start()
}

// miss leaves one request to an address without an answer.
func miss(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		n, _ := conn.Read(make([]byte, 1))
		stop()
		_ = conn.Close()
		if n > 0 {
			return nil
		}
	}
}

// small is a run of 50 workers on s for 2 seconds, in short tests for half of it.
func small(s *scheduler) Config {
	c := DefaultConfig()
	c.Addr, c.HTTPAddr, c.Scheduler, c.Embedded = s.config.Addr, s.config.HTTPAddr, s, true
	c.Workers, c.Clients, c.Loops = 50, 6, 2
	c.Duration, c.TaskTime, c.Heartbeat = 2*time.Second, 200*time.Millisecond, 200*time.Millisecond
	if testing.Short() {
		c.Duration /= 2
	}
	c.Late, c.Hold = 0.05, 0.05
	c.Seed = uint64(time.Now().UnixNano())
	return c
}

func runSmall(t *testing.T, c Config) *Report {
	t.Helper()
	t.Logf("seed %d", c.Seed)
	ctx, cancel := context.WithTimeout(t.Context(), c.Duration+60*time.Second)
	defer cancel()
	var log bytes.Buffer
	c.Progress = &log
	report, err := Run(ctx, c)
	require.NoError(t, err)
	require.Zero(t, report.Violations, "%v", report.FirstViolations)
	require.Positive(t, report.Placed.Count)
	require.Equal(t, report.Begins, report.Ends+report.TasksLost)
	if c.Duration > time.Second {
		require.Contains(t, log.String(), "schedules/s")
	}
	return report
}

// mostTries bounds the runs of one test, each twice as long as the one before.
const mostTries = 5

// runUntil is runSmall on schedulers of their own, each run longer than the one
// before, until a run has shown what it should: on a slow machine less happens
// in a time. No run may break a rule.
func runUntil(t *testing.T, config func() Config, shown func(r *Report) bool) *Report {
	t.Helper()
	c := config()
	for try := 1; ; try++ {
		r := runSmall(t, c)
		if shown(r) || try == mostTries {
			return r
		}
		longer := 2 * c.Duration
		c = config()
		c.Duration = longer
	}
}

func TestClosedLoop(t *testing.T) {
	r := runUntil(t, func() Config { return small(startScheduler(t)) }, func(r *Report) bool {
		return r.Releases > 0 && r.Renewals > 0 && r.Repeats > 0 && r.GivenBack > 0
	})
	require.Positive(t, r.Heartbeats)
	require.Positive(t, r.Releases)
	require.Positive(t, r.Renewals)
	require.Positive(t, r.Repeats)
	require.Positive(t, r.GivenBack, "late leases are asked back")
	require.Zero(t, r.Reconnects)
	require.Zero(t, r.Superseded)
}

func TestOpenLoop(t *testing.T) {
	c := small(startScheduler(t))
	c.Rate = 500
	r := runSmall(t, c)
	asked := float64(r.Placed.Count + r.Refused.Count)
	want := c.Rate * r.Seconds
	require.InDelta(t, want, asked, want/4, "as many requests as the rate says, whatever the answers")
}

func TestFaults(t *testing.T) {
	r := runUntil(t, func() Config {
		c := small(startScheduler(t))
		c.Faults = true
		return c
	}, func(r *Report) bool { return r.Resent > 0 && r.Network.Duplicates > 0 })
	require.Equal(t, 5, r.WorkerCrashes)
	require.Equal(t, 1, r.Restarts)
	require.GreaterOrEqual(t, r.Reconnects, uint64(r.Workers), "a restart disconnects everybody")
	require.Positive(t, r.Resent)
	require.Positive(t, r.Network.Duplicates)
}

func TestProfiles(t *testing.T) {
	for _, p := range []Profile{ProfileResources, ProfileGangs} {
		for _, faults := range []bool{false, true} {
			if testing.Short() && (!faults || p != ProfileGangs) {
				continue
			}
			t.Run(fmt.Sprintf("%s/faults=%v", p, faults), func(t *testing.T) {
				r := runUntil(t, func() Config {
					c := small(startScheduler(t))
					c.Profile, c.Faults, c.Occupancy = p, faults, 1.5
					return c
				}, func(r *Report) bool {
					return r.Kinds[kindShare.String()].Placed > 0 && r.Kinds[kindWhole.String()].Placed > 0 && (p != ProfileGangs || r.Refusals["all_or_none"] > 0)
				})
				require.Positive(t, r.Kinds[kindShare.String()].Placed)
				require.Positive(t, r.Kinds[kindWhole.String()].Placed)
				require.Equal(t, p == ProfileGangs, r.Refusals["all_or_none"] > 0)
			})
		}
	}
}

func TestOverload(t *testing.T) {
	for _, faults := range []bool{false, true} {
		if faults && testing.Short() {
			continue
		}
		t.Run(fmt.Sprintf("faults=%v", faults), func(t *testing.T) {
			if !faults { // a restart needs its port alone
				t.Parallel()
			}
			r := runUntil(t, func() Config {
				c := small(startScheduler(t, func(c *server.Config) { c.Sched.PreemptGrace = 300 }))
				c.Profile, c.Faults, c.Slots, c.Depth = ProfileOverload, faults, 2, 64
				c.Duration += c.Duration / 2
				return c
			}, func(r *Report) bool {
				return r.Waits["high"].Count > 0 && r.Preempting > 0 && r.Preempted > 0 && r.Requeued > 0 && r.Killed > 0
			})
			require.Len(t, r.Waits, classes)
			require.Positive(t, r.Waits["high"].Count)
			require.Positive(t, r.Preempting)
			require.Positive(t, r.Preempted)
			require.Positive(t, r.Requeued)
			require.Positive(t, r.Killed)
			t.Logf("%d preempt, %d told, %d killed, %d requeued", r.Preempting, r.Preempted, r.Killed, r.Requeued)
		})
	}
}

func TestFullFleetRefuses(t *testing.T) {
	r := runUntil(t, func() Config {
		c := small(startScheduler(t))
		c.Slots, c.Occupancy, c.Duration = 1, 2, 500*time.Millisecond
		return c
	}, func(r *Report) bool { return r.Refusals["unavailable"] > 0 })
	require.Positive(t, r.Refusals["unavailable"])
	require.Equal(t, 50, r.Slots)
}

func TestMemoryOfEndedLeasesFills(t *testing.T) {
	r := runUntil(t, func() Config {
		c := small(startScheduler(t))
		c.Workers, c.Clients, c.Loops, c.Slots, c.TaskTime = 1, 2, 1, 1000, time.Millisecond
		c.Late, c.Hold, c.Depth = 0, 0, 64
		return c
	}, func(r *Report) bool { return r.Superseded > 0 })
	require.Greater(t, r.Ends, uint64(ledger.DefaultMemory))
	t.Logf("%d ends", r.Ends)
	require.Positive(t, r.Superseded, "a full memory takes a new incarnation")
}

func TestNobodyThere(t *testing.T) {
	c := DefaultConfig()
	c.Addr, c.Workers = ports.Addr(t), 3
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, c)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "0 of 3 workers are registered")
}

func TestReport(t *testing.T) {
	c := small(startScheduler(t))
	c.Duration = 300 * time.Millisecond
	r := runSmall(t, c)
	var text, raw bytes.Buffer
	require.NoError(t, r.Print(&text))
	first, _, _ := bytes.Cut(text.Bytes(), []byte("\n"))
	require.Regexp(t, `^[0-9,]+ schedules/s, p99 [0-9.]+ ms$`, string(first))
	require.Regexp(t, `(?m)^placed +[0-9,]+ `, text.String())
	require.Contains(t, text.String(), "its share is included")
	require.Contains(t, text.String(), "violations: 0\n")
	require.NoError(t, json.NewEncoder(&raw).Encode(r))
	var again Report
	require.NoError(t, json.Unmarshal(raw.Bytes(), &again))
	require.Equal(t, r.Placed, again.Placed)
}
