package server

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// everyRequest is one good frame of each kind that a peer may send.
func everyRequest() [][]byte {
	id := wire.LeaseID{Epoch: 1, Instance: 5, Counter: 9}
	record := wire.Record{Lease: id, Task: []byte("t"), Client: []byte("c"), Owner: []byte("o"),
		Resources: wire.AppendResources(nil, map[string]int64{"cpu": 4})}
	s := task("t", "gpu", "x")
	s.Resources = record.Resources
	var all [][]byte
	for _, m := range []wire.Message{
		helloOf("c"), &wire.Ping{}, s, &wire.Batch{Tasks: []wire.Schedule{*s, *task("u")}},
		&wire.Renew{Leases: []wire.LeaseID{id, {}}}, &wire.Release{Lease: id, Handed: true},
		&wire.Register{Worker: "w", Address: "a", Incarnation: 4, Seq: 1, Tags: []string{"gpu", "x"}, Slots: 3,
			Resources: map[string]int64{"cpu": 9}, Leases: []wire.Record{record}},
		&wire.Promised{Grantor: wire.Grantor{Epoch: 1, Instance: 5}}, &wire.Heartbeat{Seq: 2, External: 1},
		&wire.Begun{Seq: 3, Record: record}, &wire.End{Seq: 4, Lease: id, Outcome: wire.ReasonOK},
		&wire.Revoked{Seq: 5, Lease: id}, &wire.Deregister{Seq: 6},
		&wire.ListWorkers{Limit: 3}, &wire.GetWorker{ID: "w"}, &wire.GetStats{},
		&wire.Cordon{Worker: "w", On: true, Reason: "r", By: "b"}, &wire.Cordon{Worker: "w"},
		&wire.ListLeases{Limit: 3, Worker: "w", State: wire.StateBegun}, &wire.ListTags{After: "a"},
		&wire.ListEvents{After: 2}, &wire.ListEnded{Before: 9, Task: "t"},
	} {
		all = append(all, wire.Append(nil, 1, m))
	}
	return all
}

// Frames with random faults, in random order, on connections that come and go:
// nothing panics, and the core's own check holds.
func TestRandomFaultsInFrames(t *testing.T) {
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	x := newBench(t, 0)
	good := everyRequest()
	for i := range 30_000 {
		if x.s.closing || rng.IntN(300) == 0 {
			if x.s.helloed {
				x.srv.core.closed(x.s, &x.l.gone)
			}
			x.s = &session{id: sched.Session(i + 10), loop: x.l}
			if rng.IntN(4) > 0 {
				x.feed(t, good[0])
			}
		}
		in := append([]byte(nil), good[rng.IntN(len(good))]...)
		for range rng.IntN(3) {
			in[rng.IntN(len(in))] = byte(rng.IntN(256))
		}
		if rng.IntN(20) == 0 {
			in = in[:rng.IntN(len(in))]
		}
		x.l.batch(x.s, in, maxFrames)
		x.l.encode(x.s)
		if i%500 == 0 {
			require.NoError(t, x.srv.core.state.Check())
		}
	}
	require.NoError(t, x.srv.core.state.Check())
}
