package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// runner is one of many agents: it runs one task, and comes back with it.
type runner struct {
	id    string
	lease wire.LeaseID
	conn  net.Conn
}

// comeBack connects, registers and promises, as an agent does after a restart
// of the scheduler.
func (r *runner) comeBack(addr string, promised wire.Grantor) error {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	r.conn = conn
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return err
	}
	out := wire.Append(nil, 1, &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleAgent, Client: r.id})
	m := &wire.Register{Worker: r.id, Address: r.id + ":1", Incarnation: 7, Seq: 1, Slots: 1, Promised: promised}
	if !r.lease.IsZero() {
		m.Leases = []wire.Record{{Lease: r.lease, Task: []byte("task-" + r.id), Client: []byte("c")}}
	}
	if _, err := conn.Write(wire.Append(out, 2, m)); err != nil {
		return err
	}
	p := &peer{conn: conn}
	for {
		_, m, err := p.next()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.HelloOK:
		case *wire.Registered:
			promise := wire.Append(nil, 0, &wire.Promised{Handle: m.Handle, Grantor: m.Grantor})
			if _, err := conn.Write(wire.Append(promise, 3, &wire.Ping{})); err != nil {
				return err
			}
		case *wire.Pong:
			return nil
		default:
			return fmt.Errorf("%s was answered with %T %+v", r.id, m, m)
		}
	}
}

// allAtOnce brings every runner back at the same moment.
func allAtOnce(t *testing.T, runners []*runner, addr string, promised wire.Grantor) {
	t.Helper()
	errs := make([]error, len(runners))
	var all sync.WaitGroup
	gate := make(chan struct{})
	for i, r := range runners {
		all.Go(func() {
			<-gate
			errs[i] = r.comeBack(addr, promised)
		})
	}
	close(gate)
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func Test58TwoThousandAgentsReconnectAtOnceAfterARestart(t *testing.T) {
	n := 2_000
	if testing.Short() {
		n = 300
	}
	addr := ports.Addr(t)
	many := func(c *Config) { c.Addr, c.MaxConnections = addr, n+100 }
	f := start(t, many)
	if f.cfg.MaxConnections < n+100 {
		t.Skip("the limit of descriptors is too low for so many connections")
	}
	runners := make([]*runner, n)
	for i := range runners {
		runners[i] = &runner{id: fmt.Sprintf("w%04d", i)}
	}
	allAtOnce(t, runners, f.Addr(), wire.Grantor{})
	before := f.grantor()
	for i, r := range runners {
		r.lease = wire.LeaseID{Epoch: before.Epoch, Instance: before.Instance, Counter: uint64(i + 1)}
	}
	f.Kill()
	for _, r := range runners {
		_ = r.conn.Close()
	}

	f = start(t, many)
	begun := time.Now()
	allAtOnce(t, runners, addr, before)
	t.Logf("%d agents came back in %v", n, time.Since(begun))
	var s view.Stats
	f.get("/stats", &s)
	require.EqualValues(t, n, s.Workers["online"])
	require.EqualValues(t, n, s.Leases["begun"], "every lease is known again")
	c := f.dial("c")
	c.send(1, task("one-more"))
	c.refusal(wire.CodeUnavailable)
	for _, r := range runners {
		_ = r.conn.Close()
	}
}

func Test60OneClientAsksForMoreThanThereIsMemoryFor(t *testing.T) {
	f := start(t, func(c *Config) { c.Sched.MaxLeases = 1_000 })
	f.agent("w1", 1<<20)
	c := f.dial("greedy")
	var all []byte
	for i := range 3_000 {
		all = wire.Append(all, uint64(i+1), task(fmt.Sprint("t", i)))
	}
	go func() { _, _ = c.conn.Write(all) }()
	granted, refused := 0, 0
	for range 3_000 {
		_, m := c.read()
		switch m := m.(type) {
		case *wire.Placed:
			granted++
		case *wire.Error:
			require.Equal(t, wire.CodeLeaseLimit, m.Code)
			refused++
		}
	}
	require.Equal(t, []int{1_000, 2_000}, []int{granted, refused})
	require.Contains(t, f.post("/api/v1/schedule", `{"task_id":"t"}`), `"reason":"lease_limit"`)
}

// A list of a large fleet is made page by page, so that placements go between.
func Test61ExpensiveListsDoNotStallPlacements(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 5_000
	}
	f := start(t, func(c *Config) { c.Sched.Suspicious, c.Sched.Offline = wire.MaxTTL, wire.MaxTTL })
	f.core.mu.Lock()
	for i := range n {
		m := reportOf(fmt.Sprintf("w%05d", i), i%2)
		m.Slots = 100
		require.NoError(t, f.core.state.Report(f.core.clock.now(), &m, &f.core.pulseOut))
	}
	f.core.pulseOut.Reset()
	f.core.mu.Unlock()
	stop, lists := make(chan struct{}), make(chan int)
	go func() {
		for done := 0; ; done++ {
			select {
			case <-stop:
				lists <- done
				return
			default:
			}
			for _, path := range []string{"workers", "leases", "tags", "events", "history"} {
				f.call("GET", "/api/v1/"+path, "")
			}
		}
	}()
	c := f.dial("c")
	took := make([]time.Duration, 0, 3_000)
	for i := range cap(took) {
		begun := time.Now()
		placed(t, c.ask(1, task(fmt.Sprint("t", i))))
		took = append(took, time.Since(begun))
	}
	close(stop)
	done := <-lists
	slices.Sort(took)
	t.Logf("beside %d lists of %d workers a placement took %v (median), %v (99 of 100), %v (worst)",
		done, n, took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	require.Len(t, f.list(""), n)
}

// A peer whose cable was pulled says nothing. The kernel is told to find out.
func Test63HalfOpenPeers(t *testing.T) {
	f := start(t)
	f.dial("c")
	f.core.mu.Lock()
	s := f.core.sessions[1]
	f.core.mu.Unlock()
	fd, err := s.conn.Dup()
	require.NoError(t, err)
	defer func() { _ = unix.Close(fd) }()
	for name, o := range map[string]struct{ level, option, want int }{
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle},
		"TCP_KEEPINTVL":    {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepInterval},
		"TCP_KEEPCNT":      {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepCount},
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())},
	} {
		got, err := unix.GetsockoptInt(fd, o.level, o.option)
		require.NoError(t, err, name)
		require.Equal(t, o.want, got, name)
	}
}

// TestRegistrationsAreNotLoggedByTheThousand: a restart of the scheduler does
// not fill the disk with lines about the workers that come back.
func TestRegistrationsAreNotLoggedByTheThousand(t *testing.T) {
	var log bytes.Buffer
	l := &loop{srv: &Server{log: slog.New(slog.NewTextHandler(&log, nil))}}
	for second := range 2 {
		l.now = sched.Time(second * logEvery)
		l.lines = make([]registered, 5000)
		l.report()
	}
	require.Equal(t, 2*registrationLines, strings.Count(log.String(), "worker registered"))
	require.Equal(t, 2, strings.Count(log.String(), "many workers register"))
}
