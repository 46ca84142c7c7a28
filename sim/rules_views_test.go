package sim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Each test here is one rule about what is remembered for operators.

// events lists what happened after an event.
func (s *script) events(after uint64) []string {
	s.t.Helper()
	var out []string
	m := query[*wire.Events](s, &wire.ListEvents{After: after})
	for _, e := range m.Rows {
		after++
		require.Equal(s.t, after, e.Number)
		line := e.What + " " + e.Worker
		if !e.Lease.IsZero() {
			line += " " + e.Lease.String()
		}
		out = append(out, line)
	}
	require.Equal(s.t, after, m.Next)
	return out
}

// lastEnd tells how the lease that ended last did so.
func (s *script) lastEnd(t *task) string {
	s.t.Helper()
	e := query[*wire.EndedLeases](s, &wire.ListEnded{Limit: 1}).Rows[0]
	require.Equal(s.t, t.lease.id, e.Lease)
	return fmt.Sprintf("%s on %s by the %s, held %d", e.Reason, e.Worker, e.By, e.HeldMS)
}

func TestEventsTellWhatHappenedToWorkers(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 2), s.client("c1")
	s.cordon("w1", true)
	s.cordon("w1", true)
	s.cordon("w1", false)
	first := s.place(c1)
	s.passes(11_000)
	revoked := "revoked w1 " + first.lease.id.String()
	require.Equal(t, []string{"joined w1", "cordoned w1", "uncordoned w1", revoked}, s.events(0))
	s.breaks(a)
	s.returns(a)
	l := a.link
	a.stop(false)
	a.start()
	s.settled()
	s.closeHost(l)
	require.Equal(t, []string{revoked, "suspicious w1", "back w1", "superseded w1"}, s.events(3))
	s.breaks(a)
	s.passes(90_000)
	a.stop(false)
	a.start()
	s.settled()
	l = a.link
	a.leave()
	s.up(l)
	require.Equal(t, []string{"suspicious w1", "offline w1", "removed w1", "joined w1", "deregistered w1"}, s.events(7))
}

// kept is how many events can be listed.
const kept = 4096

func TestEventsThatWereMissedAreCounted(t *testing.T) {
	s := newScript(t)
	s.join("w1", 1)
	p := &asker{}
	l := s.dial(p)
	s.sendUp(l, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient})
	for i := range kept + 100 {
		s.sendUp(l, 2, &wire.Cordon{Worker: "w1", On: i%2 == 0, Reason: fmt.Sprint(i)})
		for s.deliverUp(l) && s.deliverDown(l) {
		}
	}
	require.NoError(t, s.err)
	m := query[*wire.Events](s, &wire.ListEvents{After: 41, Limit: 2})
	require.Equal(t, []uint64{60, 102, 103, kept + 101}, []uint64{m.Missed, m.Rows[0].Number, m.Rows[1].Number, m.Next})
	require.Equal(t, []string{"100", "101"}, []string{m.Rows[0].Reason, m.Rows[1].Reason})
	m = query[*wire.Events](s, &wire.ListEvents{After: kept + 50, Limit: 2})
	require.Equal(t, []string{fmt.Sprint(kept + 49), fmt.Sprint(kept + 50)}, []string{m.Rows[0].Reason, m.Rows[1].Reason}, "in the place of the oldest")
	m = query[*wire.Events](s, &wire.ListEvents{After: 10_000})
	require.Empty(t, m.Rows)
	require.Equal(t, uint64(kept+101), m.Next, "the scheduler that numbered 10,000 events is gone")
}

func TestLeasesAndTagsAreListedInPages(t *testing.T) {
	s := newScript(t)
	for i, tags := range [][]string{{"gpu", "ssd"}, {"gpu", "gpu"}, nil} {
		a := s.newAgent(fmt.Sprintf("w%d", i+1), 2, tags...)
		a.connect()
		s.settled()
	}
	var all []*task
	for i, c := range []*client{s.client("c1"), s.client("c2")} {
		for range 3 {
			first := c.newTask()
			first.owner = []string{"ann", "bob"}[i]
			c.schedule(first)
			s.settled()
			all = append(all, first)
		}
	}
	s.release(all[0])
	for limit := range uint32(7) {
		s.judgeLeases(&wire.ListLeases{Limit: limit})
	}
	for _, m := range []wire.ListLeases{{Worker: "w1"}, {Owner: "ann"}, {Group: "none"}, {Client: "c2"}, {State: wire.StateGranted}, {State: wire.StateBegun}} {
		s.judgeLeases(&m)
	}
	s.look()
	require.Len(t, query[*wire.Leases](s, &wire.ListLeases{}).Rows, 5)
	require.Len(t, query[*wire.Leases](s, &wire.ListLeases{Client: "c1", Owner: "ann"}).Rows, 2)
	first := query[*wire.Tags](s, &wire.ListTags{Limit: 1})
	require.Equal(t, &wire.Tags{Rows: []wire.TagInfo{{Tag: "gpu", Workers: 2}}, Next: "gpu"}, first)
	second := query[*wire.Tags](s, &wire.ListTags{Limit: 1, After: first.Next})
	require.Equal(t, &wire.Tags{Rows: []wire.TagInfo{{Tag: "ssd", Workers: 1}}}, second)
}

func TestEndedLeasesTellWhoEndedThem(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.runs(first)
	s.passes(2_000)
	s.ends(first)
	s.settled()
	require.Equal(t, "ok on w1 by the worker, held 2000", s.lastEnd(first))
	second := s.place(c1)
	s.release(second)
	require.Equal(t, "released on w1 by the client, held 0", s.lastEnd(second))
	third := s.place(c1)
	s.passes(11_000)
	s.settled()
	require.Equal(t, "revoked on w1 by the worker, held 11000", s.lastEnd(third))
	fourth := s.place(c1)
	s.runs(fourth)
	a.end(fourth.lease, wire.ReasonLost) // the worker itself says so
	s.settled()
	require.Equal(t, "lost on w1 by the worker, held 0", s.lastEnd(fourth))
}

func TestTheEndOfAnOrphanIsNotRemembered(t *testing.T) {
	s := newScript(t)
	a, c1 := s.join("w1", 1), s.client("c1")
	first := s.place(c1)
	s.runs(first)
	s.remove("w1")
	require.Equal(t, "lost on w1 by the scheduler, held 0", s.lastEnd(first))
	a.send(a.book.Heartbeat(0))
	s.settled() // superseded
	s.returns(a)
	require.Equal(t, uint32(1), s.worker(a).Info.Taken)
	s.ends(first)
	s.settled()
	require.Zero(t, s.worker(a).Info.Taken)
	require.Equal(t, "lost on w1 by the scheduler, held 0", s.lastEnd(first))
	require.Len(t, query[*wire.EndedLeases](s, &wire.ListEnded{}).Rows, 1)
}
