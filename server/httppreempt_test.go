package server

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// begins has an agent begin the task of a placement.
func (a *agent) begins(p *placement) {
	a.t.Helper()
	a.seq++
	a.send(0, &wire.Begun{Handle: a.handle, Seq: a.seq, Record: p.Handover.Record()})
	a.alive()
}

// A task by HTTP takes the room of another, which shows everywhere meanwhile,
// and ends as preempted.
func TestHTTPPreempts(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 2)
	for _, more := range []string{`"on_preempt":"never","priority":-5`, `"priority":-1`} {
		status, p := f.place("low", more)
		require.Equal(t, 200, status, p.Error)
		require.NoError(t, p.Verify())
		a.begins(&p)
	}
	high := f.held(t.Context(), `{"task_id":"high","priority":3,"preempt":true,"max_wait_ms":60000}`)
	_, m := a.read()
	told, ok := m.(*wire.Preempt)
	require.True(t, ok, "%T", m)
	require.EqualValues(t, f.cfg.Sched.PreemptGrace, told.GraceMS)
	require.Contains(t, told.Reason, "high")

	var w view.WorkerDetail
	f.get("/api/v1/workers/w1", &w)
	require.Contains(t, w.Worker.HeldBy, "/high")
	for _, l := range w.Leases {
		require.Equal(t, l.Priority == -1, l.Preempted, "%+v", l)
	}
	var q view.Queue
	f.get("/api/v1/queue", &q)
	require.Equal(t, []string{"w1"}, q.Queue[0].Holds)
	require.EqualValues(t, 1, f.metric("preempting"))

	a.seq++
	require.IsType(t, &wire.Ended{}, a.ask(9, &wire.End{Handle: a.handle, Seq: a.seq, Lease: told.Lease, Outcome: wire.ReasonLost}))
	got := <-high
	require.Equal(t, 200, got.status, got.body)
	var p placement
	require.NoError(t, json.Unmarshal([]byte(got.body), &p))
	require.Equal(t, "w1", p.Worker)
	var h view.History
	f.get("/api/v1/history", &h)
	require.Equal(t, "preempted worker", h.Leases[0].Reason+" "+h.Leases[0].By)
	require.Contains(t, f.post("/api/v1/renew", fmt.Sprintf(`{"lease_id":%q}`, told.Lease)), `{"status":"ended","reason":"preempted"}`)
	for name, n := range map[string]uint64{"preempted": 1, "ended_preempted": 1, "requeued": 0, "preempting": 0} {
		require.Equal(t, n, f.metric(name), name)
	}
}

func TestHTTPSaysWhatIsWrongWithMakingRoom(t *testing.T) {
	f := start(t)
	f.agent("w1", 9)
	grace := uint64(f.cfg.Sched.PreemptGrace)
	for _, c := range []struct {
		more, field, message string
		limit                uint64
	}{
		{`"on_preempt":"requeue"`, "on_preempt", "is for clients of the native protocol", 0},
		{`"on_preempt":"later"`, "on_preempt", "neither end nor never", 0},
		{`"preempt":true`, "max_wait_ms", "is missing", 0},
		{`"preempt":true,"max_wait_ms":29999`, "max_wait_ms", "grace of 30s", grace},
	} {
		status, p := f.place("t", c.more)
		require.Equal(t, 400, status, c.more)
		require.Equal(t, []any{"bad_request", c.field, c.limit}, []any{p.Reason, p.Field, p.Limit}, c.more)
		require.Contains(t, p.Error, c.message, c.more)
	}
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"t","preempt":"yes"}`), `"field":"preempt"`)
	for more, field := range map[string]string{
		`"preempt":true`:                       "tasks[1].preempt",
		`"preempt":true,"max_wait_ms":60000`:   "tasks[1].preempt",
		`"on_preempt":"requeue"`:               "tasks[1].on_preempt",
		`"on_preempt":"end","max_wait_ms":500`: "tasks[1].max_wait_ms",
	} {
		a := f.call("POST", "/api/v1/schedule/batch", `{"tasks":[{"task_id":"a"},{"task_id":"b",`+more+`}]}`)
		var p placement
		require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
		require.Equal(t, 400, a.status, more)
		require.Equal(t, field, p.Field, more)
	}
	require.Zero(t, f.list("")[0].CurrentTasks, "nothing was placed")

	_, results := f.batch(`{"tasks":[{"task_id":"a","on_preempt":"end"},{"task_id":"b","on_preempt":"never"},{"task_id":"c"}]}`)
	for i, want := range []wire.OnPreempt{wire.OnPreemptEnd, wire.OnPreemptNever, wire.OnPreemptDefault} {
		require.Equal(t, want, results[i].OnPreempt, "the handover carries it")
	}
	status, p := f.place("d", `"on_preempt":"default"`)
	require.Equal(t, 200, status)
	require.Equal(t, wire.OnPreemptDefault, p.OnPreempt)
}
