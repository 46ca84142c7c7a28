package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

const (
	bigClient Session = 1
	bigAgent  Session = 100
	bigOther  Session = 101 // another connection of an agent
)

// bigWorker is a scheduler with a worker that has thousands of leases, and the
// registration that comes next from its agent.
func bigWorker(t *testing.T, fresh, changed bool) (*State, *wire.Register) {
	const leases, foreigns = 700, 100
	s := withWorkers(t, 5)
	s.firstWork, s.turnWork = 500, 500
	var out Outbox
	for _, from := range []Session{bigAgent, bigOther} {
		s.Apply(1, from, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &out)
	}
	m := &wire.Register{Worker: "big", Address: "h:1", Incarnation: 1, Seq: 1, Slots: 20_000, Resources: map[string]int64{"cpu": 1 << 30}}
	s.Apply(1, bigAgent, 1, m, &out)
	s.Apply(1, bigAgent, 1, &wire.Promised{Grantor: s.Grantor()}, &out)
	next := *m
	raw := wire.AppendResources(nil, map[string]int64{"cpu": 3})
	seq := uint32(1)
	for i := range leases {
		out.Reset()
		ttl := uint32(wire.MaxTTL)
		if i%40 == 0 {
			ttl = 1000 // it is asked back
		}
		task := fmt.Append(nil, "t", i)
		s.Apply(1, bigClient, 1, &wire.Schedule{Task: task, Resources: raw, TTLMS: ttl, Exclusive: false}, &out)
		r := wire.Record{Lease: out.Items[0].Placed.Lease, Task: task, Resources: raw}
		if i%2 == 0 {
			continue
		}
		seq++
		s.Apply(1, bigAgent, 1, &wire.Begun{Seq: seq, Record: r}, &out)
		switch {
		case i%7 == 0:
			r.Outcome = wire.ReasonFailed
		case i%11 == 0:
			continue // it is lost
		}
		next.Leases = append(next.Leases, r)
	}
	for i := range foreigns {
		r := foreign(i + 1)
		r.Task, r.Resources = fmt.Append(nil, "old", i), raw
		next.Leases = append(next.Leases, r)
	}
	for s.NextPulse() <= 5000 {
		s.Pulse(5000, &out)
	}
	next.Seq = seq + 1
	if fresh {
		next.Incarnation = 2
	}
	if changed {
		next.Resources = map[string]int64{"cpu": 1 << 30, "licence": 4}
	}
	require.NoError(t, s.Check())
	return s, &next
}

// register has a registration take its turns, and others come between them. It
// returns the number of turns.
func registerInTurns(t *testing.T, s *State, m *wire.Register, out *Outbox, between func(turn int)) (turns int) {
	job := s.Begin(5000, bigAgent, 7, m, out)
	require.LessOrEqual(t, s.Work(), s.firstWork+leaseWork)
	for done := job == nil; !done; turns++ {
		between(turns)
		require.NoError(t, s.Check())
		done = s.Continue(5000, job, m, out)
		require.LessOrEqual(t, s.Work(), s.turnWork+leaseWork)
	}
	require.NoError(t, s.Check())
	for n := range s.joining {
		require.NotZero(t, s.workers.At(n).uncounted, "the next registration goes on with the count")
	}
	require.Zero(t, s.leases.awaited)
	return turns
}

// TestARegistrationInTurnsEndsLikeOneStep: a long list is applied in turns, with the
// answer, the pushes and the leases that one step brings.
func TestARegistrationInTurnsEndsLikeOneStep(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		for _, changed := range []bool{false, true} {
			one, m := bigWorker(t, fresh, changed)
			two, _ := bigWorker(t, fresh, changed)
			var want, got Outbox
			one.Apply(5000, bigAgent, 7, m, &want)
			require.Greater(t, registerInTurns(t, two, m, &got, func(int) {
				var out Outbox
				two.Apply(5000, bigClient, 1, &wire.Schedule{Task: []byte("t"), Resources: m.Leases[0].Resources}, &out)
				require.IsType(t, &wire.Error{}, out.Items[0].Message(), "the worker gets nothing")
			}), 2)
			require.Equal(t, want, got)
			stats := two.stats()
			stats.Counters["unavailable"] = 0
			require.Equal(t, one.stats(), stats)
			require.Equal(t, one.workers.At(one.byID["big"]).digest, two.workers.At(two.byID["big"]).digest)
			for _, s := range []*State{one, two} {
				s.Apply(5000, bigAgent, 1, &wire.Promised{Grantor: s.Grantor()}, &got)
				require.True(t, s.workers.At(s.byID["big"]).eligible)
			}
		}
	}
}

// between is what may come between the turns of a registration, with what that is
// answered with then.
var between = map[string]func(s *State, m *wire.Register, out *Outbox) wire.Message{
	"the lease that comes next ends": func(s *State, _ *wire.Register, out *Outbox) wire.Message {
		if at := s.joining[s.byID["big"]].next; at != 0 {
			s.Apply(5000, bigClient, 1, &wire.Release{Lease: s.leases.slots.At(at - 1).id}, out)
		}
		return &wire.Registered{}
	},
	"it is removed": func(s *State, _ *wire.Register, out *Outbox) wire.Message {
		s.RemoveWorker(5000, "big", out)
		return &wire.Superseded{}
	},
	"its connection closes": func(s *State, _ *wire.Register, out *Outbox) wire.Message {
		s.Close(5000, bigAgent, out)
		return nil
	},
	"it registers elsewhere": func(s *State, m *wire.Register, out *Outbox) wire.Message {
		again := *m
		again.Seq++
		s.Apply(5000, bigOther, 1, &again, out)
		return &wire.Error{}
	},
	"a new incarnation registers": func(s *State, m *wire.Register, out *Outbox) wire.Message {
		again := *m
		again.Incarnation, again.Resources = 9, map[string]int64{"cpu": 1 << 30, "disk": 2}
		s.Apply(5000, bigOther, 1, &again, out)
		return &wire.Superseded{}
	},
	"a late one": func(s *State, m *wire.Register, out *Outbox) wire.Message {
		s.Apply(5000, bigOther, 1, m, out)
		return &wire.Registered{}
	},
}

// TestWhatComesBetweenTheTurnsOfARegistration: whatever ends a registration or its
// leases meanwhile, each lease ends once, and the worker is what it says next.
func TestWhatComesBetweenTheTurnsOfARegistration(t *testing.T) {
	for turn := 0; turn < 40; turn += 2 {
		for what, is := range between {
			comesBetween(t, turn, turn%4 == 0, what, is)
		}
	}
}

func comesBetween(t *testing.T, turn int, changed bool, what string, is func(*State, *wire.Register, *Outbox) wire.Message) {
	s, m := bigWorker(t, false, changed)
	var out, other Outbox
	var want wire.Message
	registerInTurns(t, s, m, &out, func(n int) {
		if n != turn {
			return
		}
		confirmed := s.joining[s.byID["big"]].confirmed
		if want = is(s, m, &other); confirmed {
			want = &wire.Registered{}
		}
	})
	for i := range out.Items {
		if out.Items[i].Request == 7 && want != nil {
			require.IsType(t, want, out.Items[i].Message(), what)
		}
	}
	if _, known := s.byID["big"]; known {
		again := *m
		again.Seq, again.Incarnation = 1, 77
		s.Apply(5000, bigOther, 7, &again, &other)
		w := s.workers.At(s.byID["big"])
		require.EqualValues(t, running(m), w.taken, what)
		require.Zero(t, w.uncounted)
	}
	settled(t, s, &other)
	require.Empty(t, s.joining)
	require.NoError(t, s.Check())
}

// running is how many tasks of a registration run.
func running(m *wire.Register) (n int) {
	for i := range m.Leases {
		if m.Leases[i].Outcome == wire.ReasonNone {
			n++
		}
	}
	return n
}

// TestARegistrationWaitsForARemoval: one that comes under the id of a worker whose
// removal takes several pulses has the rest done in its turns.
func TestARegistrationWaitsForARemoval(t *testing.T) {
	s, m := bigWorker(t, false, false)
	var out Outbox
	s.RemoveWorker(5000, "big", &out)
	require.True(t, s.workers.At(s.byID["big"]).leaving)
	m.Incarnation, m.Seq = 2, 1
	for i := range 3 * removeLeases {
		m.Leases = append(m.Leases, foreign(1000+i))
	}
	require.Positive(t, registerInTurns(t, s, m, &out, func(int) {}))
	w := s.workers.At(s.byID["big"])
	require.EqualValues(t, 1, s.log.removed)
	require.EqualValues(t, running(m), w.taken)

	s.RemoveWorker(5000, "big", &out)
	for reports := 0; ; reports++ {
		err := s.Report(5000, &Report{Worker: "big", Address: "h:1", Slots: 1}, &out)
		require.NoError(t, s.Check())
		if err == nil {
			require.Positive(t, reports)
			break
		}
		require.ErrorIs(t, err, ErrLeaving)
	}
	require.EqualValues(t, 2, s.log.removed)
}
