package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/wire"
)

func (f *fixture) shutdown() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(f.t, f.Shutdown(ctx))
	require.NoError(f.t, f.Wait())
	require.NoError(f.t, <-f.Done())
}

func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	f := start(t)
	f.agent("w1", 1<<20)
	const clients, requests = 8, 2_000
	var readers sync.WaitGroup
	answers := make([]int, clients)
	for i := range clients {
		c := f.dial("c")
		var all []byte
		for k := range requests {
			all = wire.Append(all, uint64(k+1), task(strings.Repeat("x", i+1)+string(rune('a'+k%26))))
		}
		c.raw(all)
		readers.Go(func() {
			for {
				_, m, err := c.next()
				if err != nil {
					return
				}
				if e, bad := m.(*wire.Error); bad && e.Code != wire.CodeDraining {
					return
				}
				answers[i]++
			}
		})
	}
	f.shutdown()
	readers.Wait()
	for _, n := range answers {
		require.Equal(t, requests, n)
	}
}

func TestShutdownWaitsForHTTPRequestsInFlight(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0)
	conn, err := net.Dial("tcp", f.HTTPAddr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	body := `{"task_id":"t1"}`
	_, err = io.WriteString(conn, "POST /api/v1/schedule HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
	_, _ = in.ReadString('\n')

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.shutdown()
	}()
	eventually(t, func() bool { return f.refusing.Load() }, "the stop has begun")
	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	res, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode, string(got))
	<-stopped
	_, err = net.Dial("tcp", f.HTTPAddr())
	require.Error(t, err)
	_, err = net.Dial("tcp", f.Addr())
	require.Error(t, err)
}

// TestShutdownDoesNotWaitForSilentConnections: net/http alone would wait for five
// seconds, each time. A machine that stands still for as long does so once.
func TestShutdownDoesNotWaitForSilentConnections(t *testing.T) {
	least := time.Hour
	for tries := 0; tries < 3 && least > 4*time.Second; tries++ {
		f := start(t)
		conn, err := net.Dial("tcp", f.HTTPAddr())
		require.NoError(t, err)
		eventually(t, func() bool { return f.connections.Load() == 1 }, "the connection is accepted")
		begun := time.Now()
		f.shutdown()
		least = min(least, time.Since(begun))
		require.NoError(t, conn.Close())
	}
	require.Less(t, least, 4*time.Second)
}

func TestNewWorkIsRefusedWhileDraining(t *testing.T) {
	f := start(t)
	f.agent("w1", 5)
	c := f.dial("c")
	p := placed(t, c.ask(1, task("t1")))
	f.core.drain()
	gang := &wire.Batch{AllOrNone: true, Tasks: []wire.Schedule{*task("t3"), *task("t4")}}
	for _, work := range []wire.Message{task("t2"), &wire.Batch{Tasks: []wire.Schedule{*task("t2")}}, gang} {
		c.send(2, work)
		c.refusal(wire.CodeDraining)
	}
	require.IsType(t, &wire.Released{}, c.ask(3, &wire.Release{Lease: p.Lease}))
	f.refusing.Store(true)
	q := f.connect()
	q.refusal(wire.CodeDraining)
	q.closed()
	got := f.raw()
	require.True(t, strings.HasSuffix(got, "\r\n\r\n"+`{"error":"the scheduler is stopping","reason":"draining"}`+"\n"), got)
}

func TestShutdownGivesUpOnPeersThatDoNotRead(t *testing.T) {
	f := start(t, func(c *Config) {
		c.StopTimeout, c.MaxOutput, c.MaxTotalOutput = 200*time.Millisecond, 1<<30, 1<<30
	})
	p := f.deaf()
	ask := wire.Append(nil, 1, &wire.GetStats{})
	eventually(t, func() bool {
		f.digested()
		for range 1_000 {
			p.raw(ask)
		}
		return f.output.Load() > 0
	}, "output waits")
	require.ErrorIs(t, f.Shutdown(context.Background()), context.DeadlineExceeded)
	require.NoError(t, f.Wait())
}

func TestKillFreesThePorts(t *testing.T) {
	native, http := ports.Addr(t), ports.Addr(t)
	there := func(c *Config) { c.Addr, c.HTTPAddr = native, http }
	f := start(t, there)
	for range 3 {
		p := f.dial("c")
		f.Kill()
		p.closed()
		require.NoError(t, f.Wait())
		f = start(t, there)
		require.Equal(t, native, f.Addr())
	}
	f.dial("d").alive()
}

func TestPortInUse(t *testing.T) {
	f := start(t)
	t.Run("native", func(t *testing.T) {
		g := prepare(t, func(c *Config) { c.Addr = f.Addr() })
		require.ErrorContains(t, g.Start(), "native port "+f.Addr()+" is in use")
		require.Error(t, g.Wait())
		_, err := net.Dial("tcp", g.HTTPAddr())
		require.Error(t, err, "nothing listens after a failed start")
	})
	t.Run("HTTP", func(t *testing.T) {
		g := prepare(t, func(c *Config) { c.HTTPAddr = f.HTTPAddr() })
		require.ErrorContains(t, g.Start(), "HTTP port "+f.HTTPAddr()+" is in use")
		require.ErrorIs(t, g.Start(), ErrStopped)
	})
}

// The native port opens again when its event loops end unasked, and the core has
// lost nothing.
func TestALostEngineStartsAgain(t *testing.T) {
	f := start(t)
	before := f.addr
	a := f.agent("w1", 1)
	p := placed(t, f.dial("c").ask(1, task("t")))
	for n := uint64(1); n <= 2; n++ {
		lost := f.dial("c2")
		now, cancel := context.WithCancel(context.Background())
		cancel()
		f.engineMu.Lock()
		engine := f.engine
		f.engineMu.Unlock()
		_ = engine.Stop(now)
		eventually(t, func() bool { return f.restarts.Load() == n && f.connections.Load() == 0 }, "it starts again")
		lost.closed()
		eventually(t, func() bool {
			conn, err := net.Dial("tcp", before)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		}, "under the same address")
		c := f.dial("c")
		require.Equal(t, p.Lease, placed(t, c.ask(1, task("t"))).Lease)
		c.alive()
	}
	require.Equal(t, 2.0, value(t, f.gather(), "dtask_engine_restarts_total"))
	require.Equal(t, 200, f.call("GET", "/livez", "").status)
	a.closed()
	require.NoError(t, f.Shutdown(t.Context()))
	_, err := net.Dial("tcp", before)
	require.Error(t, err)
}

func TestALostLoopOfDatagramsEndsTheServer(t *testing.T) {
	f := start(t)
	f.dial("c")
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.udp.engine.Stop(now)
	require.ErrorContains(t, f.Wait(), "unasked")
	require.ErrorContains(t, <-f.Done(), "unasked")
	_, err := net.Dial("tcp", f.HTTPAddr())
	require.Error(t, err)
}

func TestAPanicInTheCoreEndsTheProcess(t *testing.T) {
	for _, over := range []string{"TCP", "HTTP"} {
		t.Run(over, func(t *testing.T) {
			f := prepare(t)
			died := make(chan any, 1)
			f.core.crash = func(cause any, _ []byte) { died <- cause }
			f.core.before = func(m wire.Message) {
				if _, ok := m.(*wire.Schedule); ok {
					panic("injected")
				}
			}
			require.NoError(t, f.Start())
			if over == "TCP" {
				f.dial("c").send(1, task("t"))
			} else {
				f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`)
			}
			require.Equal(t, "injected", <-died)
		})
	}
}

func TestAPanicElsewhereClosesOneConnection(t *testing.T) {
	f := prepare(t)
	var evil sync.Map
	f.hooks.poison = func(b []byte) {
		if len(b) > 200 {
			evil.Store("hit", true)
			panic("injected")
		}
	}
	require.NoError(t, f.Start())
	p, q := f.dial("p"), f.dial("q")
	p.send(1, task(strings.Repeat("x", 128), strings.Repeat("y", 100)))
	p.closed()
	_, hit := evil.Load("hit")
	require.True(t, hit)
	q.alive()
	require.Contains(t, f.log.String(), "injected")
}
