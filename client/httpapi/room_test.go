package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client/httpapi"
	"github.com/dtask/dtask-scheduler/wire"
)

// machines starts a scheduler and two workers with GPUs that speak leases.
func machines(t *testing.T) *httpapi.Client {
	s := startScheduler(t)
	c := newClient(t, "http://"+s.HTTPAddr(), nil)
	for id, tags := range map[string][]string{"w1": {"gpu", "cuda=12.4", "zone=a"}, "w2": {"gpu", "cuda=11.8", "zone=b"}} {
		a, err := agent.Start(t.Context(), agent.Config{
			Scheduler: "dtask://" + s.Addr(), Worker: id, Address: id + ":7000", Slots: 4, Tags: tags, TasksDieWithAgent: true,
			Resources: map[string]int64{"cpu": 8_000}, Devices: []wire.Device{{Model: "A100", Memory: 40_960, UUID: "GPU-" + id}, {Model: "H100", Memory: 81_920, UUID: "GPU-h" + id}},
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = a.Stop(context.Background()) })
		require.Eventually(t, func() bool {
			w, err := c.Worker(within(t), id)
			return err == nil && len(w.Worker.Flags) == 0
		}, patience, time.Millisecond, "the worker has promised")
	}
	return c
}

func TestTasksSayWhatTheyNeed(t *testing.T) {
	c := machines(t)
	p, err := c.Schedule(within(t), httpapi.Task{
		ID: "t1", Selector: "gpu && cuda>=12", Resources: map[string]int64{"cpu": 1_500, "gpu": 1, "gpu_mem": 50_000}, Prefer: "zone=b", NotWorkers: []string{"w9"},
	})
	require.NoError(t, err)
	require.Equal(t, []any{"w1", []int{1}, int64(1_500)}, []any{p.Worker, p.Devices, p.Resources["cpu"]})
	share, err := c.Schedule(within(t), httpapi.Task{ID: "t2", Policy: "pack", Resources: map[string]int64{"gpu_mem": 8_192}})
	require.NoError(t, err)
	require.Equal(t, []any{"w1", []int{0}}, []any{share.Worker, share.Devices})

	d, err := c.Worker(within(t), "w1")
	require.NoError(t, err)
	w := d.Worker
	require.Equal(t, []any{"online", uint32(4), uint32(2), map[string]int64{"cpu": 8_000}}, []any{w.State, w.MaxTasks, w.Leased, w.Resources})
	require.Equal(t, map[string]int64{"cpu": 1_500, "gpu": 1, "gpu_mem": 90_112}, w.Used)
	require.Equal(t, []httpapi.Device{
		{Model: "A100", Memory: 40_960, UUID: "GPU-w1", Used: 8_192, Leases: 1},
		{Model: "H100", Memory: 81_920, UUID: "GPU-hw1", Used: 81_920, Leases: 1, Whole: true},
	}, w.Devices)
	require.NotZero(t, w.Incarnation)
	require.WithinDuration(t, time.Now(), w.LastSeen.Time, time.Minute)
	byTask := map[string]httpapi.LeaseInfo{}
	for _, l := range d.Leases {
		byTask[l.Task] = l
	}
	require.Equal(t, []any{p.Lease, "granted", []int{1}, map[string]int64{"cpu": 1_500, "gpu": 1, "gpu_mem": 50_000}},
		[]any{byTask["t1"].Lease, byTask["t1"].State, byTask["t1"].Devices, byTask["t1"].Resources})

	all, err := c.Schedule(within(t), httpapi.Task{ID: "t3", Exclusive: true})
	require.NoError(t, err)
	require.Equal(t, []any{"w2", []int{0, 1}, true}, []any{all.Worker, all.Devices, all.Exclusive})
	_, err = c.Schedule(within(t), httpapi.Task{ID: "t4", NotWorkers: []string{"w1"}})
	require.ErrorIs(t, err, httpapi.ErrUnavailable)
	_, err = c.Schedule(within(t), httpapi.Task{ID: "t4", Selector: "cuda>=13"})
	require.ErrorIs(t, err, httpapi.ErrInfeasible)
	_, err = c.Schedule(within(t), httpapi.Task{ID: "t4", Resources: map[string]int64{"gpu": 3}})
	require.ErrorIs(t, err, httpapi.ErrInfeasible)
	_, err = c.Worker(within(t), "w9")
	require.ErrorIs(t, err, httpapi.ErrNotFound)
	_, err = c.Worker(within(t), "")
	require.Error(t, err)
}

func TestARefusalNamesFieldAndLimit(t *testing.T) {
	c := machines(t)
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprint("w", i)
	}
	for _, tc := range []struct {
		task  httpapi.Task
		field string
		limit uint64
		says  string
	}{
		{httpapi.Task{Selector: "gpu &&"}, "selector", 0, "column 7"},
		{httpapi.Task{Selector: strings.Repeat("a", 4097)}, "selector", 4096, ""},
		{httpapi.Task{Prefer: strings.Repeat("!", 17) + "a"}, "prefer", 16, "column 17"},
		{httpapi.Task{NotWorkers: many}, "not_workers", 16, ""},
		{httpapi.Task{Policy: "best"}, "policy", 0, "least-loaded, pack, spread"},
		{httpapi.Task{Resources: map[string]int64{"gpu": 65}}, "resources", 64, ""},
	} {
		tc.task.ID = "t"
		_, err := c.Schedule(within(t), tc.task)
		var e *httpapi.StatusError
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{http.StatusBadRequest, "bad_request", tc.field, tc.limit}, []any{e.Status, e.Reason, e.Field, e.Limit}, e.Error())
		require.Contains(t, e.Message, tc.says)
		_, err = c.ScheduleAll(within(t), []httpapi.Task{{ID: "good"}, tc.task})
		require.ErrorAs(t, err, &e)
		require.Equal(t, "tasks[1]."+tc.field, e.Field)
	}
	w, err := c.Worker(within(t), "w1")
	require.NoError(t, err)
	require.Zero(t, w.Worker.Leased, "nothing was placed")
}

func TestManyTasksInOneRequest(t *testing.T) {
	c := machines(t)
	all, err := c.ScheduleAll(within(t), []httpapi.Task{
		{ID: "a", Key: "a/1", Policy: "spread", SpreadBy: "zone"}, {ID: "b", Tags: []string{"tpu"}, Key: "b/1"},
		{ID: "c", Policy: "spread", SpreadBy: "zone", Key: "c/1"}, {ID: "d", Priority: 1_000_001, Key: "d/1"},
	})
	require.NoError(t, err)
	require.NotEqual(t, all[0].Placement.Worker, all[2].Placement.Worker)
	require.ErrorIs(t, all[1].Err, httpapi.ErrInfeasible)
	var e *httpapi.StatusError
	require.ErrorAs(t, all[3].Err, &e)
	require.Equal(t, http.StatusBadRequest, e.Status)
	again, err := c.ScheduleAll(within(t), []httpapi.Task{{ID: "a", Key: "a/1", Policy: "spread", SpreadBy: "zone"}, {ID: "c", Key: "c/1"}})
	require.NoError(t, err)
	require.True(t, again[0].Placement.Repeat)
	require.ErrorIs(t, again[1].Err, httpapi.ErrConflict)
	for _, n := range []int{0, 1025} {
		_, err = c.ScheduleAll(within(t), make([]httpapi.Task, n))
		require.ErrorContains(t, err, "not 1 to 1024")
	}
}

func TestGangsOverHTTP(t *testing.T) {
	c := machines(t)
	gang := []httpapi.Task{{ID: "g1", Resources: map[string]int64{"gpu": 2}}, {ID: "g2", Resources: map[string]int64{"gpu": 2}}}
	_, err := c.ScheduleGang(within(t), append(gang, httpapi.Task{ID: "g3", Resources: map[string]int64{"gpu": 1}}), false)
	require.ErrorIs(t, err, httpapi.ErrUnavailable)
	require.NotErrorIs(t, err, httpapi.ErrAllOrNone)
	waits := append([]httpapi.Task{{ID: "g0", Resources: map[string]int64{"gpu": 1}, MaxWaitMS: 50}}, gang...)
	_, err = c.ScheduleGang(within(t), waits, false)
	require.ErrorIs(t, err, httpapi.ErrUnavailable, "no free capacity within the wait")
	waits[0].MaxWaitMS = 60_001
	_, err = c.ScheduleGang(within(t), waits, false)
	require.ErrorContains(t, err, "max_wait_ms")
	_, err = c.ScheduleGang(within(t), []httpapi.Task{{ID: "g1"}, {ID: "g2"}, {ID: "g3"}}, true)
	require.ErrorIs(t, err, httpapi.ErrInfeasible)
	places, err := c.ScheduleGang(within(t), gang, true)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"w1", "w2"}, []string{places[0].Worker, places[1].Worker})
	require.Equal(t, []int{0, 1}, places[0].Devices)
}

func TestBatchesAreRepeatedOnlyIfAllTasksHaveAKey(t *testing.T) {
	one := text(200, `{"results":[{"worker_id":"w1","address":"h:1","lease_id":"1-2-3"}]}`)
	s, n := scripted(t, breakOff, one)
	_, err := newClient(t, s.URL, nil).ScheduleAll(within(t), []httpapi.Task{{ID: "t1", Key: "k"}})
	require.NoError(t, err)
	require.Equal(t, int64(2), n.Load())
	s, n = scripted(t, breakOff, one)
	_, err = newClient(t, s.URL, nil).ScheduleAll(within(t), []httpapi.Task{{ID: "t1", Key: "k"}, {ID: "t2"}})
	require.Error(t, err)
	require.Equal(t, int64(1), n.Load())
	s, _ = scripted(t, one)
	_, err = newClient(t, s.URL, nil).ScheduleAll(within(t), []httpapi.Task{{ID: "t1"}, {ID: "t2"}})
	require.ErrorContains(t, err, "2 tasks were answered by 1 results")
}

// TestTheOlderSchedulerIsNoticed: it ignores what it does not know, and its
// answer has no lease.
func TestTheOlderSchedulerIsNoticed(t *testing.T) {
	s, _ := scripted(t, text(200, `{"worker_id":"w1","address":"h:1"}`))
	c := newClient(t, s.URL, nil)
	for field, task := range map[string]httpapi.Task{
		"selector": {Selector: "gpu"}, "prefer": {Prefer: "gpu"}, "not_workers": {NotWorkers: []string{"w1"}}, "exclusive": {Exclusive: true},
		"policy": {Policy: "pack"}, "resources": {Resources: map[string]int64{"cpu": 1}},
		"preempt": {Preempt: true, MaxWaitMS: 60_000}, "on_preempt": {OnPreempt: "never"},
	} {
		task.ID = "t1"
		_, err := c.Schedule(within(t), task)
		require.ErrorIs(t, err, httpapi.ErrTooOld)
		require.ErrorContains(t, err, "ignored "+field+` and chose "w1"`)
	}
	p, err := c.Schedule(within(t), httpapi.Task{ID: "t1", Tags: []string{"gpu"}, Policy: "least-loaded"})
	require.NoError(t, err)
	require.Equal(t, "w1", p.Worker)

	// One that gives leases and knows no preemption is noticed by its answer.
	s, _ = scripted(t, text(200, `{"worker_id":"w1","address":"h:1","lease_id":"1-2-3"}`))
	c = newClient(t, s.URL, nil)
	_, err = c.Schedule(within(t), httpapi.Task{ID: "t1", OnPreempt: "end"})
	require.ErrorIs(t, err, httpapi.ErrTooOld)
	_, err = c.Schedule(within(t), httpapi.Task{ID: "t1", OnPreempt: "default", Exclusive: true})
	require.NoError(t, err)
}

// A task takes room from another, which is told by its worker.
func TestATaskMakesRoom(t *testing.T) {
	s := startScheduler(t)
	c := newClient(t, "http://"+s.HTTPAddr(), nil)
	a, err := agent.Start(t.Context(), agent.Config{Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "w1:7000", Slots: 1, TasksDieWithAgent: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	var low *httpapi.Placement
	require.Eventually(t, func() bool {
		low, err = c.Schedule(within(t), httpapi.Task{ID: "low", OnPreempt: "end"})
		return err == nil
	}, patience, time.Millisecond)
	require.Equal(t, wire.OnPreemptEnd, low.OnPreempt)
	runs, err := a.Begin(low.Handover, agent.Caller{})
	require.NoError(t, err)
	_, err = c.Schedule(within(t), httpapi.Task{ID: "hasty", Preempt: true, MaxWaitMS: 1})
	var refused *httpapi.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "max_wait_ms", refused.Field)
	require.EqualValues(t, 30_000, refused.Limit)

	high := make(chan error, 1)
	go func() {
		_, err := c.Schedule(context.Background(), httpapi.Task{ID: "high", Priority: 1, Preempt: true, MaxWaitMS: 60_000})
		high <- err
	}()
	<-runs.Preempted()
	w, err := c.Worker(within(t), "w1")
	require.NoError(t, err)
	require.Contains(t, w.Worker.HeldBy, "high")
	require.True(t, w.Leases[0].Preempted)
	require.NoError(t, runs.End(wire.ReasonFailed))
	require.NoError(t, <-high)
}

// A request is held until there is room, longer than one attempt may take.
func TestARequestWaitsForRoom(t *testing.T) {
	s := startScheduler(t)
	base := "http://" + s.HTTPAddr()
	c, quick := newClient(t, base, nil), newClient(t, base, &httpapi.Options{Timeout: 2 * time.Second}) // beyond the wait
	a, err := agent.Start(t.Context(), agent.Config{Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "w1:7000", Slots: 1, TasksDieWithAgent: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	var first *httpapi.Placement
	require.Eventually(t, func() bool {
		first, err = c.Schedule(within(t), httpapi.Task{ID: "first"})
		return err == nil
	}, patience, time.Millisecond)
	_, err = quick.Schedule(within(t), httpapi.Task{ID: "late", MaxWaitMS: 2_100})
	require.ErrorIs(t, err, httpapi.ErrUnavailable, "answered after the wait, not ended before")
	_, err = c.Schedule(within(t), httpapi.Task{ID: "long", MaxWaitMS: 60_001})
	require.ErrorContains(t, err, "max_wait_ms")

	held := make(chan error, 1)
	go func() {
		_, err := quick.Schedule(context.Background(), httpapi.Task{ID: "second", MaxWaitMS: 60_000})
		held <- err
	}()
	require.Eventually(t, func() bool {
		_, err := c.Release(within(t), first.Lease.String(), false)
		return err == nil
	}, patience, time.Millisecond)
	require.NoError(t, <-held)
}
