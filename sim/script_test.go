package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// A script is a world in which nothing moves by itself: the test says which
// message arrives when, and after each step the judges look.
type script struct {
	*World
	t     *testing.T
	begin map[*task][]byte // begins under way
}

func newScript(t *testing.T) *script {
	s := &script{World: newWorld(1), t: t, begin: map[*task][]byte{}}
	s.World.trace.out = testWriter{t}
	cfg := sched.DefaultConfig()
	cfg.Retention = 60_000
	s.startScheduler(cfg)
	s.newGateway()
	return s
}

// testWriter prints the trace into the log of the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(b[:len(b)-1]))
	return len(b), nil
}

// look lets the judges look after a step.
func (s *script) look() {
	s.t.Helper()
	s.judgeAll()
	require.NoError(s.t, s.err)
}

// join makes an agent that is registered and may get leases.
func (s *script) join(worker string, slots uint32) *agent {
	s.t.Helper()
	a := s.newAgent(worker, slots)
	a.connect()
	s.settled()
	require.True(s.t, a.book.Connected())
	return a
}

// client makes a connected client.
func (s *script) client(id string) *client {
	s.t.Helper()
	c := s.newClient(id)
	c.connect()
	s.settled()
	return c
}

// settled delivers all that is under way on connections that live.
func (s *script) settled() {
	s.t.Helper()
	for moved := true; moved; {
		moved = false
		for _, l := range s.links {
			moved = l.peerOpen && (s.deliverUp(l) || s.deliverDown(l)) || moved
		}
		s.look()
	}
}

// up delivers all that a connection carries to the scheduler.
func (s *script) up(l *link) {
	s.t.Helper()
	require.True(s.t, s.deliverUp(l), "nothing is on its way up")
	for s.deliverUp(l) {
		s.look()
	}
	s.look()
}

// ask sends a request for a place; its answer is not read yet.
func (s *script) ask(c *client) *task {
	s.t.Helper()
	t := c.newTask()
	c.schedule(t)
	s.up(c.link)
	return t
}

// place gets a lease for a new task.
func (s *script) place(c *client) *task {
	s.t.Helper()
	t := s.ask(c)
	s.settled()
	require.Equal(s.t, phaseHeld, t.phase, "the task was not placed")
	return t
}

// refuse asks for a place that must not be given.
func (s *script) refuse(c *client) {
	s.t.Helper()
	t := s.ask(c)
	s.settled()
	require.Nil(s.t, t.lease, "the task was placed")
}

// refuseAlone asks for a place that must not be given, while nobody else's
// messages move.
func (s *script) refuseAlone(c *client) {
	s.t.Helper()
	t := s.ask(c)
	for s.deliverDown(c.link) {
		s.look()
	}
	require.Nil(s.t, t.lease, "the task was placed")
}

// hand sends the begin of a task on its way.
func (s *script) hand(t *task) {
	s.t.Helper()
	s.begin[t] = t.hand(s.World)
	s.look()
}

// arrives delivers the begin of a task, or once more a copy of it.
func (s *script) arrives(t *task) error {
	s.t.Helper()
	t.lease.begins = max(t.lease.begins-1, 0)
	err := t.lease.agent.begin(s.begin[t], t.name())
	s.look()
	return err
}

// runs hands a task over and makes it begin.
func (s *script) runs(t *task) {
	s.t.Helper()
	s.hand(t)
	require.NoError(s.t, s.arrives(t))
	s.settled()
	require.Equal(s.t, wire.StateBegun, s.renewal(t).State)
}

// ends ends the task of a lease; the report is not read yet.
func (s *script) ends(t *task) {
	s.t.Helper()
	t.lease.agent.end(t.lease, wire.ReasonOK)
	s.look()
}

// release sends the release of a task and returns the answer.
func (s *script) release(t *task) wire.Released {
	s.t.Helper()
	t.released = append(t.released, t.lease.id)
	t.drop(s.World)
	return *query[*wire.Released](s, &wire.Release{Lease: t.lease.id, Handed: t.handed})
}

// renewal renews the lease of a task and returns the answer.
func (s *script) renewal(t *task) wire.LeaseStatus {
	s.t.Helper()
	return query[*wire.Renewed](s, &wire.Renew{Leases: []wire.LeaseID{t.lease.id}}).Leases[0]
}

// query asks on a connection of its own and returns the answer.
func query[T wire.Message](s *script, m wire.Message) T {
	s.t.Helper()
	p := &asker{}
	l := s.dial(p)
	s.sendUp(l, 1, &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.RoleClient})
	s.sendUp(l, 2, m)
	s.up(l)
	for s.deliverDown(l) {
		s.look()
	}
	answer, ok := p.answer.(T)
	require.True(s.t, ok, "the answer is %T", p.answer)
	s.hangUp(l, 0, 0)
	s.closeHost(l)
	return answer
}

// asker is a peer that asks one thing.
type asker struct{ answer wire.Message }

func (p *asker) name() string                              { return "asker" }
func (p *asker) receive(_ *link, _ uint64, m wire.Message) { p.answer = m }
func (p *asker) lost(*link)                                {}
func (p *asker) tasksOf(*link, uint64) []*task             { return nil }
func (p *asker) busyUntil() sched.Time                     { return 0 }

// ended returns how many leases the scheduler counts as ended for a reason.
func (s *script) ended(r wire.Reason) uint64 {
	s.t.Helper()
	return query[*wire.Stats](s, &wire.GetStats{}).Counters["ended_"+r.String()]
}

// worker returns what is listed of an agent's worker.
func (s *script) worker(a *agent) *wire.Worker {
	s.t.Helper()
	return query[*wire.Worker](s, &wire.GetWorker{ID: a.worker})
}

// breaks breaks the connection of an agent; all on its way is lost, and the
// scheduler notices.
func (s *script) breaks(a *agent) {
	s.t.Helper()
	l := a.link
	s.hangUp(l, 0, 0)
	s.closeHost(l)
	s.look()
}

// slips breaks the connection of an agent; what is on its way up may still
// arrive on the connection that is returned.
func (s *script) slips(a *agent) *link {
	s.t.Helper()
	l := a.link
	s.quit(l)
	s.look()
	return l
}

// returns connects an agent and delivers everything.
func (s *script) returns(a *agent) {
	s.t.Helper()
	a.connect()
	s.settled()
	require.True(s.t, a.book.Connected())
}

// restarts ends the scheduler's life and connects everybody anew; nothing is
// delivered yet.
func (s *script) restarts() {
	s.t.Helper()
	s.restartScheduler(0)
	for _, c := range s.clients {
		c.connect()
	}
	s.look()
}

// passes lets time pass while the agents that are connected send heartbeats.
func (s *script) passes(ms sched.Time) {
	s.t.Helper()
	for end := s.now + ms; s.now < end; {
		s.now = min(end, s.now+1000)
		for _, a := range s.agents {
			switch {
			case a.datagrams:
				s.beats(a)
			case a.book.Connected() && a.link != nil && a.link.peerOpen:
				a.send(a.book.Heartbeat(a.external))
				s.deliverUp(a.link)
			}
		}
		if s.host.state.NextPulse() <= s.now {
			s.pulse()
		}
		s.look()
	}
}
