package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// ids returns so many ids.
func ids(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("w%d", i))
	}
	return list
}

func TestBadChoicesAreRefusedHere(t *testing.T) {
	f := newFake(t)
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool {
		if _, hello := m.(*wire.Hello); !hello {
			t.Errorf("%T was sent", m)
		}
		return false
	})
	c := f.dial(nil)
	nine := map[string]int64{}
	for _, id := range ids(9) {
		nine[id] = 1
	}
	for _, tc := range []struct {
		task  Task
		field string
		limit uint64
		says  string
	}{
		{Task{Selector: "gpu &&"}, "selector", 0, "column 7"},
		{Task{Selector: strings.Repeat("a||", 2000) + "a"}, "selector", selector.MaxBytes, "4096 bytes"},
		{Task{Selector: strings.Repeat("a||", 500) + "a"}, "selector", selector.MaxTerms, "128 terms"},
		{Task{Selector: strings.Repeat("(", 1000)}, "selector", selector.MaxDepth, "column 17"},
		{Task{Selector: "'a\x00'"}, "selector", 0, "control characters"},
		{Task{Prefer: "zone="}, "prefer", 0, "column 6"},
		{Task{NotWorkers: ids(17)}, "not_workers", wire.MaxNotWorkers, "17 workers are more than 16"},
		{Task{NotWorkers: []string{""}}, "not_workers", maxWorkerID, "1 to 1024 bytes"},
		{Task{NotWorkers: []string{strings.Repeat("x", maxWorkerID+1)}}, "not_workers", maxWorkerID, "1 to 1024 bytes"},
		{Task{NotWorkers: []string{"\xff"}}, "not_workers", maxWorkerID, "UTF-8"},
		{Task{Policy: "best"}, "policy", 0, "least-loaded, pack or spread"},
		{Task{Policy: Spread}, "spread_by", 0, "needs a tag key"},
		{Task{SpreadBy: "zone"}, "spread_by", 0, "goes with the policy spread alone"},
		{Task{Policy: Spread, SpreadBy: strings.Repeat("x", 257)}, "spread_by", wire.MaxTag, "256 bytes"},
		{Task{Resources: map[string]int64{"gpu": 65}}, "resources", wire.MaxDevices, "65 GPU devices"},
		{Task{Resources: map[string]int64{"mem": 1<<40 + 1}}, "resources", wire.MaxAmount, "of mem is not in"},
		{Task{Resources: map[string]int64{"mem": -1}}, "resources", wire.MaxAmount, "-1 of mem"},
		{Task{Resources: map[string]int64{"a b": 1}}, "resources", wire.MaxID, `"a b"`},
		{Task{Resources: nine}, "resources", wire.MaxResources, "9 names are more than 8"},
	} {
		tc.task.ID = "t"
		_, err := c.Schedule(within(t), tc.task)
		require.ErrorIs(t, err, ErrBadRequest, tc.says)
		var w *wire.Error
		require.ErrorAs(t, err, &w)
		require.Equal(t, []any{tc.field, tc.limit}, []any{w.Field, w.Limit}, err.Error())
		require.ErrorContains(t, err, tc.says)
		require.Less(t, len(err.Error()), 400)

		_, err = c.ScheduleGang(within(t), []Task{{ID: "good"}, tc.task}, false)
		require.ErrorAs(t, err, &w)
		require.Equal(t, tc.field, w.Field)
	}
}

func TestASelectorsErrorSaysWhere(t *testing.T) {
	_, err := newFake(t).dial(nil).Schedule(within(t), Task{ID: "t", Prefer: "cuda >= new"})
	var e *selector.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 9, e.Column)
	require.EqualError(t, err, `dtask: schedule: bad_request: prefer "cuda >= new": column 9: "new" is no version, such as 12.4, 1.2.3-beta1, 2.1+cu118 or 2024-05-17; only = and != compare texts`)
}

func TestScheduleSendsTheChoice(t *testing.T) {
	f := newFake(t)
	seen := make(chan wire.Schedule, 1)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		s, ok := m.(*wire.Schedule)
		if ok {
			seen <- wire.Schedule{
				Selector: slices.Clone(s.Selector), Prefer: slices.Clone(s.Prefer), NotWorkers: slices.Clone(s.NotWorkers),
				Exclusive: s.Exclusive, Policy: slices.Clone(s.Policy), SpreadBy: slices.Clone(s.SpreadBy),
			}
			placed := p.fake.place(p, s)
			placed.Devices = 1<<0 | 1<<3
			p.send(request, &placed)
		}
		return ok
	})
	l := mustSchedule(t, f.dial(nil), Task{
		ID: "t1", Selector: "gpu &&\n\tcuda>=12", Prefer: "zone=a", NotWorkers: []string{"w9", "rack 1/ä"}, Exclusive: true,
		Policy: Pack, Resources: map[string]int64{"gpu": 2},
	})
	require.Equal(t, wire.Schedule{
		Selector: []byte("gpu &&  cuda>=12"), Prefer: []byte("zone=a"), NotWorkers: wire.AppendWorkers(nil, []string{"w9", "rack 1/ä"}),
		Exclusive: true, Policy: []byte("pack"),
	}, <-seen)
	require.Equal(t, []int{0, 3}, l.Devices())
	h, err := l.Hand()
	require.NoError(t, err)
	require.Equal(t, []any{[]int{0, 3}, true, map[string]int64{"gpu": 2}}, []any{h.Devices, h.Exclusive, h.Resources})
	require.Nil(t, mustSchedule(t, newFake(t).dial(nil), Task{ID: "t2"}).Devices())
}

// TestAnOldSchedulerIsNotAskedForWhatItWouldIgnore: selectors and the like are
// refused here, everything else goes on.
func TestAnOldSchedulerIsNotAskedForWhatItWouldIgnore(t *testing.T) {
	f := newFake(t)
	f.old = true
	c := f.dial(nil)
	for field, task := range map[string]Task{
		"selector":    {Selector: "gpu"},
		"prefer":      {Prefer: "gpu"},
		"not_workers": {NotWorkers: []string{"w9"}},
		"exclusive":   {Exclusive: true},
		"policy":      {Policy: Spread, SpreadBy: "zone"},
		"resources":   {Resources: map[string]int64{"gpu": 1}},
	} {
		task.ID = "t-" + field
		_, err := c.Schedule(within(t), task)
		var old *TooOldError
		require.ErrorAs(t, err, &old, field)
		require.Equal(t, TooOldError{Field: field, Server: "fake"}, *old)
		require.ErrorContains(t, err, field+": the scheduler is too old")
		_, err = c.ScheduleGang(within(t), []Task{{ID: "a"}, task}, false)
		require.ErrorAs(t, err, &old)
	}
	_, err := c.ScheduleGang(within(t), []Task{{ID: "a"}, {ID: "b"}}, true)
	var old *TooOldError
	require.ErrorAs(t, err, &old)
	require.Equal(t, "all_or_none", old.Field)
	require.Zero(t, f.live())

	results, err := c.ScheduleAll(within(t), []Task{{ID: "a"}, {ID: "b", Selector: "gpu"}, {ID: "c", Policy: LeastLoaded, Resources: map[string]int64{"cpu": 0}}})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.ErrorAs(t, results[1].Err, &old)
	require.NoError(t, results[2].Err)
	require.Equal(t, "c", results[2].Lease.Task().ID)
	require.Equal(t, 2, f.live())
}

// TestEachConnectionIsLookedAt: a reconnect may find an older scheduler.
func TestEachConnectionIsLookedAt(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	mustSchedule(t, c, Task{ID: "a", Selector: "gpu"})
	f.mu.Lock()
	f.old = true
	f.mu.Unlock()
	f.drop()
	eventually(t, "the next connection", func() bool { _, known := c.Scheduler().Limits["selector"]; return !known })
	_, err := c.Schedule(within(t), Task{ID: "b", Selector: "gpu"})
	var old *TooOldError
	require.ErrorAs(t, err, &old)
}

func TestAGangIsPlacedInOneFrame(t *testing.T) {
	f := newFake(t)
	frames := make(chan [2]bool, 1)
	f.setBend(func(_ *peer, _ uint64, m wire.Message) bool {
		if b, ok := m.(*wire.Batch); ok {
			frames <- [2]bool{b.AllOrNone, b.Distinct}
		}
		return false
	})
	c := f.dial(nil)
	tasks := make([]Task, wire.MaxBatch)
	for i := range tasks {
		tasks[i].ID = fmt.Sprintf("g-%d", i)
	}
	leases, err := c.ScheduleGang(within(t), tasks, true)
	require.NoError(t, err)
	require.Equal(t, [2]bool{true, true}, <-frames)
	require.Len(t, leases, len(tasks))
	for i, l := range leases {
		require.Equal(t, tasks[i].ID, l.Task().ID)
	}
	for _, n := range []int{0, wire.MaxBatch + 1} {
		_, err = c.ScheduleGang(within(t), make([]Task, n), false)
		require.ErrorIs(t, err, ErrBadRequest)
		require.ErrorContains(t, err, fmt.Sprintf("a gang of %d tasks is not 1 to 1024", n))
	}
	for i := range tasks {
		tasks[i].Selector = strings.Repeat("x", 1500)
	}
	_, err = c.ScheduleGang(within(t), tasks, false)
	require.ErrorContains(t, err, "does not fit into one frame")
	_, err = c.ScheduleGang(within(t), []Task{{ID: "a"}, {ID: "two words"}}, false)
	require.ErrorIs(t, err, ErrBadRequest)
	require.Equal(t, len(leases), f.live())
}

func TestAGangThatFindsNoPlaceSaysWhichTask(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	f.setBend(func(p *peer, request uint64, _ wire.Message) bool {
		p.send(request, &wire.PlacedAll{Results: []wire.BatchResult{{Code: wire.CodeAllOrNone}, {Code: wire.CodeUnavailable}, {Code: wire.CodeAllOrNone}}})
		return true
	})
	_, err := c.ScheduleGang(within(t), []Task{{ID: "a"}, {ID: "b"}, {ID: "c"}}, false)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "schedule b: ")
	f.setBend(func(p *peer, request uint64, _ wire.Message) bool {
		p.send(request, &wire.Error{Code: wire.CodeDraining})
		return true
	})
	_, err = c.ScheduleGang(within(t), []Task{{ID: "a"}, {ID: "b"}}, false)
	require.ErrorIs(t, err, ErrDraining)
}

// TestAGangWaitsForALeaseOnItsWayBack: it is asked for again as a whole, and if
// its caller goes away meanwhile, nothing of it is left.
func TestAGangWaitsForALeaseOnItsWayBack(t *testing.T) {
	for _, patient := range []bool{true, false} {
		f := newFake(t)
		c := f.dial(nil)
		early := mustSchedule(t, c, Task{ID: "b"})
		release := make(chan func(), 1)
		gangs := make(chan int, 10)
		f.setBend(func(p *peer, request uint64, m wire.Message) bool {
			switch m := m.(type) {
			case *wire.Release:
				if m.Lease == early.ID() {
					copied := *m
					release <- func() { p.send(request, f.answer(p, &copied)) }
					return true
				}
			case *wire.Batch:
				// Answered first: the test gives the lease back when it hears of it.
				tasks := len(m.Tasks)
				p.send(request, f.answer(p, m))
				gangs <- tasks
				return true
			}
			return false
		})
		gone := make(chan error, 1)
		go func() { gone <- c.Release(context.Background(), early) }()
		answer := <-release

		ctx, cancel := context.WithCancel(within(t))
		type outcome struct {
			leases []*Lease
			err    error
		}
		placed := make(chan outcome, 1)
		go func() {
			leases, err := c.ScheduleGang(ctx, []Task{{ID: "a"}, {ID: "b"}}, true)
			placed <- outcome{leases, err}
		}()
		require.Equal(t, 2, <-gangs)
		if !patient {
			cancel()
			require.ErrorIs(t, (<-placed).err, context.Canceled)
			answer()
			require.NoError(t, <-gone)
			eventually(t, "nothing is left", func() bool { return f.live() == 0 })
			continue
		}
		answer()
		require.NoError(t, <-gone)
		got := <-placed
		cancel()
		require.NoError(t, got.err)
		require.Equal(t, 2, <-gangs, "the whole gang")
		require.Equal(t, []string{"a", "b"}, []string{got.leases[0].Task().ID, got.leases[1].Task().ID})
		require.NotEqual(t, early.ID(), got.leases[1].ID())
		require.Equal(t, 2, f.live())
	}
}
