package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched/waitlist"
	"github.com/dtask/dtask-scheduler/wire"
)

// bounded is a scheduler with small limits, one client on session 1 and an
// agent's connection on session 2.
type bounded struct {
	*State
	t   *testing.T
	out Outbox
}

func newBounded(t *testing.T, tune func(c *Config)) *bounded {
	cfg := DefaultConfig()
	cfg.Instance = 7
	tune(&cfg)
	s, err := New(cfg)
	require.NoError(t, err)
	b := &bounded{State: s, t: t}
	b.say(1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: "c"})
	b.say(2, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent})
	return b
}

// say applies a message and returns the last answer, nil if there is none.
func (b *bounded) say(from Session, m wire.Message) wire.Message {
	b.t.Helper()
	b.out.Reset()
	b.Apply(1, from, 9, m, &b.out)
	require.NoError(b.t, b.Check())
	if n := len(b.out.Items); n > 0 {
		return b.out.Items[n-1].Message()
	}
	return nil
}

// refused requires an error with its limit.
func (b *bounded) refused(from Session, m wire.Message, code wire.Code, limit int) {
	b.t.Helper()
	e, ok := b.say(from, m).(*wire.Error)
	require.True(b.t, ok, "%T is not refused", m)
	require.Equal(b.t, code, e.Code, e.Error())
	require.EqualValues(b.t, limit, e.Limit)
}

// join registers and promises a worker.
func (b *bounded) join(id string, slots uint32, leases ...wire.Record) uint32 {
	b.t.Helper()
	r, ok := b.say(2, &wire.Register{Worker: id, Address: "h:1", Incarnation: 1, Seq: 1, Slots: slots, Leases: leases}).(*wire.Registered)
	require.True(b.t, ok)
	h := r.Handle
	b.say(2, &wire.Promised{Handle: h, Grantor: b.Grantor()})
	return h
}

func foreign(n int) wire.Record {
	return wire.Record{Lease: wire.LeaseID{Epoch: 1, Instance: 9, Counter: uint64(n)}, Task: []byte("old")}
}

// TestLeasesAreBounded: live leases are at most MaxLeases, whichever way they
// come: asked for, alone or in a batch, told by a registration, or begun
// without having been granted.
func TestLeasesAreBounded(t *testing.T) {
	const most = 4
	b := newBounded(t, func(c *Config) { c.MaxLeases = most })
	h := b.join("w1", 100, foreign(1), foreign(2))
	b.refused(2, &wire.Register{Worker: "w2", Address: "h:1", Incarnation: 1, Seq: 1, Slots: 9,
		Leases: []wire.Record{foreign(3), foreign(4), foreign(5)}}, wire.CodeLeaseLimit, most)
	require.Nil(t, b.say(2, &wire.Begun{Handle: h, Seq: 2, Record: foreign(6)}))
	require.IsType(t, &wire.Placed{}, b.say(1, &wire.Schedule{Task: []byte("a")}))
	require.Equal(t, most, b.leases.live)

	e, ok := b.say(2, &wire.Begun{Handle: h, Seq: 3, Record: foreign(7)}).(*wire.Error)
	require.True(t, ok, "one more is begun")
	require.Equal(t, wire.CodeLeaseLimit, e.Code)
	b.refused(2, &wire.Register{Worker: "w2", Address: "h:1", Incarnation: 1, Seq: 2, Slots: 9, Leases: []wire.Record{foreign(3)}}, wire.CodeLeaseLimit, most)
	e, ok = b.say(1, &wire.Schedule{Task: []byte("b")}).(*wire.Error)
	require.True(t, ok)
	require.Equal(t, wire.CodeLeaseLimit, e.Code)
	all := b.say(1, &wire.Batch{Tasks: []wire.Schedule{{Task: []byte("c")}, {Task: []byte("d")}}}).(*wire.PlacedAll)
	require.Equal(t, []wire.Code{wire.CodeLeaseLimit, wire.CodeLeaseLimit}, []wire.Code{all.Results[0].Code, all.Results[1].Code})
	require.Equal(t, most, b.leases.live)

	require.Nil(t, b.say(2, &wire.Begun{Handle: h, Seq: 4, Record: foreign(6)}), "what is known may begin again")
	require.IsType(t, &wire.Ended{}, b.say(2, &wire.End{Handle: h, Seq: 5, Lease: foreign(6).Lease, Outcome: wire.ReasonOK}))
	require.IsType(t, &wire.Placed{}, b.say(1, &wire.Schedule{Task: []byte("b")}), "there is room again")
}

// TestRegistrationsOfAConnectionAreBounded: a connection that registers ever new
// workers, or takes one away from another again and again, is refused by name.
func TestRegistrationsOfAConnectionAreBounded(t *testing.T) {
	b := newBounded(t, func(*Config) {})
	s := b.State
	register := func(from Session, id string, incarnation uint64) wire.Message {
		b.out.Reset()
		s.Apply(1, from, 9, &wire.Register{Worker: id, Address: "h:1", Incarnation: incarnation, Seq: 1, Slots: 1}, &b.out)
		return b.out.Items[len(b.out.Items)-1].Message()
	}
	for n := range maxLinks {
		require.IsType(t, &wire.Registered{}, register(2, fmt.Sprint("w", n), 1))
	}
	e, ok := register(2, "one more", 1).(*wire.Error)
	require.True(t, ok)
	require.Equal(t, wire.CodeBusy, e.Code)
	require.EqualValues(t, maxLinks, e.Limit)
	require.Len(t, s.sessions[2].links, maxLinks)

	b.say(3, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent})
	b.say(4, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent})
	refusals := 0
	for n := range 2*maxLinks + 100 {
		if _, ok := register(Session(3+n%2), "w0", uint64(2+n)).(*wire.Error); ok {
			refusals++
		}
	}
	require.Positive(t, refusals)
	require.LessOrEqual(t, max(len(s.sessions[3].links), len(s.sessions[4].links)), maxLinks)
	require.NoError(t, s.Check())
}

// TestTheLimitOfAnOwnerOutlivesManyOthers: an owner that had nothing for a
// moment, and has as much as it may when others have come and gone, is not
// forgotten with them; nor is one that waits.
func TestTheLimitOfAnOwnerOutlivesManyOthers(t *testing.T) {
	const most = 3
	b := newBounded(t, func(c *Config) { c.MaxOwnerLeases, c.MaxOwnerWaiting = most, most })
	s := b.State
	b.join("w1", 1000)
	b.say(2, &wire.Register{Worker: "w2", Address: "h:2", Incarnation: 1, Seq: 1, Slots: 1, External: 1, Tags: []string{"full"}})
	b.say(2, &wire.Promised{Handle: 1, Grantor: b.Grantor()})
	asks := 0
	ask := func(owner string, wait uint32) wire.Message {
		asks++
		b.out.Reset()
		m := &wire.Schedule{Task: fmt.Appendf(nil, "t%d", asks), Owner: []byte(owner), WaitMS: wait}
		if wait > 0 {
			m.Tags = wire.AppendTags(nil, []string{"full"})
		}
		s.Apply(1, 1, 9, m, &b.out)
		if len(b.out.Items) == 0 {
			return nil
		}
		return b.out.Items[0].Message()
	}
	come := func(owner string) {
		p, ok := ask(owner, 0).(*wire.Placed)
		require.True(t, ok)
		s.Apply(1, 1, 9, &wire.Release{Lease: p.Lease}, &b.out)
	}
	for _, owner := range []string{"ann", "bob"} {
		come(owner) // and has nothing for a moment
		for range most {
			require.IsType(t, &wire.Placed{}, ask(owner, 0))
		}
	}
	come("cid")
	for _, owner := range []string{"bob", "cid"} {
		for range most {
			require.Nil(t, ask(owner, 60_000), "it waits")
		}
	}
	for n := range 3 * waitlist.OwnersKept {
		come(fmt.Sprint("other", n))
	}
	for _, owner := range []string{"ann", "bob"} {
		e, ok := ask(owner, 0).(*wire.Error)
		require.True(t, ok, owner)
		require.Equal(t, wire.CodeOwnerLimit, e.Code)
		require.EqualValues(t, most, e.Limit)
	}
	for _, owner := range []string{"bob", "cid"} {
		e, ok := ask(owner, 60_000).(*wire.Error)
		require.True(t, ok, owner)
		require.Equal(t, wire.CodeQueueFull, e.Code)
	}
	require.LessOrEqual(t, len(s.queue.list.Owners()), waitlist.OwnersKept+3)
	require.NoError(t, s.Check())
}

// TestClaimsOfWhatWasNeverGrantedAreBounded: a grant steps over so many claims at
// most, whichever way they come, and further ones are refused by name.
func TestClaimsOfWhatWasNeverGrantedAreBounded(t *testing.T) {
	b := newBounded(t, func(*Config) {})
	ahead := func(n int) wire.Record {
		return wire.Record{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: uint64(n+1) << leaseSlotBits}, Task: []byte("claimed")}
	}
	var claims []wire.Record
	for n := range claimsAhead {
		claims = append(claims, ahead(n))
	}
	h := b.join("liar", 1000, claims[1:]...)
	require.Nil(t, b.say(2, &wire.Begun{Handle: h, Seq: 2, Record: claims[0]}))
	require.Equal(t, claimsAhead, b.leases.ahead)
	b.refused(2, &wire.Begun{Handle: h, Seq: 3, Record: ahead(claimsAhead)}, wire.CodeBadRequest, claimsAhead)
	require.Nil(t, b.say(2, &wire.Begun{Handle: h, Seq: 4, Record: claims[0]}), "what is known may begin again")
	b.refused(2, &wire.Register{Worker: "w", Address: "h:1", Incarnation: 1, Seq: 1, Leases: claims[:1]}, wire.CodeBadRequest, claimsAhead)
	b.refused(2, &wire.Register{Worker: "liar", Address: "h:1", Incarnation: 1, Seq: 5, Leases: append(claims, ahead(claimsAhead))}, wire.CodeBadRequest, claimsAhead)
	require.IsType(t, &wire.Registered{}, b.say(2, &wire.Register{Worker: "liar", Address: "h:1", Incarnation: 1, Seq: 6, Slots: 1000, Leases: claims}))

	w := b.join("w", 1)
	p := b.say(1, &wire.Schedule{Task: []byte("a")}).(*wire.Placed)
	require.NotContains(t, claims, wire.Record{Lease: p.Lease, Task: []byte("claimed")})
	require.IsType(t, &wire.Ended{}, b.say(2, &wire.End{Handle: h, Seq: 7, Lease: claims[3].Lease, Outcome: wire.ReasonOK}))
	require.Equal(t, claimsAhead-1, b.leases.ahead)
	require.Nil(t, b.say(2, &wire.Begun{Handle: w, Seq: 2, Record: claims[5]}), "a second claim of the same")
	b.RemoveWorker(1, "liar", &b.out)
	require.Equal(t, 1, b.leases.ahead)
	require.NoError(t, b.Check())
}
