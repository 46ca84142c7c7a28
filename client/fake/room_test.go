package fake_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// machine is a worker with two GPUs.
func machine(tags ...string) fake.WorkerOptions {
	return fake.WorkerOptions{
		Slots: 4, Tags: tags, Resources: map[string]int64{"cpu": 8_000, "mem": 65_536},
		Devices: []wire.Device{{Model: "A100", Memory: 40_960}, {Model: "H100", Memory: 81_920}},
	}
}

func TestTasksTakeResourcesAndDevices(t *testing.T) {
	s := fake.New(t)
	w := s.AddWorkerWith("w1", machine("gpu"))
	c := s.Dial()
	whole, err := c.Schedule(within(t), client.Task{ID: "whole", Resources: map[string]int64{"gpu": 1, "cpu": 6_000}})
	require.NoError(t, err)
	require.Equal(t, []int{0}, whole.Devices(), "the smallest")
	share, err := c.Schedule(within(t), client.Task{ID: "share", Resources: map[string]int64{"gpu_mem": 50_000}})
	require.NoError(t, err)
	require.Equal(t, []int{1}, share.Devices())
	for _, needs := range []map[string]int64{{"gpu": 1}, {"gpu_mem": 40_000}, {"cpu": 2_001}} {
		_, err = c.Schedule(within(t), client.Task{ID: "t3", Resources: needs})
		require.ErrorIs(t, err, client.ErrUnavailable, needs)
	}
	for _, needs := range []map[string]int64{{"gpu": 3}, {"gpu": 2, "gpu_mem": 50_000}, {"scratch": 1}} {
		_, err = c.Schedule(within(t), client.Task{ID: "t3", Resources: needs})
		require.ErrorIs(t, err, client.ErrInfeasible, needs)
	}

	info, err := c.Worker(within(t), "w1")
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"cpu": 6_000, "gpu": 1, "gpu_mem": 90_960, "mem": 0}, info.Info.Used)
	require.True(t, info.Info.Devices[0].Whole)
	require.Equal(t, int64(50_000), info.Info.Devices[1].Used)

	h, err := whole.Hand()
	require.NoError(t, err)
	require.Equal(t, []int{0}, h.Devices)
	require.NoError(t, w.Begin(h))
	s.Restart() // what runs keeps its device
	eventually(t, "the running lease is known again", func() bool { return stats(t, c).Begun == 1 })
	again, err := c.Schedule(within(t), client.Task{ID: "t4", Resources: map[string]int64{"gpu": 1}})
	require.NoError(t, err)
	require.Equal(t, []int{1}, again.Devices())
	require.NoError(t, w.End(h.Lease, wire.ReasonOK))
	require.NoError(t, s.Check())
}

func TestSelectorsAndWhatElseChooses(t *testing.T) {
	s := fake.New(t)
	s.AddWorkerWith("w1", machine("gpu", "cuda=12.4", "zone=a"))
	s.AddWorkerWith("w2", machine("gpu", "cuda=11.8", "zone=b"))
	s.AddWorker("w3", 4, "zone=b")
	c := s.Dial()
	for _, tc := range []struct {
		task client.Task
		want string // "" if there is no place
	}{
		{client.Task{Selector: "gpu && cuda>=12"}, "w1"},
		{client.Task{Selector: "gpu && cuda<12"}, "w2"},
		{client.Task{Selector: "cuda>=13"}, ""},
		{client.Task{Prefer: "!gpu", Tags: []string{"zone=b"}}, "w3"},
		{client.Task{NotWorkers: []string{"w3", "w2"}}, "w1"},
		{client.Task{NotWorkers: []string{"w3", "w2", "w1"}}, ""},
		{client.Task{Selector: "gpu", Policy: client.Pack, NotWorkers: []string{"w2"}}, "w1"},
	} {
		tc.task.ID = "t"
		l, err := c.Schedule(within(t), tc.task)
		if tc.want == "" {
			require.ErrorIs(t, err, client.ErrInfeasible)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, tc.want, l.Worker(), tc.task)
		require.NoError(t, c.Release(within(t), l))
	}
	all, err := c.Schedule(within(t), client.Task{ID: "all", Exclusive: true, Selector: "cuda>=12"})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, all.Devices())
	_, err = c.Schedule(within(t), client.Task{ID: "t", Selector: "cuda>=12"})
	require.ErrorIs(t, err, client.ErrUnavailable)
}

func TestGangsAreAllOrNone(t *testing.T) {
	s := fake.New(t)
	s.AddWorkerWith("w1", machine("gpu", "zone=a"))
	s.AddWorkerWith("w2", machine("gpu", "zone=b"))
	c := s.Dial()
	gang := make([]client.Task, 3)
	for i, id := range []string{"g-1", "g-2", "g-3"} {
		gang[i] = client.Task{ID: id, Resources: map[string]int64{"gpu": 1}}
	}
	_, err := c.ScheduleGang(within(t), gang, true)
	require.ErrorIs(t, err, client.ErrInfeasible, "three tasks on two workers")
	require.ErrorContains(t, err, "g-3")
	require.Zero(t, stats(t, c).Used)

	leases, err := c.ScheduleGang(within(t), gang, false)
	require.NoError(t, err)
	require.Equal(t, uint64(3), stats(t, c).Used)
	_, err = c.ScheduleGang(within(t), []client.Task{{ID: "h-1", Resources: map[string]int64{"gpu": 1}}, {ID: "h-2", Resources: map[string]int64{"gpu": 1}}}, false)
	require.ErrorIs(t, err, client.ErrUnavailable)
	require.Equal(t, uint64(3), stats(t, c).Used, "nothing of it stays")
	again, err := c.ScheduleGang(within(t), gang, false)
	require.NoError(t, err)
	for i := range leases {
		require.Same(t, leases[i], again[i])
		require.NoError(t, c.Release(within(t), leases[i]))
	}
	require.Zero(t, stats(t, c).Used)

	results, err := c.ScheduleAll(within(t), []client.Task{
		{ID: "s-1", Policy: client.Spread, SpreadBy: "zone"}, {ID: "s-2", Policy: client.Spread, SpreadBy: "zone"},
	})
	require.NoError(t, err)
	require.NotEqual(t, results[0].Lease.Worker(), results[1].Lease.Worker())
	require.NoError(t, s.Check())
}

func TestAWorkerThatIsNotAllowedFailsTheTest(t *testing.T) {
	s := fake.New(failing{t})
	for _, o := range []fake.WorkerOptions{
		{Resources: map[string]int64{"gpu_mem": 1}},
		{Resources: map[string]int64{"gpu": 1}, Devices: []wire.Device{{Memory: 1}}},
		{Resources: map[string]int64{"cpu": -1}},
		{Devices: make([]wire.Device, 65)},
	} {
		require.Panics(t, func() { s.AddWorkerWith("w1", o) })
		s = fake.New(failing{t})
	}
	require.Equal(t, "10.0.0.9:1", addressOf(t, s.AddWorkerWith("w2", fake.WorkerOptions{Slots: 1, Address: "10.0.0.9:1"}), s.Dial()))
}

// addressOf returns the address of a worker as the scheduler has it.
func addressOf(t *testing.T, w *fake.Worker, c *client.Client) string {
	t.Helper()
	info, err := c.Worker(within(t), w.ID())
	require.NoError(t, err)
	return info.Info.Address
}
