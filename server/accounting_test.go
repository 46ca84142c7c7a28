package server

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// The mistakes of the older scheduler that must not come back.

func reportOf(id string, odd int) sched.Report {
	return sched.Report{Worker: id, Address: id + ":1", Slots: 1, Tags: []string{[]string{"even", "odd"}[odd]}}
}

// many schedules n tasks at once over HTTP and returns how many each worker
// got, and how many were refused.
func (f *fixture) many(n int) (got map[string]int, refused int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	got = map[string]int{}
	for i := range n {
		wg.Go(func() {
			a := f.call("POST", "/api/v1/schedule", fmt.Sprintf(`{"task_id":"t%d"}`, i))
			mu.Lock()
			defer mu.Unlock()
			if a.status == 503 {
				refused++
				return
			}
			got[strings.Split(a.body, `"`)[3]]++
		})
	}
	wg.Wait()
	return got, refused
}

func shares(got map[string]int) []int {
	var n []int
	for _, k := range got {
		n = append(n, k)
	}
	sort.Ints(n)
	return n
}

func TestManyAtOnceNeverExceedTheSlots(t *testing.T) {
	f := start(t)
	f.beat("w1", 10, 0)
	got, refused := f.many(64)
	require.Equal(t, []int{10}, shares(got))
	require.Equal(t, 54, refused)
}

func TestManyAtOnceFillFourWorkersExactly(t *testing.T) {
	f := start(t)
	for i := range 4 {
		f.beat(fmt.Sprintf("w%d", i), 5, 0)
	}
	got, refused := f.many(100)
	require.Equal(t, []int{5, 5, 5, 5}, shares(got))
	require.Equal(t, 80, refused)
}

func TestLoadIsSharedExactly(t *testing.T) {
	t.Run("40 tasks over 4 equal workers", func(t *testing.T) {
		f := start(t)
		for i := range 4 {
			f.beat(fmt.Sprintf("w%d", i), 30, 0)
		}
		got, _ := f.many(40)
		require.Equal(t, []int{10, 10, 10, 10}, shares(got))
	})
	t.Run("20 tasks over 10 and 30 slots", func(t *testing.T) {
		f := start(t)
		f.beat("small", 10, 0)
		f.beat("large", 30, 0)
		got, _ := f.many(20)
		require.Equal(t, map[string]int{"small": 5, "large": 15}, got)
	})
}

func TestWorkersWithoutSlotsAreListedAndNeverChosen(t *testing.T) {
	f := start(t)
	f.beat("w0", 0, 0)
	require.Len(t, f.list(""), 1)
	_, refused := f.many(3)
	require.Equal(t, 3, refused)
}

func TestTheSameTaskTwiceIsTwoAssignments(t *testing.T) {
	f := start(t)
	f.beat("w1", 2, 0)
	for range 2 {
		require.Equal(t, 200, f.call("POST", "/api/v1/schedule", `{"task_id":"task-001"}`).status)
	}
	require.Equal(t, 503, f.call("POST", "/api/v1/schedule", `{"task_id":"task-001"}`).status)
}

// A worker of one slot must not be given five tasks while its heartbeats, which
// still report 0, cross the assignments.
func TestAHeartbeatDoesNotWipeAnAssignment(t *testing.T) {
	t.Run("HTTP", func(t *testing.T) {
		f := start(t)
		f.beat("w1", 1, 0)
		granted := 0
		for range 5 {
			if f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`).status == 200 {
				granted++
			}
			f.beat("w1", 1, 0)
		}
		require.Equal(t, 1, granted)
	})
	t.Run("native", func(t *testing.T) {
		f := start(t)
		a := f.agent("w1", 1)
		c := f.dial("c")
		placed(t, c.ask(1, task("t0")))
		for i := range 5 {
			a.seq++
			a.send(0, &wire.Heartbeat{Handle: a.handle, Seq: a.seq})
			a.alive()
			c.send(uint64(i+2), task(fmt.Sprintf("t%d", i+1)))
			c.refusal(wire.CodeUnavailable)
		}
	})
}

func TestSilentWorkersBecomeSuspiciousThenOfflineThenGo(t *testing.T) {
	f, clock := startByHand(t, short, func(c *Config) { c.Sched.Retention = 300 })
	status := func() string {
		rows := f.list("")
		if len(rows) == 0 {
			return "gone"
		}
		return rows[0].Status
	}
	f.beat("w1", 5, 0)
	require.Equal(t, "online", status())
	clock.pass(290 * time.Millisecond)
	require.Equal(t, "online", status())
	clock.pass(10 * time.Millisecond)
	require.Equal(t, "suspicious", status())
	a := f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, `"reason":"unavailable"`)
	f.beat("w1", 5, 0)
	require.Equal(t, "online", status())
	require.Equal(t, 200, f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`).status)
	clock.pass(590 * time.Millisecond)
	require.Equal(t, "suspicious", status())
	clock.pass(10 * time.Millisecond)
	require.Equal(t, "offline", status())
	require.Equal(t, 503, f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`).status)
	clock.pass(290 * time.Millisecond)
	require.Equal(t, "offline", status())
	clock.pass(20 * time.Millisecond)
	require.Equal(t, "gone", status())
}

func TestABrokenConnectionMakesAWorkerSuspiciousAtOnce(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 1)
	require.NoError(t, a.conn.Close())
	eventually(t, func() bool { return f.list("")[0].Status == "suspicious" }, "suspicious")
}

func TestALeaseThatIsNotRenewedIsAskedBack(t *testing.T) {
	f := start(t, func(c *Config) { c.Sched.StartTTL = 150 })
	a := f.agent("w1", 1)
	p := placed(t, f.dial("c").ask(1, task("t1")))
	_, m := a.read()
	require.Equal(t, p.Lease, m.(*wire.Revoke).Lease)
	a.seq++
	a.send(0, &wire.Revoked{Handle: a.handle, Seq: a.seq, Lease: p.Lease})
	a.alive()
	placed(t, f.dial("d").ask(1, task("t2")))
}

func TestOneLineForEachEventAndNoneForHeartbeats(t *testing.T) {
	f := start(t, func(c *Config) { c.UDP = false }) // whose start may have something to say
	evil := "w\nlevel=ERROR msg=forged"
	for i := range 50 {
		f.call("POST", "/api/v1/heartbeat", fmt.Sprintf(`{"worker_id":%q,"max_tasks":%d}`, evil, i))
	}
	f.agent("w2", 1)
	f.call("DELETE", "/api/v1/workers/w%0Alevel=ERROR%20msg=forged", "")
	lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
	require.Len(t, lines, 2, f.log.String())
	require.Contains(t, lines[0], "worker=w2")
	require.Contains(t, lines[1], `worker="w\nlevel=ERROR msg=forged"`)
}

// Many connections of both kinds at once: what is granted never exceeds the
// slots, and everything is answered.
func TestBothProtocolsAtOnce(t *testing.T) {
	f := start(t, func(c *Config) { c.Loops = 2 })
	f.agent("w1", 50)
	f.beat("w2", 50, 0)
	var granted, refused atomic.Int64
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			if k%2 == 0 {
				c := f.dial(fmt.Sprintf("c%d", k))
				for i := range 40 {
					if _, ok := c.ask(uint64(i+1), task(fmt.Sprintf("t%d", i))).(*wire.Placed); ok {
						granted.Add(1)
					} else {
						refused.Add(1)
					}
				}
				return
			}
			for range 40 {
				if f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`).status == 200 {
					granted.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, granted.Load())
	require.EqualValues(t, 220, refused.Load())
}

func TestTimesAreTheServersOwn(t *testing.T) {
	f := start(t)
	for _, stamp := range []int64{0, 1 << 40, -5, time.Now().Add(-24 * time.Hour).Unix()} {
		body := fmt.Sprintf(`{"worker_id":"w%d","max_tasks":1,"timestamp":%d}`, stamp, stamp)
		require.Equal(t, 200, f.call("POST", "/api/v1/heartbeat", body).status)
	}
	for _, r := range f.list("") {
		seen, err := time.Parse(time.RFC3339, r.LastHeartbeat)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), seen, 5*time.Second)
		require.Equal(t, "online", r.Status)
	}
}
