package agent

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// scheduler is the real core at the end of a memory: what the agent says to it
// travels as bytes, and time is that of the bubble.
type scheduler struct {
	*memory
	t       *testing.T
	started time.Time

	core  sync.Mutex // guards what follows
	state *sched.State
	out   sched.Outbox
	conns map[sched.Session]net.Conn
	last  sched.Session
	asked wire.Message // the answer to ask
	beat  uint32       // number of the agent's last datagram
}

// newScheduler serves a memory with a core until the test ends.
func newScheduler(t *testing.T) *scheduler {
	cfg := sched.DefaultConfig()
	cfg.Instance = 7
	state, err := sched.New(cfg)
	require.NoError(t, err)
	s := &scheduler{memory: newMemory(t), t: t, started: time.Now(), state: state, conns: make(map[sched.Session]net.Conn)}
	s.listens(true)
	go s.connections()
	go s.datagrams()
	go s.pulses()
	return s
}

func (s *scheduler) url() string { return "dtask://" + s.addr.String() }

func (s *scheduler) now() sched.Time { return sched.Time(time.Since(s.started).Milliseconds()) }

// route sends what the core has said. The lock is held.
func (s *scheduler) route() {
	for i := range s.out.Items {
		it := &s.out.Items[i]
		if it.To == 0 {
			frame, _, _ := wire.Split(wire.Append(nil, 1, it.Message()), wire.MaxFrame) // a copy
			s.asked, _, _ = new(wire.Decoder).Decode(frame)
		} else if c := s.conns[it.To]; c != nil {
			c.Write(wire.Append(nil, it.Request, it.Message()))
		}
	}
	s.out.Reset()
}

func (s *scheduler) connections() {
	for {
		select {
		case <-s.ended:
			return
		case c := <-s.memory.conns:
			s.core.Lock()
			s.last++
			id := s.last
			s.conns[id] = c
			s.core.Unlock()
			go s.serve(id, c)
		}
	}
}

// serve reads one connection to its end.
func (s *scheduler) serve(id sched.Session, c net.Conn) {
	var d wire.Decoder
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			break
		}
		buf = append(buf, chunk[:n]...)
		for {
			frame, n, err := wire.Split(buf, wire.MaxFrame)
			if err != nil || frame == nil {
				break
			}
			m, request, err := d.Decode(frame)
			if err != nil {
				s.t.Errorf("the agent sends what nobody reads: %v", err)
				return
			}
			s.core.Lock()
			s.state.Apply(s.now(), id, request, m, &s.out)
			s.route()
			s.core.Unlock()
			buf = buf[n:]
		}
	}
	s.core.Lock()
	defer s.core.Unlock()
	delete(s.conns, id)
	s.state.Close(s.now(), id, &s.out)
	s.route()
}

func (s *scheduler) datagrams() {
	var d wire.Decoder
	var ack wire.BeatAck
	for {
		g, err := s.server.take()
		if err != nil {
			return
		}
		m, request, err := d.Decode(g.bytes)
		beat, ok := m.(*wire.Beat)
		if err != nil || !ok {
			s.t.Errorf("a datagram that is no beat: %v", err)
			return
		}
		s.core.Lock()
		s.beat = max(s.beat, beat.Seq)
		answered := s.state.Beat(s.now(), beat, &ack)
		s.core.Unlock()
		if answered {
			s.server.writeTo(wire.AppendDatagram(nil, request, &ack), g.from)
		}
	}
}

func (s *scheduler) pulses() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-tick.C:
			s.core.Lock()
			s.state.Pulse(s.now(), &s.out)
			s.route()
			s.core.Unlock()
		}
	}
}

// ask asks the core and returns its answer.
func ask[M wire.Message](s *scheduler, m wire.Message) M {
	s.t.Helper()
	s.core.Lock()
	defer s.core.Unlock()
	s.asked = nil
	s.state.Apply(s.now(), 0, 1, m, &s.out)
	s.route()
	answer, ok := s.asked.(M)
	require.True(s.t, ok, "the answer is %+v", s.asked)
	require.NoError(s.t, s.state.Check())
	return answer
}

func (s *scheduler) stats() *wire.Stats { return ask[*wire.Stats](s, &wire.GetStats{}) }

func (s *scheduler) counter(name string) uint64 { return s.stats().Counters[name] }

// place asks for a place and returns what the worker is handed.
func (s *scheduler) place(task string) wire.Handover {
	s.t.Helper()
	p := ask[*wire.Placed](s, &wire.Schedule{Task: []byte(task)})
	worker, address := wire.ReadTarget(p.Target)
	return wire.Handover{Lease: p.Lease, Worker: worker, Address: address, Incarnation: p.Incarnation, Task: task}
}

// registered waits until the worker may get tasks.
func (s *scheduler) registered() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.stats().Online == 1 }, patience, time.Second)
	synctest.Wait()
}

// rough is a path that loses, repeats and delays datagrams.
func rough(seed uint64, lose, repeat, late int) func(deliver func()) {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(deliver func()) {
		if r.IntN(100) < lose {
			return
		}
		copies := 1
		if r.IntN(100) < repeat {
			copies = 2
		}
		for range copies {
			delay := time.Duration(r.IntN(20)) * time.Millisecond
			if r.IntN(100) < late {
				delay = time.Duration(r.IntN(8000)) * time.Millisecond
			}
			time.AfterFunc(delay, deliver)
		}
	}
}

// TestDatagramsThatAreLostAndRepeated: with a fifth of the datagrams lost, half
// of the others doubled and some seconds late, the worker stays online and
// every lease is accounted for.
func TestDatagramsThatAreLostAndRepeated(t *testing.T) {
	for seed := range uint64(20) {
		if seed == 0 {
			seed = 17061812985712579781 // failed once, by the clock of the machine
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newScheduler(t)
				s.carry = rough(seed, 20, 50, 5)
				a := startAgent(t, s.url(), byUDP)
				s.registered()
				for n := range 200 {
					task, err := a.Begin(s.place(fmt.Sprint("task-", n)), Caller{})
					require.NoError(t, err)
					time.Sleep(time.Duration(1+seed%7) * 300 * time.Millisecond)
					got := s.stats()
					require.EqualValues(t, 1, got.Online, "task %d", n)
					require.EqualValues(t, 1, got.Begun, "task %d", n)
					require.NoError(t, task.End(wire.ReasonOK))
					synctest.Wait()
					require.Zero(t, s.stats().Used)
				}
				time.Sleep(time.Minute)
				got := s.stats()
				require.EqualValues(t, 200, got.Counters["ended_ok"])
				require.Zero(t, got.Counters["ended_lost"])
				require.Positive(t, got.Counters["stale_beats"])
				require.Equal(t, ByUDP, a.Status().HeartbeatBy)
				require.Zero(t, a.Status().Refused)
			})
		})
	}
}

// TestAForgedDatagramIsGotOver: somebody who knows the incarnation uses up the
// numbers of its datagrams, before the first is acknowledged or later.
func TestAForgedDatagramIsGotOver(t *testing.T) {
	for name, above := range map[string]uint32{
		"by one": 1, "by some": 100, "by what an agent passes over": wire.BeatSkip,
		"by more": 2 * wire.BeatSkip, "by much": 1 << 31, "by all there are": 1<<32 - 1<<15,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newScheduler(t)
				a := startAgent(t, s.url(), byUDP)
				s.registered()
				for range 5 {
					s.core.Lock()
					forged := &wire.Beat{Worker: []byte("w1"), Incarnation: a.Status().Incarnation, Seq: s.beat + above}
					require.True(t, s.state.Beat(s.now(), forged, new(wire.BeatAck)))
					s.core.Unlock()
					time.Sleep(2 * time.Minute)
					before := s.counter("beats")
					time.Sleep(time.Minute)
					require.Greater(t, s.counter("beats"), before+15, "one every 3 s at least")
					require.EqualValues(t, 1, s.stats().Online)
					require.Equal(t, ByUDP, a.Status().HeartbeatBy)
				}
			})
		})
	}
}

// TestABlockedPathOpensAgain: heartbeats go over TCP while no datagram passes,
// however long that takes, and the worker stays online all the time.
func TestABlockedPathOpensAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newScheduler(t)
		a := startAgent(t, s.url(), byUDP)
		s.registered()
		for _, blocked := range []time.Duration{time.Minute, time.Hour} {
			s.listens(false)
			for range blocked / time.Minute {
				time.Sleep(time.Minute)
				require.EqualValues(t, 1, s.stats().Online)
			}
			require.Equal(t, ByTCP, a.Status().HeartbeatBy)
			s.listens(true)
			time.Sleep((probeIntervals + 2) * defaultHeartbeat)
			require.Equal(t, ByUDP, a.Status().HeartbeatBy)
		}
		require.Zero(t, s.counter("superseded"))
	})
}
