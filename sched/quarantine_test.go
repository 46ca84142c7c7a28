package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// farm is a fleet under a clock of its own: tasks of some owners, as many as
// there is room for, each with its time and its end.
type farm struct {
	s         *State
	now       Time
	out       Outbox
	tasks     map[Time][]farmTask // by the time of their end
	owners    []string
	n         int
	failed    int
	outcome   func(worker int32, owner string) (runs Time, end wire.Reason)
	perSecond int
	tags      func(owner string) []string
}

type farmTask struct {
	lease   wire.LeaseID
	worker  int32
	outcome wire.Reason
}

// newFarm has workers of 4 slots, which are never silent for too long.
func newFarm(t *testing.T, workers int, cfg Config) *farm {
	cfg.Instance, cfg.Suspicious, cfg.Offline = 7, 1<<40, 1<<40
	s, err := New(cfg)
	require.NoError(t, err)
	f := &farm{s: s, tasks: map[Time][]farmTask{}, owners: []string{"ann", "bob", "eve", "dan"}, perSecond: 40,
		tags: func(string) []string { return nil }}
	s.Apply(0, 1, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "farm"}, &f.out)
	s.Apply(0, 2, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &f.out)
	for i := range workers {
		s.Apply(0, 2, 1, &wire.Register{Worker: fmt.Sprintf("w%03d", i), Address: "h:1", Incarnation: 1, Seq: 1, Slots: 4, Tags: []string{"any", "half"}[:1+i%2]}, &f.out)
		s.Apply(0, 2, 1, &wire.Promised{Handle: uint32(i), Grantor: s.Grantor()}, &f.out)
	}
	return f
}

// second ends what is over and asks for places until there is none, at most
// perSecond times.
func (f *farm) second(t *testing.T) {
	f.now += 1000
	for f.s.NextPulse() <= f.now {
		f.s.Pulse(f.now, &f.out)
	}
	for _, task := range f.tasks[f.now] {
		w := f.s.workers.At(task.worker)
		f.s.Apply(f.now, 2, 1, &wire.End{Handle: w.handle, Seq: w.seq + 1, Lease: task.lease, Outcome: task.outcome}, &f.out)
	}
	delete(f.tasks, f.now)
	for range f.perSecond {
		f.n++
		owner := f.owners[mix(uint64(f.n), hashK1)%uint64(len(f.owners))]
		f.out.Reset()
		f.s.Apply(f.now, 1, 1, &wire.Schedule{Task: fmt.Appendf(nil, "t%d", f.n), Owner: []byte(owner), Tags: wire.AppendTags(nil, f.tags(owner))}, &f.out)
		if f.out.Items[0].Kind != wire.KindPlaced {
			return
		}
		lease := f.out.Items[0].Placed.Lease
		slot, _ := f.s.leases.find(lease)
		n := f.s.leases.slots.At(slot).worker
		w := f.s.workers.At(n)
		f.s.Apply(f.now, 2, 1, &wire.Begun{Handle: w.handle, Seq: w.seq + 1, Record: wire.Record{Lease: lease, Task: fmt.Appendf(nil, "t%d", f.n)}}, &f.out)
		runs, outcome := f.outcome(n, owner)
		if outcome != wire.ReasonOK {
			f.failed++
		}
		f.tasks[f.now+runs] = append(f.tasks[f.now+runs], farmTask{lease, n, outcome})
	}
	require.NotEmpty(t, f.tasks)
}

// deadGPU fails whatever comes to the first worker within a second, while tasks
// take ten minutes elsewhere.
func deadGPU(worker int32, _ string) (Time, wire.Reason) {
	if worker == 0 {
		return 1000, wire.ReasonFailed
	}
	return 600_000, wire.ReasonOK
}

// TestADeadGPUDoesNotEatTheBatch: one machine of a hundred fails each task within
// a second and so is always the least loaded. In an hour and three quarters it
// destroys thousands of tasks, and with quarantine a few.
func TestADeadGPUDoesNotEatTheBatch(t *testing.T) {
	lost := map[bool]int{}
	for _, on := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.Quarantine = on
		f := newFarm(t, 100, cfg)
		f.outcome = deadGPU
		for range 106 * 60 {
			f.second(t)
		}
		lost[on] = f.failed
		require.NoError(t, f.s.Check())
		require.Zero(t, f.s.log.ends[wire.ReasonLost])
	}
	t.Logf("%d tasks are lost without quarantine, %d with it", lost[false], lost[true])
	require.Greater(t, lost[false], 10_000)
	require.Less(t, lost[true], 50)
}

// TestSeveralDeadGPUsAreFound: ten machines of a hundred break in one second.
// Together they eat whatever comes, and do not vouch for each other.
func TestSeveralDeadGPUsAreFound(t *testing.T) {
	f := newFarm(t, 100, DefaultConfig())
	f.outcome = func(worker int32, _ string) (Time, wire.Reason) {
		if worker < 10 && f.now > 1_800_000 {
			return 1000, wire.ReasonFailed
		}
		return 600_000, wire.ReasonOK
	}
	for range 2 * 3600 {
		f.second(t)
	}
	t.Logf("%d tasks are lost", f.failed)
	require.Less(t, f.failed, 500)
	require.Equal(t, 10, f.s.health.Ejected())
}

// TestAPoisonousBatchQuarantinesNobody: three of four owners send tasks that fail
// wherever they run, which is on half of the fleet or on all of it.
func TestAPoisonousBatchQuarantinesNobody(t *testing.T) {
	for _, tag := range []string{"any", "half"} {
		f := newFarm(t, 60, DefaultConfig())
		f.tags = func(owner string) []string {
			if owner != "dan" {
				return []string{tag}
			}
			return nil
		}
		f.outcome = func(_ int32, owner string) (Time, wire.Reason) {
			if owner != "dan" {
				return 2000, wire.ReasonFailed
			}
			return 60_000, wire.ReasonOK
		}
		f.perSecond = 20
		for range 3600 {
			f.second(t)
		}
		require.Greater(t, f.failed, 10_000)
		require.Zero(t, f.s.health.Ejections(), "the tasks run on %s", tag)
		require.NoError(t, f.s.Check())
	}
}

// TestTasksThatFailNowAndThenQuarantineNobody: a tenth of all tasks fails,
// anywhere.
func TestTasksThatFailNowAndThenQuarantineNobody(t *testing.T) {
	f := newFarm(t, 60, DefaultConfig())
	draw := uint64(1)
	f.outcome = func(int32, string) (Time, wire.Reason) {
		draw = mix(draw^hashK0, hashK1)
		if draw%10 == 0 {
			return 1000, wire.ReasonFailed
		}
		return 1000 * Time(1+draw>>8%60), wire.ReasonOK
	}
	for range 3600 {
		f.second(t)
	}
	require.Greater(t, f.failed, 1000)
	require.Zero(t, f.s.health.Ejections())
}

// TestOutcomesAllocateNothing: while some fail, a task that goes well costs no
// allocation.
func TestOutcomesAllocateNothing(t *testing.T) {
	c := newCycle(withWorkers(t, 500))
	c.schedule.Owner = []byte("ann")
	c.end.Outcome = wire.ReasonFailed
	for range 3 {
		c.live(t)
	}
	c.end.Outcome = wire.ReasonOK
	require.True(t, c.s.health.Failing())
	for range 3 * leaseMemory {
		c.live(t)
	}
	c.end.Outcome = wire.ReasonFailed
	c.live(t)
	c.end.Outcome = wire.ReasonOK
	require.Zero(t, testing.AllocsPerRun(1000, func() { c.live(t) }))
	require.NoError(t, c.s.Check())
}

// TestQuarantineNumbersAreVerified: each number out of its range is named.
func TestQuarantineNumbersAreVerified(t *testing.T) {
	for field, set := range map[string]func(c *Config){
		"QuarantineFirst 0":           func(c *Config) { c.QuarantineFirst = 0 },
		"QuarantineMost 59999":        func(c *Config) { c.QuarantineMost = 59_999 },
		"QuarantineMost 604800001":    func(c *Config) { c.QuarantineMost = maxBackoff + 1 },
		"QuarantineFailures 0":        func(c *Config) { c.QuarantineFailures = 0 },
		"QuarantineFailures 16":       func(c *Config) { c.QuarantineFailures = health.Window + 1 },
		"QuarantineOwners 0":          func(c *Config) { c.QuarantineOwners = 0 },
		"QuarantineOwners 6":          func(c *Config) { c.QuarantineOwners = 6 },
		"QuarantineShare -1":          func(c *Config) { c.QuarantineShare = -1 },
		"QuarantineShare 101":         func(c *Config) { c.QuarantineShare = 101 },
		"QuarantineMemory 0":          func(c *Config) { c.QuarantineMemory = 0 },
		"QuarantineMemory 604800001 ": func(c *Config) { c.QuarantineMemory = maxBackoff + 1 },
	} {
		cfg := DefaultConfig()
		cfg.Instance = 1
		require.NoError(t, cfg.Verify())
		set(&cfg)
		require.ErrorContains(t, cfg.Verify(), field)
	}
}
