package bench

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// stepper applies messages to a scheduler and remembers which step of each phase
// took longest. It counts the processor time of its own thread, so other
// programs on the machine do not count; the garbage collector is off.
type stepper struct {
	tb      testing.TB
	s       *sched.State
	out     sched.Outbox
	phase   string
	steps   int
	total   time.Duration
	longest time.Duration
	at      int   // the step that took longest
	over    []int // the steps that took more than stepLimit
}

// stepLimit is how long one step may hold the core.
const stepLimit = time.Millisecond

// threadTime returns the processor time of the calling thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func (p *stepper) begin(phase string) {
	p.end()
	p.phase, p.steps, p.total, p.longest, p.over = phase, 0, 0, 0, nil
}

func (p *stepper) end() {
	if p.phase != "" {
		p.tb.Logf("%-28s %9d steps, mean %6d ns, longest %8.1f us (step %d), over 1 ms: %d %v", p.phase, p.steps,
			int(p.total)/max(p.steps, 1), float64(p.longest)/1e3, p.at, len(p.over), p.over[:min(len(p.over), 12)])
	}
	p.phase = ""
}

// step times one call.
func (p *stepper) step(call func()) {
	p.out.Reset()
	before := threadTime()
	call()
	took := threadTime() - before
	p.total += took
	if took > stepLimit {
		p.over = append(p.over, p.steps+1)
	}
	if p.steps++; took > p.longest {
		p.longest, p.at = took, p.steps
	}
}

func (p *stepper) apply(now sched.Time, from sched.Session, m wire.Message) *sched.Item {
	p.step(func() { p.s.Apply(now, from, 1, m, &p.out) })
	if len(p.out.Items) == 0 {
		return nil
	}
	return &p.out.Items[0]
}

// BenchmarkLongestStep grows and shrinks every table of the scheduler and logs
// the longest single step of each phase: show them with -v.
func BenchmarkLongestStep(b *testing.B) {
	workers, leases, waiters := 1_000_000, 4_000_000, 1_000_000
	if testing.Short() {
		workers, leases, waiters = 20_000, 100_000, 50_000
	}
	for _, sets := range []int{1, 900} {
		b.Run(fmt.Sprintf("tagsets=%d", sets), func(b *testing.B) {
			for b.Loop() {
				longestStep(b, workers, leases, waiters, sets)
			}
		})
	}
}

func longestStep(b *testing.B, workers, leases, waiters, sets int) {
	const perSession = 4000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GC()
	cfg := sched.DefaultConfig()
	cfg.Instance = 7
	s, err := sched.New(cfg)
	require.NoError(b, err)
	p := &stepper{tb: b, s: s}
	hello := &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"}
	p.apply(0, 1, hello)

	p.begin("workers register")
	for i := range workers {
		from := sched.Session(2 + i/perSession)
		if i%perSession == 0 {
			s.Apply(0, from, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &p.out)
		}
		p.apply(0, from, &wire.Register{Worker: "w" + strconv.Itoa(i), Address: "10.0.0.1:9000", Incarnation: 1, Seq: 1,
			Tags: []string{"linux", "set-" + strconv.Itoa(i%sets)}, Slots: 16})
		p.apply(0, from, &wire.Promised{Handle: uint32(i % perSession), Grantor: s.Grantor()})
	}
	ids := make([]wire.LeaseID, 0, leases)
	p.begin("leases grow")
	task := make([]byte, 0, 32)
	for i := range leases {
		task = strconv.AppendInt(append(task[:0], "task-"...), int64(i), 10)
		it := p.apply(1, 1, &wire.Schedule{Task: task, TTLMS: 3_600_000})
		require.Equal(b, wire.KindPlaced, it.Kind)
		ids = append(ids, it.Placed.Lease)
	}
	p.begin("leases shrink")
	for _, id := range ids {
		p.apply(2, 1, &wire.Release{Lease: id})
	}
	s.Apply(3, 2, 1, &wire.Register{Worker: "full", Address: "10.0.0.1:9000", Incarnation: 1, Seq: 1, Tags: []string{"full"}, Slots: 1}, &p.out)
	s.Apply(3, 2, 1, &wire.Promised{Handle: min(perSession, uint32(workers)), Grantor: s.Grantor()}, &p.out)
	full := wire.AppendTags(nil, []string{"full"})
	require.Equal(b, wire.KindPlaced, p.apply(3, 1, &wire.Schedule{Task: []byte("first"), Tags: full, TTLMS: 3_600_000}).Kind)
	p.begin("waiters grow")
	for i := range waiters {
		task = strconv.AppendInt(append(task[:0], "wait-"...), int64(i), 10)
		p.apply(3, 1, &wire.Schedule{Task: task, WaitMS: 3_600_000, Tags: full, Owner: strconv.AppendInt(nil, int64(i%5000), 10)})
		require.Empty(b, p.out.Items)
	}
	p.begin("waiters cancelled")
	for i := range waiters {
		p.apply(4, 1, &wire.Cancel{Task: "wait-" + strconv.Itoa(i)})
	}
	p.begin("workers fall silent")
	for now := sched.Time(3); now < 60_000; now = max(now+1, s.NextPulse()) {
		p.step(func() { s.Pulse(now, &p.out) })
		if s.NextPulse() > 60_000 {
			break
		}
	}
	p.begin("connections close")
	for i := 0; i < workers; i += perSession {
		from := sched.Session(2 + i/perSession)
		p.step(func() { s.Close(60_000, from, &p.out) })
	}
	p.end()
}
