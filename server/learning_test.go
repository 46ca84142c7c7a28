package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// learns has the server learn its fleet after its start, as it does by default.
func learns(cfg *Config) { cfg.Sched.Learning = true }

// While the fleet is learned nothing is infeasible on any interface: whoever does
// not wait is told when to ask again, and whoever waits is served by the worker
// that comes back.
func TestNothingIsInfeasibleWhileTheFleetIsLearned(t *testing.T) {
	f := start(t, learns, func(cfg *Config) { cfg.Sched.Heartbeat = 60_000 }) // it does not end here
	c := f.dial("c1")
	task := func(id string, wait uint32) wire.Schedule {
		return wire.Schedule{Task: []byte(id), Tags: wire.AppendTags(nil, []string{"gpu"}), WaitMS: wait}
	}
	one := task("t1", 0)
	c.send(2, &one)
	e := c.refusal(wire.CodeUnavailable)
	require.EqualValues(t, 1000, e.RetryAfterMS)
	for _, gang := range []bool{false, true} {
		c.send(3, &wire.Batch{Tasks: []wire.Schedule{task("t2", 0), task("t3", 0)}, AllOrNone: gang})
		_, m := c.read()
		all := m.(*wire.PlacedAll)
		require.Equal(t, wire.CodeUnavailable, all.Results[0].Code)
		require.EqualValues(t, 1000, all.RetryAfterMS)
	}
	const body = `{"task_id":"t4","required_tags":["gpu"]}`
	answer := f.call("POST", "/api/v1/schedule", body)
	require.Equal(t, 503, answer.status)
	require.Equal(t, `{"error":"no available worker matching requirements","reason":"unavailable","detail":"the scheduler was just started, and workers are still coming","retry_after_ms":1000}`+"\n", answer.body)
	for _, tail := range []string{`]}`, `],"all_or_none":true}`} {
		var got struct {
			Results []struct {
				Reason       string `json:"reason"`
				RetryAfterMS int    `json:"retry_after_ms"`
			} `json:"results"`
		}
		require.NoError(t, json.Unmarshal([]byte(f.call("POST", "/api/v1/schedule/batch", `{"tasks":[`+body+tail).body), &got))
		require.Equal(t, "unavailable", got.Results[0].Reason)
		require.Equal(t, 1000, got.Results[0].RetryAfterMS)
	}

	waits := task("t5", 60_000)
	c.send(4, &waits)
	f.equipped(wire.Register{Worker: "w1", Slots: 1, Tags: []string{"gpu"}})
	request, m := c.read()
	require.EqualValues(t, 4, request)
	require.IsType(t, &wire.Placed{}, m)
}

// When it has learned its fleet the core is told.
func TestTheCoreIsToldThatTheFleetIsKnown(t *testing.T) {
	f := start(t, short, learns)
	eventually(t, func() bool {
		f.probeCore()
		answer := f.call("POST", "/api/v1/schedule", `{"task_id":"t1","required_tags":["gpu"]}`)
		return strings.Contains(answer.body, `"reason":"infeasible"`)
	}, "it is infeasible")
	status, reason := f.health("/readyz")
	require.Equal(t, 200, status, reason)
}
