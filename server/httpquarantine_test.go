package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// ends runs a task for each owner on the worker with a tag, and ends it so.
func (a *agent) ends(c *peer, tag string, outcome wire.Reason, owners ...string) {
	a.t.Helper()
	for i, owner := range owners {
		m := task(fmt.Sprintf("%s-%d", tag, i), tag)
		m.Owner = []byte(owner)
		if tag == "bad" {
			m.Resources = wire.AppendResources(nil, map[string]int64{"gpu": 1})
		}
		p := placed(a.t, c.ask(uint64(i+1), m))
		record := wire.Record{Lease: p.Lease, Task: m.Task, Owner: m.Owner, Resources: m.Resources, Devices: p.Devices}
		a.send(0, &wire.Begun{Handle: a.handle, Seq: a.seq + 1, Record: record})
		require.IsType(a.t, &wire.Ended{}, a.ask(uint64(i+1), &wire.End{Handle: a.handle, Seq: a.seq + 2, Lease: p.Lease, Outcome: outcome}))
		a.seq += 2
	}
}

// TestHTTPShowsAQuarantine: what fails is shown by worker and device, who is out
// for it and until when, and an operator ends it.
func TestHTTPShowsAQuarantine(t *testing.T) {
	f := start(t)
	c, good, bad := f.dial("c1"), f.agent("w1", 4, "good"), f.equipped(gpus("w2", "bad"))
	good.ends(c, "good", wire.ReasonOK, "ann", "bob", "eve", "ann", "bob")
	bad.ends(c, "bad", wire.ReasonFailed, "ann", "bob", "eve", "ann")
	var before view.WorkerDetail
	f.get("/api/v1/workers/w2", &before)
	require.Equal(t, []uint32{4, 4, 4, 0}, []uint32{before.Worker.Recent, before.Worker.RecentFailed, before.Worker.Devices[0].Failed, before.Worker.Devices[1].Failed})
	require.Nil(t, before.Worker.Cordon)
	bad.ends(c, "bad", wire.ReasonLost, "bob")
	var after view.WorkerDetail
	f.get("/api/v1/workers/w2", &after)
	require.Equal(t, []string{"cordoned", "quarantined"}, after.Worker.Flags)
	require.Equal(t, "failed 5 of its last 5 tasks, of 3 owners or groups, 5 of them on device 0; the others fail 0 %", after.Worker.Cordon.Reason)
	require.Equal(t, "scheduler", after.Worker.Cordon.By)
	recent(t, after.Worker.Cordon.Since)
	at := after.Worker.Cordon.Probe.Time
	require.WithinDuration(t, time.Now().Add(time.Minute), at, 30*time.Second)
	require.EqualValues(t, 1, f.metric("quarantined"))
	require.EqualValues(t, 1, f.metric("quarantines"))
	require.Contains(t, f.whats(), "quarantined")
	require.Equal(t, `200 {"status":"ok","changed":true}`, f.post("/api/v1/workers/w2/uncordon", ""))
	require.Zero(t, f.metric("quarantined"))
	var repaired view.WorkerDetail
	f.get("/api/v1/workers/w2", &repaired)
	require.Empty(t, repaired.Worker.Flags)
	require.Zero(t, repaired.Worker.Recent)
}
