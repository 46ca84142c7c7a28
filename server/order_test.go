package server

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// A revoke that the core made before an answer must come before it, though the
// two are made on behalf of different connections.
func TestPushesAndAnswersComeInTheOrderOfTheCore(t *testing.T) {
	for _, loops := range []int{1, 2} {
		t.Run(fmt.Sprint(loops), func(t *testing.T) {
			f := start(t, func(c *Config) { c.Loops = loops })
			const rounds = 500
			a := f.agent("w1", rounds)
			c := f.dial("c1")
			var leases []wire.LeaseID
			for i := range rounds {
				p := placed(t, c.ask(1, task(fmt.Sprintf("t%d", i))))
				leases = append(leases, p.Lease)
			}
			for i, id := range leases {
				r := c.ask(2, &wire.Release{Lease: id, Handed: true}).(*wire.Released)
				require.Equal(t, wire.CodeAskedBack, r.Code)
				a.send(uint64(i+100), &wire.Ping{})
				_, m := a.read()
				require.Equal(t, id, m.(*wire.Revoke).Lease)
				request, m := a.read()
				require.IsType(t, &wire.Pong{}, m)
				require.EqualValues(t, i+100, request)
			}
		})
	}
}

// The same without waiting: pushes stay in order among themselves, and so do
// answers.
func TestManyPushesKeepTheirOrder(t *testing.T) {
	f := start(t)
	const rounds = 3_000
	a := f.agent("w1", rounds)
	c := f.dial("c1")
	var leases []wire.LeaseID
	var releases, pings []byte
	for i := range rounds {
		p := placed(t, c.ask(1, task(fmt.Sprintf("t%d", i))))
		leases = append(leases, p.Lease)
		releases = wire.Append(releases, 2, &wire.Release{Lease: p.Lease, Handed: true})
		pings = wire.Append(pings, uint64(i+1), &wire.Ping{})
	}
	var writers sync.WaitGroup
	writers.Go(func() { _, _ = c.conn.Write(releases) })
	writers.Go(func() { _, _ = a.conn.Write(pings) })
	defer writers.Wait()
	revokes, pongs := 0, 0
	for revokes < rounds || pongs < rounds {
		request, m := a.read()
		switch m := m.(type) {
		case *wire.Revoke:
			require.Equal(t, leases[revokes], m.Lease)
			revokes++
		case *wire.Pong:
			pongs++
			require.EqualValues(t, pongs, request)
		default:
			t.Fatalf("%T", m)
		}
	}
}

// A session for which too much is pushed is closed; the others do not notice.
func TestPushesHaveALimit(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxOutput = 1 << 10 })
	const rounds = 300
	a := f.agent("w1", rounds)
	c := f.dial("c1")
	var releases []byte
	for i := range rounds {
		p := placed(t, c.ask(1, task(fmt.Sprintf("t%d", i))))
		releases = wire.Append(releases, 2, &wire.Release{Lease: p.Lease, Handed: true})
	}
	f.core.mu.Lock()
	f.core.sessions[1].inflight += 1 << 10 // as if gnet had not sent it yet
	f.core.mu.Unlock()
	c.raw(releases)
	eventually(t, func() bool { return f.slowConsumers() > 0 }, "the worker's connection closes")
	for {
		if _, _, err := a.next(); err != nil {
			break
		}
	}
	f.dial("d").alive()
}

func TestInputIsScribbledOver(t *testing.T) {
	f := prepare(t)
	f.hooks.poison = func(b []byte) {
		for i := range b {
			b[i] = 0xa5
		}
	}
	require.NoError(t, f.Start())
	a := f.equipped(wire.Register{Worker: "w1", Slots: 8, Tags: []string{"gpu", "a tag with blanks (and more)"}, Resources: map[string]int64{"cpu": 30}})
	c := f.dial("client-one")
	s := task("task-one", "gpu", "a tag with blanks (and more)")
	s.Owner, s.Group, s.Priority = []byte("owner-one"), []byte("group-one"), 5
	s.Resources = wire.AppendResources(nil, map[string]int64{"cpu": 3})
	first := placed(t, c.ask(3, s))
	again := placed(t, c.ask(4, s))
	require.Equal(t, first.Lease, again.Lease)
	require.NotZero(t, again.Flags&wire.PlacedRepeat)
	worker, address := wire.ReadTarget(again.Target)
	require.Equal(t, "w1 w1:1", worker+" "+address)

	a.seq++
	a.send(5, &wire.Begun{Handle: a.handle, Seq: a.seq, Record: wire.Record{Lease: first.Lease,
		Task: s.Task, Client: []byte("client-one"), Owner: s.Owner, Group: s.Group, Priority: 5, Resources: s.Resources}})
	a.alive()
	w := c.ask(6, &wire.GetWorker{ID: "w1"}).(*wire.Worker)
	require.Equal(t, []string{"gpu", "a tag with blanks (and more)"}, w.Info.Tags)
	require.Len(t, w.Leases, 1)
	l := w.Leases[0]
	require.Equal(t, "task-one client-one owner-one group-one begun",
		l.Task+" "+l.Client+" "+l.Owner+" "+l.Group+" "+l.State.String())
}
