package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Both APIs count the same requests under the same words.
func TestRequestsAreCounted(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 1, "gpu")
	c := f.dial("c1")
	p := placed(t, c.ask(1, task("t1")))
	c.ask(2, task("t2"))
	c.ask(3, task("t3", "tpu"))
	c.ask(4, &wire.Release{Lease: p.Lease})
	c.ask(5, &wire.Release{Lease: p.Lease})
	c.send(6, &wire.Heartbeat{Handle: 9, Seq: 1})
	c.refusal(wire.CodeNotRegistered)
	c.send(7, waits(task("t4", "gpu"), 60_000))
	require.IsType(t, &wire.Placed{}, func() wire.Message { _, m := c.read(); return m }())
	c.send(8, waits(task("t5", "gpu"), 60_000))
	c.ask(9, &wire.Batch{Tasks: []wire.Schedule{*task("t6"), *task("t7")}})
	a.send(0, &wire.Heartbeat{Handle: a.handle, Seq: 2})
	a.alive()

	f.post("/api/v1/schedule", `{"task_id":"t1"}`)
	f.post("/api/v1/schedule", `{"task_id":""}`)
	f.post("/api/v1/schedule", `[]`)
	f.post("/api/v1/release", `{"lease_id":"1-1-1"}`)
	f.call("DELETE", "/api/v1/workers/w9", "")
	f.call("GET", "/nowhere", "")
	f.call("GET", "/healthz", "")

	all := f.gather()
	for _, w := range []struct {
		api, op, code string
		n             float64
	}{
		{"native", "schedule", "ok", 2}, {"native", "schedule", "unavailable", 1}, {"native", "schedule", "infeasible", 1},
		{"native", "schedule", "waiting", 1}, {"native", "batch", "unavailable", 1},
		{"native", "release", "ok", 1}, {"native", "release", "already_ended", 1},
		{"native", "heartbeat", "ok", 1}, {"native", "heartbeat", "not_registered", 1}, {"native", "register", "ok", 1}, {"native", "promised", "ok", 1}, {"native", "hello", "ok", 2},
		{"http", "schedule", "unavailable", 1}, {"http", "schedule", "bad_request", 2},
		{"http", "release", "not_found", 1}, {"http", "deregister", "not_found", 1}, {"http", "unknown", "not_found", 1},
	} {
		require.Equal(t, w.n, value(t, all, "dtask_requests_total", "api="+w.api, "op="+w.op, "code="+w.code), "%+v", w)
	}
	require.Equal(t, 9.0, value(t, all, "dtask_schedule_requests_total"))
	require.Equal(t, 5.0, value(t, all, "dtask_request_duration_seconds", "api=native", "op=schedule"))
	require.Equal(t, 3.0, value(t, all, "dtask_request_duration_seconds", "api=http", "op=schedule"))
}
