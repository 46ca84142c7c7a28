package server

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/wire"
)

// beater sends datagrams, and reads what comes back.
type beater struct {
	t    *testing.T
	conn net.Conn
	dec  wire.Decoder
}

func (f *fixture) beater() *beater {
	f.t.Helper()
	conn, err := net.Dial("udp", f.Addr())
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(f.t, conn.SetDeadline(time.Now().Add(patience)))
	return &beater{t: f.t, conn: conn}
}

func (b *beater) raw(in []byte) {
	b.t.Helper()
	_, err := b.conn.Write(in)
	require.NoError(b.t, err)
}

func (b *beater) send(m *wire.Beat) { b.t.Helper(); b.raw(wire.AppendDatagram(nil, 3, m)) }

// ack returns the next answer.
func (b *beater) ack() wire.BeatAck {
	b.t.Helper()
	in := make([]byte, 64<<10)
	n, err := b.conn.Read(in)
	require.NoError(b.t, err)
	m, request, err := b.dec.Decode(in[:n])
	require.NoError(b.t, err)
	require.EqualValues(b.t, 3, request)
	require.IsType(b.t, &wire.BeatAck{}, m)
	return *m.(*wire.BeatAck)
}

// silent expects that nothing sent before was answered: the next answer is the
// one to a beat of a worker that nobody knows.
func (b *beater) silent() {
	b.t.Helper()
	const mark = 1<<32 - 1
	b.send(&wire.Beat{Worker: []byte("nobody"), Incarnation: 1, Seq: mark})
	require.EqualValues(b.t, mark, b.ack().Seq)
}

// beatOf is a beat of a worker of fixture.agent.
func beatOf(id string, seq uint32) *wire.Beat {
	return &wire.Beat{Worker: []byte(id), Incarnation: 7, Seq: seq}
}

// metric returns one of the counters of /stats.
func (f *fixture) metric(name string) uint64 {
	f.t.Helper()
	m := web{f.limiter, f.Server}.Counters()
	for k, n := range f.core.Ask("", &wire.GetStats{}).(*wire.Stats).Counters {
		m[k] = n
	}
	n, ok := m[name]
	require.True(f.t, ok, name)
	return n
}

func TestDatagramsKeepAWorkerAliveAndReportItsLoad(t *testing.T) {
	f, clock := startByHand(t, short)
	f.agent("quiet", 3)
	f.agent("w1", 3)
	b := f.beater()
	for seq := range uint32(20) {
		m := beatOf("w1", seq+1)
		m.External = 2
		b.send(m)
		require.Equal(t, wire.BeatAck{Seq: seq + 1, Grantor: f.grantor()}, b.ack())
		clock.pass(50 * time.Millisecond)
	}
	require.Equal(t, "offline", f.list("")[0].Status, "a worker without a heartbeat")
	require.Equal(t, "online", f.list("")[1].Status)
	require.Equal(t, 2, f.list("")[1].CurrentTasks)
}

func TestAWrongDigestTwiceAsksForTheList(t *testing.T) {
	f := start(t)
	f.agent("w1", 3)
	b := f.beater()
	for seq, connect := range []bool{false, true, true} {
		m := beatOf("w1", uint32(seq+1))
		m.Digest = 5
		b.send(m)
		require.Equal(t, connect, b.ack().Connect)
	}
}

func Test42OldIncarnationsDatagram(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 3)
	m := a.ask(5, &wire.Register{Worker: "w1", Address: "w1:1", Incarnation: 8, Seq: 1, Slots: 3})
	require.IsType(t, &wire.Registered{}, m)
	b := f.beater()
	old := beatOf("w1", 100)
	old.External = 3
	b.send(old)
	require.True(t, b.ack().Connect)
	require.Zero(t, f.list("")[0].CurrentTasks)
	require.EqualValues(t, 1, f.metric("unknown_beats"))
	b.send(&wire.Beat{Worker: []byte("w1"), Incarnation: 8, Seq: 1})
	require.False(t, b.ack().Connect, "the counter of the new incarnation is its own")
}

func Test43ReplayedDatagram(t *testing.T) {
	f := start(t)
	f.agent("w1", 3)
	b := f.beater()
	first := beatOf("w1", 5)
	first.External = 2
	b.send(first)
	b.ack()
	again := *first
	again.External = 0
	b.send(&again)
	b.send(first)
	b.silent()
	require.Equal(t, 2, f.list("")[0].CurrentTasks)
	require.EqualValues(t, 2, f.metric("stale_beats"))
}

func Test44OlderSequence(t *testing.T) {
	f := start(t)
	f.agent("w1", 3)
	b := f.beater()
	b.send(beatOf("w1", 9))
	b.ack()
	old := beatOf("w1", 8)
	old.External = 3
	b.send(old)
	b.silent()
	require.Zero(t, f.list("")[0].CurrentTasks)
}

// notBeats are datagrams that get no answer and change nothing.
func notBeats() map[string][]byte {
	good := wire.AppendDatagram(nil, 3, beatOf("w1", 1))
	return map[string][]byte{
		"empty":                  {},
		"one byte":               good[:1],
		"cut short":              good[:len(good)-1],
		"bytes behind it":        append(bytes.Clone(good), 0),
		"with a length":          wire.Append(nil, 3, beatOf("w1", 1)),
		"longer than the limit":  append(bytes.Clone(good), make([]byte, wire.MaxDatagram)...),
		"of 60,000 bytes":        append(bytes.Clone(good), make([]byte, 60_000)...),
		"an answer":              wire.AppendDatagram(nil, 3, &wire.BeatAck{Seq: 1, Connect: true}),
		"a request":              wire.Append(nil, 3, task("t1"))[4:],
		"a registration":         wire.Append(nil, 3, &wire.Register{Worker: "w2", Address: "a", Incarnation: 1, Seq: 1})[4:],
		"an id that is none":     wire.AppendDatagram(nil, 3, beatOf("w 1", 1)),
		"an empty id":            wire.AppendDatagram(nil, 3, beatOf("", 1)),
		"an id of 129 bytes":     wire.AppendDatagram(nil, 3, beatOf(strings.Repeat("w", wire.MaxID+1), 1)),
		"no incarnation":         wire.AppendDatagram(nil, 3, &wire.Beat{Worker: []byte("w1"), Seq: 1}),
		"four billion fields":    {0xdd, 0xff, 0xff, 0xff, 0xff},
		"text":                   []byte("GET / HTTP/1.1\r\n\r\n"),
		"a kind that is unknown": {0x92, 0x7b, 0x03},
	}
}

func Test45ShortOversizedAndEmptyDatagrams(t *testing.T) {
	f := start(t)
	f.agent("w1", 3)
	for name, in := range notBeats() {
		t.Run(name, func(t *testing.T) {
			b := f.beater()
			b.t = t
			bad, unknown := f.metric("datagrams_bad"), f.metric("unknown_beats")
			b.raw(in)
			b.silent()
			require.Equal(t, bad+1, f.metric("datagrams_bad"))
			require.Equal(t, unknown+1, f.metric("unknown_beats"), "the mark alone")
		})
	}
	require.Zero(t, f.metric("beats"))
	require.Len(t, f.list(""), 1)
}

func Test46DatagramOfAnUnknownWorker(t *testing.T) {
	f := start(t)
	b := f.beater()
	for i := range 100 {
		b.send(beatOf(fmt.Sprintf("ghost-%d", i), 1))
		require.Equal(t, wire.BeatAck{Seq: 1, Grantor: f.grantor(), Connect: true}, b.ack())
	}
	require.Empty(t, f.list(""))
	require.EqualValues(t, 100, f.metric("unknown_beats"))
}

// Nobody gains by sending in another's name: an answer is never longer than
// what asked for it, whatever that is.
func Test48AnswersAreNeverLongerThanDatagrams(t *testing.T) {
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	f := prepare(t, func(c *Config) { c.Sched.Instance = 1<<32 - 1 })
	u := &udpPort{srv: f.Server}
	number := func() uint64 { return rng.Uint64() >> rng.IntN(64) }
	least := 1 << 20
	for range 50_000 {
		in := wire.AppendDatagram(nil, number(), &wire.Beat{Worker: []byte("w"), Incarnation: 1 + number()>>1,
			Seq: uint32(number()), External: uint32(number()) >> 1, Digest: number()})
		for rng.IntN(2) == 0 {
			in[rng.IntN(len(in))] = byte(rng.IntN(256))
		}
		if rng.IntN(4) == 0 {
			in = in[:rng.IntN(len(in))]
		}
		asked := len(in)
		answer := u.handle(in)
		require.LessOrEqual(t, len(answer), asked, "%x", in)
		if len(answer) > 0 {
			least = min(least, asked-len(answer))
		}
	}
	require.Less(t, least, 10, "the short ones were tried")
}

func TestTheDatagramPathDoesNotAllocate(t *testing.T) {
	f := prepare(t)
	u := &udpPort{srv: f.Server, buf: make([]byte, 0, wire.MaxDatagram)}
	in := wire.AppendDatagram(nil, 3, beatOf("w1", 1))
	answered := 0
	require.Zero(t, testing.AllocsPerRun(100, func() { answered += len(u.handle(in)) }))
	require.NotZero(t, answered)
}

// Test59FiveThousandHeartbeatsAtOnce sends a whole fleet's heartbeats while the
// loop cannot read one.
func Test59FiveThousandHeartbeatsAtOnce(t *testing.T) {
	f := start(t)
	f.agent("w1", 1)
	const burst = 5_000
	b := f.beater()
	f.core.mu.Lock()
	for i := range burst {
		b.send(beatOf("w1", uint32(i+1)))
	}
	f.core.mu.Unlock()
	lost, _ := kernelDrops(f.udp.inode)
	if lost > 0 && strings.Contains(f.log.String(), "the kernel holds fewer datagrams") {
		t.Skipf("net.core.rmem_max keeps the receive buffer too small for a burst: %d lost", lost)
	}
	require.Zero(t, lost)
	eventually(t, func() bool { return f.metric("datagrams") == burst }, "all arrive")
	eventually(t, func() bool { return f.metric("beats") == burst }, "all count")
}

func TestDatagramsThatTheKernelDropsAreCounted(t *testing.T) {
	f := start(t)
	if _, ok := kernelDrops(f.udp.inode); !ok {
		t.Skip("the kernel does not list its UDP sockets")
	}
	b := f.beater()
	sent := uint64(0)
	f.core.mu.Lock()
	b.send(beatOf("w1", 1)) // the loop waits with this one
	for lost := uint64(0); lost == 0; lost, _ = kernelDrops(f.udp.inode) {
		for range 1_000 {
			b.raw(make([]byte, 1_000))
		}
		sent += 1_000
	}
	f.core.mu.Unlock()
	eventually(t, func() bool {
		return f.metric("datagrams")+f.metric("datagrams_lost_in_kernel") == sent+1
	}, "each datagram is either read or counted as lost")
}

// junk sends what is no heartbeat until stop closes, as fast as it can.
func (b *beater) junk(stop <-chan struct{}) {
	all := notBeats()
	for {
		for _, in := range all {
			select {
			case <-stop:
				return
			default:
				_, _ = b.conn.Write(in)
			}
		}
	}
}

func Test49FloodOfJunkDatagrams(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 1)
	c := f.dial("c1")
	stop := make(chan struct{})
	defer close(stop)
	b := f.beater()
	require.NoError(t, b.conn.SetDeadline(time.Time{}))
	go b.junk(stop)
	eventually(t, func() bool { return f.metric("datagrams_bad") > 1_000 }, "the flood is on")
	var worst time.Duration
	for i := range 100 {
		begun := time.Now()
		p := placed(t, c.ask(1, task(fmt.Sprint("t", i))))
		require.IsType(t, &wire.Released{}, c.ask(2, &wire.Release{Lease: p.Lease}))
		worst = max(worst, time.Since(begun))
	}
	a.alive()
	require.Equal(t, 200, f.call("GET", "/healthz", "").status)
	t.Logf("%d datagrams read; the slowest placement and release took %v", f.metric("datagrams"), worst)
}

func TestWithoutUDPNothingListens(t *testing.T) {
	f := start(t, func(c *Config) { c.UDP = false })
	b := f.beater()
	eventually(t, func() bool {
		_, _ = b.conn.Write([]byte{1})
		_, err := b.conn.Read(make([]byte, 1))
		return errors.Is(err, syscall.ECONNREFUSED)
	}, "the kernel says that nobody listens")
	f.dial("c").alive()
}

// share binds UDP ports that others may share.
var share = net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
}}

// sharedPort holds a UDP port, and returns its address, whose number is free
// for TCP.
func sharedPort(t *testing.T) string {
	addr := ports.Addr(t)
	other, err := share.ListenPacket(t.Context(), "udp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	return addr
}

func TestTheUDPPortIsOurs(t *testing.T) {
	t.Run("nobody may share it", func(t *testing.T) {
		f := start(t)
		_, err := share.ListenPacket(t.Context(), "udp", f.Addr())
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	})
	t.Run("it shares nobody's", func(t *testing.T) {
		addr := sharedPort(t)
		f := prepare(t, func(c *Config) { c.Addr = addr })
		require.ErrorContains(t, f.Start(), "the native UDP port "+addr+" is in use")
		_, err := net.Dial("tcp", f.cfg.Addr)
		require.Error(t, err, "nothing listens after a failed start")
	})
	t.Run("a free port is free for both", func(t *testing.T) {
		f := prepare(t)
		var taken []string
		f.hooks.probe = func(addr string) error {
			if len(taken) == 2 {
				return nil
			}
			taken = append(taken, addr)
			return syscall.EADDRINUSE
		}
		require.NoError(t, f.Start())
		require.Len(t, taken, 2)
		require.NotContains(t, taken, f.Addr())
		f.agent("w1", 1)
		b := f.beater()
		b.send(beatOf("w1", 1))
		require.False(t, b.ack().Connect)
	})
}

func TestALostUDPLoopEndsTheServer(t *testing.T) {
	f := start(t)
	f.udp.stop()
	require.ErrorContains(t, f.Wait(), "unasked")
	_, err := net.Dial("tcp", f.Addr())
	require.Error(t, err)
}

func TestKillFreesTheUDPPort(t *testing.T) {
	native := ports.Addr(t)
	there := func(c *Config) { c.Addr = native }
	f := start(t, there)
	for range 3 {
		f.Kill()
		f = start(t, there)
		b := f.beater()
		b.silent()
	}
}
