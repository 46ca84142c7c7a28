package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func TestScheduleReturnsALease(t *testing.T) {
	c := newFake(t).dial(&Options{ClientID: "c1"})
	task := Task{ID: "t1", Tags: []string{"gpu"}, Owner: "ann", Group: "g", Priority: 5, Resources: map[string]int64{"cpu": 2}}
	l := mustSchedule(t, c, task)
	require.Equal(t, "w1", l.Worker())
	require.Equal(t, "h:1", l.Address())
	require.Equal(t, task, l.Task())
	require.NoError(t, l.Err())

	h, err := l.Hand()
	require.NoError(t, err)
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.JSONEq(t, `{"lease_id":"`+l.ID().String()+`","worker_id":"w1","address":"h:1","incarnation":"9","task_id":"t1",
		"client":"c1","owner":"ann","group":"g","priority":5,"resources":{"cpu":2}}`, string(text))
}

func TestScheduleSendsEveryField(t *testing.T) {
	f := newFake(t)
	seen := make(chan wire.Schedule, 1)
	tags := make(chan []string, 1)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if s, ok := m.(*wire.Schedule); ok {
			var list []string
			wire.EachTag(s.Tags, func(tag []byte) bool { list = append(list, string(tag)); return true })
			tags <- list
			seen <- wire.Schedule{Task: []byte(string(s.Task)), Owner: []byte(string(s.Owner)), Group: []byte(string(s.Group)), Priority: s.Priority, TTLMS: s.TTLMS, Resources: []byte(string(s.Resources))}
		}
		return false
	})
	c := f.dial(nil)
	mustSchedule(t, c, Task{ID: "t1", Tags: []string{"a", "b"}, Owner: "o", Group: "g", Priority: -3, Resources: map[string]int64{"mem": 7}, TTL: time.Minute})
	require.Equal(t, []string{"a", "b"}, <-tags)
	require.Equal(t, wire.Schedule{
		Task: []byte("t1"), Owner: []byte("o"), Group: []byte("g"), Priority: -3, TTLMS: 60_000,
		Resources: wire.AppendResources(nil, map[string]int64{"mem": 7}),
	}, <-seen)
}

func TestManyGoroutinesShareOneConnection(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	var all sync.WaitGroup
	ids := make(chan wire.LeaseID, 32*50)
	for g := range 32 {
		all.Go(func() {
			for i := range 50 {
				l, err := c.Schedule(within(t), Task{ID: fmt.Sprintf("t-%d-%d", g, i)})
				if err != nil {
					t.Error(err)
					return
				}
				ids <- l.ID()
				if i%2 == 0 {
					if err := c.Release(within(t), l); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	close(ids)
	distinct := map[wire.LeaseID]bool{}
	for id := range ids {
		distinct[id] = true
	}
	require.Len(t, distinct, 32*50)
	require.Equal(t, 32*25, f.live())
	require.Len(t, f.hellos, 1, "one connection")
}

func TestTheSameTaskGetsTheSameLease(t *testing.T) {
	c := newFake(t).dial(nil)
	first := mustSchedule(t, c, Task{ID: "t1"})
	require.Same(t, first, mustSchedule(t, c, Task{ID: "t1"}))
}

func TestRefusalsMatchTheirSentinel(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		p.send(request, &wire.Error{Code: wire.CodeInfeasible, Message: "no worker has gpu", RetryAfterMS: 5})
		return true
	})
	_, err := c.Schedule(within(t), Task{ID: "t1"})
	require.ErrorIs(t, err, ErrInfeasible)
	require.NotErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "t1")
	var w *wire.Error
	require.ErrorAs(t, err, &w)
	require.Equal(t, uint32(5), w.RetryAfterMS)
}

func TestEveryCodeHasASentinel(t *testing.T) {
	sentinels := []error{
		ErrBadFrame, ErrFrameTooLarge, ErrBadRequest, ErrUnknownKind, ErrProtocol, ErrUnsupportedVersion,
		ErrUnavailable, ErrInfeasible, ErrConflict, ErrNotFound, ErrAlreadyEnded, ErrBegun, ErrAskedBack,
		ErrSuperseded, ErrTagLimit, ErrWorkerLimit, ErrLeaseLimit, ErrBusy, ErrDraining, ErrNotRegistered,
		ErrUnauthorized, ErrSlowConsumer, ErrInternal, ErrTimeout, ErrSearchLimit, ErrAllOrNone, ErrResourceLimit,
		ErrWaiting, ErrQueueFull, ErrCancelled, ErrOwnerLimit, ErrDeviceInUse, ErrWorkerInUse,
	}
	for code := wire.CodeOK + 1; ; code++ {
		name := code.String()
		if _, known := wire.ParseCode(name); !known {
			require.Len(t, sentinels, int(code)-1, "a sentinel for each code")
			return
		}
		err := refused("x", &wire.Error{Code: code})
		matched := 0
		for _, s := range sentinels {
			if errors.Is(err, s) {
				matched++
				require.Equal(t, "dtask: "+name, s.Error())
			}
		}
		require.Equal(t, 1, matched, "sentinels for %s", name)
	}
}

func TestBadTasksAreRefusedHere(t *testing.T) {
	c := newFake(t).dial(nil)
	long := string(make([]byte, 300))
	for field, task := range map[string]Task{
		"task":     {ID: ""},
		"owner":    {ID: "t", Owner: "a b"},
		"group":    {ID: "t", Group: long},
		"tags":     {ID: "t", Tags: []string{"x\n"}},
		"priority": {ID: "t", Priority: 1_000_001},
		"ttl_ms":   {ID: "t", TTL: 25 * time.Hour},

		"start_within": {ID: "t", StartWithin: -1},
		"resources":    {ID: "t", Resources: map[string]int64{"cpu": -1}},
	} {
		_, err := c.Schedule(within(t), task)
		require.ErrorIs(t, err, ErrBadRequest, field)
		var w *wire.Error
		require.ErrorAs(t, err, &w)
		require.Equal(t, field, w.Field)
	}
}

func TestScheduleAllJudgesEachTask(t *testing.T) {
	f := newFake(t)
	frames := 0
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		if _, ok := m.(*wire.Batch); ok {
			frames++
		}
		return false
	})
	c := f.dial(nil)
	tasks := make([]Task, 2500)
	for i := range tasks {
		tasks[i].ID = fmt.Sprintf("t%d", i)
	}
	tasks[3].ID = "bad id"
	results, err := c.ScheduleAll(within(t), tasks)
	require.NoError(t, err)
	require.Len(t, results, 2500)
	for i, r := range results {
		if i == 3 {
			require.ErrorIs(t, r.Err, ErrBadRequest)
			continue
		}
		require.NoError(t, r.Err)
		require.Equal(t, tasks[i].ID, r.Lease.Task().ID)
	}
	require.Equal(t, 3, frames)
	require.Equal(t, 2499, f.live())
}

func TestScheduleAllReportsCodes(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		p.send(request, &wire.PlacedAll{Results: []wire.BatchResult{{Code: wire.CodeUnavailable}, {Code: wire.CodeConflict}}})
		return true
	})
	results, err := c.ScheduleAll(within(t), []Task{{ID: "a"}, {ID: "b"}})
	require.NoError(t, err)
	require.ErrorIs(t, results[0].Err, ErrUnavailable)
	require.ErrorIs(t, results[1].Err, ErrConflict)

	f.setBend(func(p *peer, request uint64, m wire.Message) bool {
		p.send(request, &wire.Error{Code: wire.CodeBusy})
		return true
	})
	results, err = c.ScheduleAll(within(t), []Task{{ID: "a"}})
	require.NoError(t, err)
	require.ErrorIs(t, results[0].Err, ErrBusy)
}

func TestDialNamesEveryAddressThatFailed(t *testing.T) {
	_, err := Dial(within(t), []string{"127.0.0.1:1", "127.0.0.1:2"}, nil)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.ErrorContains(t, err, "127.0.0.1:2")
	_, err = Dial(within(t), nil, nil)
	require.Error(t, err)
	_, err = Dial(within(t), []string{"127.0.0.1:1"}, &Options{ClientID: "a b"})
	require.ErrorIs(t, err, ErrBadRequest)
}

func TestDialTakesTheNextAddress(t *testing.T) {
	f := newFake(t)
	c, err := Dial(within(t), []string{"127.0.0.1:1", f.addr()}, nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Ping(within(t)))
	require.Equal(t, "fake", c.Scheduler().Server)
}

func TestDialHonoursItsContext(t *testing.T) {
	f := newFake(t)
	f.setBend(func(*peer, uint64, wire.Message) bool { return true })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, []string{f.addr()}, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestCloseEndsCallsInFlight(t *testing.T) {
	f := newFake(t)
	c := f.dial(nil)
	arrived := make(chan struct{}, 1)
	f.setBend(func(*peer, uint64, wire.Message) bool { arrived <- struct{}{}; return true })
	failed := make(chan error, 1)
	go func() {
		_, err := c.Schedule(context.Background(), Task{ID: "t1"})
		failed <- err
	}()
	<-arrived
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-failed, ErrClosed)
	_, err := c.Schedule(within(t), Task{ID: "t2"})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, c.Ping(within(t)), ErrClosed)
}
