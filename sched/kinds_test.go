package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// Sessions of a busy state.
const (
	busyClient Session = 1
	busyFleet  Session = 2   // of the small workers
	busyAgent  Session = 100 // of the big worker, whose handle is 0
)

// loaded is a scheduler whose tables are large: workers, leases of one worker, waiting
// tasks with needs of their own, a waiting gang, events, ended leases.
type loaded struct {
	*State
	t      *testing.T
	out    Outbox
	leases []wire.Record // of the big worker, begun
	seq    uint32
}

const (
	busyWorkers = 4000
	busyLeases  = 3 * wire.MaxWorkerLeases / 2 // of the big worker, every third begun
	busyWaiters = 1500
)

func newLoaded(t *testing.T) *loaded {
	b := &loaded{State: withWorkers(t, busyWorkers), t: t}
	b.Apply(1, busyAgent, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleAgent}, &b.out)
	b.Apply(1, busyAgent, 1, b.big(1), &b.out)
	b.Apply(1, busyAgent, 1, &wire.Promised{Grantor: b.Grantor()}, &b.out)
	b.seq = 1
	for i := range busyLeases {
		b.out.Reset()
		r := wire.Record{Task: fmt.Append(nil, "t", i), Resources: wire.AppendResources(nil, map[string]int64{"cpu": 1})}
		b.Apply(1, busyClient, 1, &wire.Schedule{Task: r.Task, Resources: r.Resources, Owner: []byte("ann"), TTLMS: wire.MaxTTL}, &b.out)
		if r.Lease = b.out.Items[0].Placed.Lease; i%3 == 0 {
			b.seq++
			b.Apply(1, busyAgent, 1, &wire.Begun{Seq: b.seq, Record: r}, &b.out)
			b.leases = append(b.leases, r)
		}
	}
	for i := range 2 * endedMemory {
		b.out.Reset()
		b.Apply(1, busyClient, 1, &wire.Schedule{Task: fmt.Append(nil, "e", i), Tags: wire.AppendTags(nil, []string{"linux"})}, &b.out)
		b.Apply(1, busyClient, 1, &wire.Release{Lease: b.out.Items[0].Placed.Lease}, &b.out)
	}
	for i := range busyWaiters {
		b.Apply(1, busyClient, 100, &wire.Schedule{Task: fmt.Append(nil, "w", i), Owner: []byte("bob"), Selector: longSelector(i, 20),
			Resources: wire.AppendResources(nil, map[string]int64{"disk": 1}), WaitMS: wire.MaxWait, WaitForWorkers: true}, &b.out)
	}
	require.Equal(t, busyWaiters, b.queue.list.Len())
	b.out.Reset()
	return b
}

// big is a registration of the big worker, as large as one may be.
func (b *loaded) big(incarnation uint64) *wire.Register {
	m := &wire.Register{Worker: "big", Address: "h:1", Incarnation: incarnation, Seq: 1, Slots: 2 * busyLeases, Resources: map[string]int64{"cpu": 1 << 30}}
	for i := range wire.MaxWorkerTags {
		m.Tags = append(m.Tags, fmt.Sprint("big-", i))
	}
	for i := range wire.MaxDevices {
		m.Devices = append(m.Devices, wire.Device{Model: "A100", Memory: 40_960, UUID: fmt.Sprint("GPU-", i)})
	}
	return m
}

// large returns a task that asks for as much as one may.
func large(n int) wire.Schedule {
	selector := func(n int) []byte {
		var terms []string
		for size := 0; size < wire.MaxSelector-64; size += len(terms[len(terms)-1]) + 4 {
			terms = append(terms, fmt.Sprintf("a%d_%d>=1", n, len(terms)))
		}
		return []byte(strings.Join(terms[:min(len(terms), 127)], " || ") + " || linux")
	}
	return wire.Schedule{
		Task: fmt.Append(nil, "large", n), Selector: selector(n), Prefer: selector(n + 1),
		Tags:       wire.AppendTags(nil, slices.Repeat([]string{"linux"}, wire.MaxTaskTags)),
		NotWorkers: wire.AppendWorkers(nil, slices.Repeat([]string{"worker-000001"}, wire.MaxNotWorkers)),
	}
}

// greatest holds for each kind that the scheduler takes the messages that ask most of
// it, and whom they come from.
var greatest = map[wire.Kind]func(b *loaded) (Session, []wire.Message){
	wire.KindHello: func(*loaded) (Session, []wire.Message) {
		return 200, []wire.Message{&wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient, Client: strings.Repeat("c", wire.MaxID)}}
	},
	wire.KindPing: func(*loaded) (Session, []wire.Message) { return busyClient, []wire.Message{&wire.Ping{}} },
	wire.KindSchedule: func(*loaded) (Session, []wire.Message) {
		one, waits, all := large(1), large(2), wire.Schedule{Task: []byte("x"), Exclusive: true, Resources: wire.AppendResources(nil, map[string]int64{"cpu": 1}), WaitMS: 1000}
		waits.Resources, waits.WaitMS, waits.WaitForWorkers = wire.AppendResources(nil, map[string]int64{"tape": 1}), 1000, true
		return busyClient, []wire.Message{&one, &waits, &all}
	},
	wire.KindBatch: func(*loaded) (Session, []wire.Message) {
		var all []wire.Message
		for _, gang := range []bool{false, true} {
			m := &wire.Batch{AllOrNone: gang, Distinct: gang}
			for i := range wire.MaxBatch {
				task := wire.Schedule{Task: fmt.Append(nil, gang, i), Selector: []byte(fmt.Sprintf("!b%d && linux", i))}
				m.Tasks = append(m.Tasks, task)
			}
			all = append(all, m)
		}
		unlike := unlikeGang(wire.MaxBatch, 1000)
		for i := range unlike.Tasks {
			unlike.Tasks[i].Tags, unlike.Tasks[i].Selector = nil, []byte(fmt.Sprintf("!c%d && big-1", i))
		}
		return busyClient, append(all, unlike)
	},
	wire.KindRenew: func(b *loaded) (Session, []wire.Message) {
		m := &wire.Renew{}
		for i := range wire.MaxBatch {
			m.Leases = append(m.Leases, b.leases[i].Lease)
		}
		return busyClient, []wire.Message{m}
	},
	wire.KindRelease: func(b *loaded) (Session, []wire.Message) {
		b.out.Reset()
		b.Apply(1, busyClient, 1, &wire.Schedule{Task: []byte("free"), Tags: wire.AppendTags(nil, []string{"linux"})}, &b.out)
		return busyClient, []wire.Message{&wire.Release{Lease: b.out.Items[0].Placed.Lease}}
	},
	wire.KindRegister: func(b *loaded) (Session, []wire.Message) {
		m := b.big(2)
		m.Resources["disk"] = 1 << 20 // it serves those who wait, too
		m.Leases = slices.Clone(b.leases)
		for n := 1; len(m.Leases) < wire.MaxWorkerLeases; n++ {
			m.Leases = append(m.Leases, foreign(n))
		}
		return busyAgent, []wire.Message{m, &wire.Promised{Grantor: b.Grantor()}}
	},
	wire.KindPromised: func(b *loaded) (Session, []wire.Message) {
		return busyAgent, []wire.Message{&wire.Promised{Grantor: b.Grantor()}}
	},
	wire.KindHeartbeat: func(b *loaded) (Session, []wire.Message) {
		return busyAgent, []wire.Message{&wire.Heartbeat{Seq: b.seq + 1, External: 5}}
	},
	wire.KindBegun: func(b *loaded) (Session, []wire.Message) {
		return busyAgent, []wire.Message{&wire.Begun{Seq: b.seq + 1, Record: foreign(1)}}
	},
	wire.KindEnd: func(b *loaded) (Session, []wire.Message) {
		return busyAgent, []wire.Message{&wire.End{Seq: b.seq + 1, Lease: b.leases[0].Lease, Outcome: wire.ReasonFailed}}
	},
	wire.KindRevoked: func(b *loaded) (Session, []wire.Message) {
		return busyAgent, []wire.Message{&wire.Revoked{Seq: b.seq + 1, Lease: b.leases[0].Lease}}
	},
	wire.KindDeregister: func(b *loaded) (Session, []wire.Message) {
		return busyAgent, []wire.Message{&wire.Deregister{Seq: b.seq + 1}}
	},
	wire.KindCordon: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.Cordon{Worker: "big", On: true, Drain: true, DeadlineMS: 1, Reason: strings.Repeat("r", wire.MaxReason)}}
	},
	wire.KindCancel: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.Cancel{Owner: "nobody"}, &wire.Cancel{Owner: "bob"}}
	},
	wire.KindListWorkers: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.ListWorkers{}, &wire.ListWorkers{Tags: []string{"linux", "big-1"}}, &wire.ListWorkers{State: "offline"}}
	},
	wire.KindGetWorker: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.GetWorker{ID: "big"}}
	},
	wire.KindGetStats: func(*loaded) (Session, []wire.Message) { return busyClient, []wire.Message{&wire.GetStats{}} },
	wire.KindListLeases: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.ListLeases{}, &wire.ListLeases{Owner: "nobody"}, &wire.ListLeases{Count: true}}
	},
	wire.KindListTags:   func(*loaded) (Session, []wire.Message) { return busyClient, []wire.Message{&wire.ListTags{}} },
	wire.KindListEvents: func(*loaded) (Session, []wire.Message) { return busyClient, []wire.Message{&wire.ListEvents{}} },
	wire.KindListEnded: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.ListEnded{}, &wire.ListEnded{Task: "none"}}
	},
	wire.KindListQueue: func(*loaded) (Session, []wire.Message) {
		return busyClient, []wire.Message{&wire.ListQueue{}, &wire.ListQueue{Owner: "nobody"}, &wire.ListQueue{Count: true}}
	},
}

// notMessages are kinds that come to no session: Beat handles a datagram.
var notMessages = []wire.Kind{wire.KindBeat}

// TestEveryKindTakesBoundedSteps: no step of any message takes more than the limit,
// however large the message and the tables are: neither its first, nor a turn of its
// job, nor a pulse that goes on with what it left.
func TestEveryKindTakesBoundedSteps(t *testing.T) {
	const slack = 2*wire.MaxSelector*parseWork + 1000 // one task is read to its end
	for k := wire.Kind(1); !k.IsAnswer(); k++ {
		if strings.HasPrefix(k.String(), "kind_") || slices.Contains(notMessages, k) {
			continue
		}
		t.Run(k.String(), func(t *testing.T) {
			entry := greatest[k]
			require.NotNil(t, entry, "the kind %v has no entry: add the messages that ask most", k)
			b := newLoaded(t)
			from, list := entry(b)
			require.Equal(t, k, list[0].Kind())
			for _, m := range list {
				b.out.Reset()
				job := b.Begin(2, from, 9, m, &b.out)
				require.LessOrEqual(t, b.Work(), stepLimit+slack)
				for done := job == nil; !done; {
					done = b.Continue(2, job, m, &b.out)
					require.LessOrEqual(t, b.Work(), stepLimit+slack)
				}
				pulses(t, b.State, 2, &b.out)
			}
			pulses(t, b.State, 10, &b.out)
		})
	}
}

// pulses lets pulses do what is due by a time, each within the limit.
func pulses(t *testing.T, s *State, by Time, out *Outbox) {
	t.Helper()
	for n := 0; s.NextPulse() <= by; n++ {
		require.Less(t, n, 10_000)
		out.Reset()
		s.Pulse(by, out)
		require.LessOrEqual(t, s.Work(), stepLimit)
	}
}
