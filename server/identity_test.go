package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

func Test39SameTaskSameContent(t *testing.T) {
	f := start(t)
	f.agent("w1", 5, "gpu", "ssd")
	c := f.dial("c1")
	first := placed(t, c.ask(1, task("t1", "gpu", "ssd")))
	again := placed(t, c.ask(2, task("t1", "ssd", "gpu")))
	require.Equal(t, first.Lease, again.Lease)
	require.NotZero(t, again.Flags&wire.PlacedRepeat)
	other := placed(t, f.dial("c2").ask(1, task("t1", "gpu", "ssd")))
	require.NotEqual(t, first.Lease, other.Lease, "the id belongs to its client")
	require.Equal(t, 2, f.list("")[0].CurrentTasks)
}

func Test40SameTaskOtherContent(t *testing.T) {
	f := start(t)
	f.agent("w1", 5, "gpu", "ssd")
	c := f.dial("c1")
	placed(t, c.ask(1, task("t1", "gpu")))
	for _, m := range []*wire.Schedule{
		task("t1"), task("t1", "ssd"),
		{Task: []byte("t1"), Tags: wire.AppendTags(nil, []string{"gpu"}), Priority: 1},
		{Task: []byte("t1"), Tags: wire.AppendTags(nil, []string{"gpu"}), Owner: []byte("o")},
	} {
		c.send(2, m)
		c.refusal(wire.CodeConflict)
	}
	require.Equal(t, 1, f.list("")[0].CurrentTasks)
}

// whats returns what happened, in order.
func (f *fixture) whats() string {
	f.t.Helper()
	var page view.Events
	f.get("/api/v1/events", &page)
	var all []string
	for _, e := range page.Events {
		all = append(all, e.What)
	}
	return strings.Join(all, " ")
}

// register registers an incarnation of w1, which has one slot.
func (p *peer) register(incarnation uint64, promised wire.Grantor, leases ...wire.Record) wire.Message {
	p.t.Helper()
	return p.ask(5, &wire.Register{Worker: "w1", Address: "w1:1", Incarnation: incarnation, Seq: 1, Slots: 1,
		Promised: promised, Leases: leases})
}

// Two machines were given one id. Each takes it from the other, each is told,
// the operator can see it, and the slot is never taken twice.
func Test41TwoWorkersOfOneIDFlapping(t *testing.T) {
	f := start(t)
	grantor := f.grantor()
	a, b, c := f.dial("a"), f.dial("b"), f.dial("c")
	r := a.register(1, wire.Grantor{}).(*wire.Registered)
	a.send(0, &wire.Promised{Handle: r.Handle, Grantor: r.Grantor})
	a.alive()
	p := placed(t, c.ask(1, task("t1")))
	record := wire.Record{Lease: p.Lease, Task: []byte("t1"), Client: []byte("c")}
	a.send(2, &wire.Begun{Handle: r.Handle, Seq: 2, Record: record})
	a.alive()

	rb := b.register(2, wire.Grantor{}).(*wire.Registered)
	b.send(0, &wire.Promised{Handle: rb.Handle, Grantor: rb.Grantor})
	b.alive()
	superseded := &wire.Superseded{Worker: "w1", Incarnation: 1}
	require.Equal(t, superseded, a.ask(3, &wire.Heartbeat{Handle: 0, Seq: 3}), "the older one is told by its next report")
	require.Equal(t, superseded, a.register(1, grantor), "and cannot take the id back as it is")

	ra := a.register(3, wire.Grantor{}, record)
	require.IsType(t, &wire.Registered{}, ra, "but with a new incarnation, which has promised nothing")
	superseded.Incarnation = 2
	require.Equal(t, superseded, b.ask(4, &wire.Heartbeat{Handle: 0, Seq: 2}))
	require.Equal(t, superseded, b.register(2, grantor))
	require.IsType(t, &wire.Registered{}, b.register(4, wire.Grantor{}))
	require.Equal(t, "joined superseded superseded superseded", f.whats())

	c.send(6, task("t2"))
	c.refusal(wire.CodeUnavailable)
}

func Test42OldIncarnationsReports(t *testing.T) {
	f := start(t)
	a, c := f.dial("a"), f.dial("c")
	r := a.register(1, wire.Grantor{}).(*wire.Registered)
	a.send(0, &wire.Promised{Handle: r.Handle, Grantor: r.Grantor})
	a.alive()
	lease := placed(t, c.ask(1, task("t1"))).Lease
	b := f.dial("b")
	rb := b.register(2, wire.Grantor{}).(*wire.Registered)
	b.send(0, &wire.Promised{Handle: rb.Handle, Grantor: rb.Grantor})
	b.alive()
	second := placed(t, c.ask(2, task("t2"))).Lease
	for _, m := range []wire.Message{
		&wire.Heartbeat{Seq: 9, External: 1}, &wire.End{Seq: 10, Lease: second, Outcome: wire.ReasonOK},
		&wire.Begun{Seq: 11, Record: wire.Record{Lease: lease, Task: []byte("t1")}}, &wire.Deregister{Seq: 12},
		&wire.Revoked{Seq: 13, Lease: second},
	} {
		require.IsType(t, &wire.Superseded{}, a.ask(7, m), m.Kind())
	}
	require.Equal(t, 1, f.list("")[0].CurrentTasks)
	renewed := c.ask(3, &wire.Renew{Leases: []wire.LeaseID{lease, second}}).(*wire.Renewed)
	require.Equal(t, []wire.LeaseStatus{{State: wire.StateEnded, Reason: wire.ReasonLost}, {State: wire.StateGranted}}, renewed.Leases)
}

func TestLateReportsOfTheSameIncarnation(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 2)
	a.send(0, &wire.Heartbeat{Handle: a.handle, Seq: 9, External: 1})
	a.send(0, &wire.Heartbeat{Handle: a.handle, Seq: 8, External: 2})
	a.send(0, &wire.Heartbeat{Handle: a.handle, Seq: 9, External: 2})
	a.alive()
	require.Equal(t, 1, f.list("")[0].CurrentTasks)
	require.EqualValues(t, 2, f.metric("stale_reports"))
}

func Test51ReleaseOfWhatCannotBeReleased(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 3)
	c := f.dial("c1")
	release := func(id wire.LeaseID, handed bool) wire.Released {
		return *c.ask(9, &wire.Release{Lease: id, Handed: handed}).(*wire.Released)
	}
	lease := placed(t, c.ask(1, task("t1"))).Lease
	require.Equal(t, wire.Released{}, release(lease, false))
	require.Equal(t, wire.Released{Code: wire.CodeAlreadyEnded, Reason: wire.ReasonReleased}, release(lease, false), "twice")
	require.Equal(t, wire.Released{Code: wire.CodeAlreadyEnded, Reason: wire.ReasonReleased}, release(lease, true))

	lease = placed(t, c.ask(2, task("t2"))).Lease
	require.Equal(t, wire.CodeAskedBack, release(lease, true).Code)
	require.Equal(t, wire.CodeAskedBack, release(lease, true).Code, "asked back")
	require.Equal(t, 1, f.list("")[0].CurrentTasks, "the room returns by the worker's answer alone")
	_, m := a.read()
	require.Equal(t, lease, m.(*wire.Revoke).Lease)
	a.send(0, &wire.Revoked{Handle: a.handle, Seq: 2, Lease: lease})
	a.alive()
	require.Equal(t, wire.Released{Code: wire.CodeAlreadyEnded, Reason: wire.ReasonRevoked}, release(lease, false))

	lease = placed(t, c.ask(3, task("t3"))).Lease
	a.send(0, &wire.Begun{Handle: a.handle, Seq: 3, Record: wire.Record{Lease: lease, Task: []byte("t3"), Client: []byte("c1")}})
	a.alive()
	require.Equal(t, wire.CodeBegun, release(lease, false).Code)
	require.Equal(t, wire.CodeBegun, release(lease, true).Code)
	require.Equal(t, 1, f.list("")[0].CurrentTasks)

	for _, id := range []wire.LeaseID{{}, {Epoch: 1, Instance: 9, Counter: 1}, {Epoch: lease.Epoch, Instance: lease.Instance, Counter: 1 << 50},
		{Epoch: lease.Epoch, Instance: lease.Instance, Counter: lease.Counter + 1}} {
		require.Equal(t, wire.CodeNotFound, release(id, false).Code, "%v is made up", id)
	}
}

func TestABeatOverTCPIsOutOfTurn(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 1)
	a.send(1, beatOf("w1", 1))
	a.refusal(wire.CodeProtocol)
	a.closed()
}
