package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// selectors returns a batch of tasks with long selectors of their own, each of whose
// terms is compared with every tag whose key is own.
func selectors(tasks, terms int, waitMS uint32) *wire.Batch {
	m := &wire.Batch{}
	for i := range tasks {
		all := make([]string, terms)
		for k := range all {
			all[k] = fmt.Sprintf("own>=9%d.%d", 1000+i, k)
		}
		m.Tasks = append(m.Tasks, wire.Schedule{Task: fmt.Append(nil, "s", i), WaitMS: waitMS, Selector: []byte(strings.Join(all, " || ") + " || cpu")})
	}
	return m
}

// betweenTurns calls do before each turn of the lane, on a goroutine of the lane.
func (f *fixture) betweenTurns(do func(turn int)) {
	f.core.lane.turn.Lock()
	defer f.core.lane.turn.Unlock()
	turn := 0
	f.core.lane.hook = func(by int64) {
		if by > 0 {
			turn++
			do(turn)
		}
	}
}

// TestLongRequestsTakeTurns: a request that asks for much work is answered in
// turns, and others are served between them, on both ports.
func TestLongRequestsTakeTurns(t *testing.T) {
	f := start(t)
	for i := range 200 {
		f.beat(fmt.Sprint("w", i), 1, 0, "cpu", fmt.Sprint("own=", i))
	}
	p, other := f.dial("c"), f.dial("other")
	var turns atomic.Int64
	f.betweenTurns(func(n int) {
		turns.Store(int64(n))
		if n <= 100 {
			placed(t, other.ask(uint64(n), task(fmt.Sprint("o", n), "cpu")))
		}
	})
	all := p.ask(1, selectors(100, 100, 0)).(*wire.PlacedAll)
	require.Greater(t, turns.Load(), int64(100))
	for i := range all.Results {
		require.Equal(t, wire.CodeOK, all.Results[i].Code)
	}
	before := turns.Load()
	answer := p.ask(2, &selectors(1, 100, 0).Tasks[0])
	require.Equal(t, before, turns.Load(), "a selector that was asked for before is ready")
	require.NotZero(t, answer.(*wire.Placed).Flags&wire.PlacedRepeat)
	body, err := json.Marshal(map[string]any{"task_id": "web", "selector": string(selectors(2, 100, 0).Tasks[1].Selector) + " || new"})
	require.NoError(t, err)
	for i := range 200 {
		f.beat(fmt.Sprint("w", i), 1, 1, "cpu", fmt.Sprint("own=", i))
	}
	res := f.call("POST", "/api/v1/schedule", string(body))
	require.Equal(t, 503, res.status, res.body)
	require.Contains(t, res.body, `"reason":"unavailable"`)
	require.Greater(t, turns.Load(), before)
}

// TestSettledFollowsTheBatch: tasks of a batch that get room while the batch is
// still under way are told of behind its answer.
func TestSettledFollowsTheBatch(t *testing.T) {
	f := start(t)
	for i := range 200 {
		f.beat(fmt.Sprint("w", i), 8, 8, "cpu", fmt.Sprint("own=", i))
	}
	p, other := f.dial("c"), f.dial("other")
	m := selectors(wire.MaxBatch, 8, 60_000)
	freed := false
	f.betweenTurns(func(n int) {
		st := other.ask(uint64(n), &wire.GetStats{}).(*wire.Stats)
		if freed || st.Counters["waiting"] == 0 {
			return
		}
		freed = true
		for i := range 200 {
			f.beat(fmt.Sprint("w", i), 8, 0, "cpu", fmt.Sprint("own=", i))
		}
	})
	p.send(1, m)
	_, first := p.read()
	all := first.(*wire.PlacedAll)
	settled := 0
	for i := range all.Results {
		if all.Results[i].Code == wire.CodeWaiting {
			settled++
		}
	}
	require.NotZero(t, settled)
	for range settled {
		_, m := p.read()
		require.Equal(t, wire.CodeOK, m.(*wire.Settled).Result.Code)
	}
	p.alive()
}

// TestALongRegistrationTakesTurns: the list of a worker with thousands of leases is
// decoded before the core is locked and applied in turns. Others are served between
// them, and the worker gets nothing until it has promised.
func TestALongRegistrationTakesTurns(t *testing.T) {
	const leases = 5000
	f := start(t)
	m := &wire.Register{Worker: "big", Address: "h:1", Incarnation: 1, Seq: 1, Slots: 2 * leases, Tags: []string{"big"}}
	for i := range leases {
		m.Leases = append(m.Leases, wire.Record{Lease: wire.LeaseID{Epoch: 1, Instance: 9, Counter: uint64(i + 1)}, Task: fmt.Append(nil, "t", i)})
	}
	require.Greater(t, len(wire.Append(nil, 1, m)), aheadBytes)
	f.beat("other", 1000, 0, "cpu")
	p, other := f.dial("agent"), f.dial("other")
	var turns atomic.Int64
	f.betweenTurns(func(n int) {
		turns.Store(int64(n))
		placed(t, other.ask(uint64(2*n), task(fmt.Sprint("o", n), "cpu")))
		require.IsType(t, &wire.Error{}, other.ask(uint64(2*n+1), task(fmt.Sprint("b", n), "big")))
	})
	p.raw(wire.Append(wire.Append(nil, 1, m), 2, &wire.Ping{})) // the ping is answered behind
	for _, want := range []wire.Message{&wire.Registered{}, &wire.Pong{}} {
		_, answer := p.read()
		require.IsType(t, want, answer)
	}
	require.Greater(t, turns.Load(), int64(2))
	row := f.dial("reader").ask(1000, &wire.GetWorker{ID: "big"}).(*wire.Worker).Info
	require.EqualValues(t, leases, row.Taken)
}
