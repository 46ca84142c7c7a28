package server

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// However many descriptors there are, the parts never exceed them, and a
// scheduler that starts serves a workable number of connections.
func TestDescriptorsAreDivided(t *testing.T) {
	for _, wanted := range []int{1, 5, 64, 65, 512, 16_384} {
		for _, loops := range []int{1, 4, maxLoops} {
			last := 0
			for files := 1; files < 25_000; files = files*21/20 + 1 {
				got, err := divide(wanted, loops, 4096, uint64(files))
				if err != nil {
					var few *FilesError
					require.True(t, errors.As(err, &few))
					require.Less(t, few.Limit, few.Need)
					require.Zero(t, last, "more descriptors never make it worse")
					_, err = divide(wanted, loops, 4096, few.Need)
					require.NoError(t, err, "%d for %d", few.Need, wanted)
					continue
				}
				require.LessOrEqual(t, got.connections+got.backlog+minReserve, files)
				require.GreaterOrEqual(t, got.connections, min(wanted, minConnections))
				require.GreaterOrEqual(t, got.connections, last)
				require.GreaterOrEqual(t, got.backlog, minBacklog)
				last = got.connections
			}
			require.Equal(t, wanted, last)
		}
	}
	for files, want := range map[uint64]int{80: 0, 256: 182, 1024: 768, 2048: 1536, 4096: 3328, 65_536: 16_384} {
		got, _ := divide(16_384, 1, 4096, files)
		require.Equal(t, want, got.connections, files)
	}
	_, err := divide(16_384, 1, 4096, 80)
	require.EqualError(t, err, "server: the limit of open files is 80 and must be 122 at least: ulimit -n 122, or LimitNOFILE=122 in systemd")
}

// With all places taken those who watch the scheduler are answered, and nobody
// keeps the spare connections from them.
func TestWatchersFindASpareConnection(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxConnections = 1 })
	c := f.dial("c")
	for range 3 * gateway.SpareConnections {
		conn, err := net.Dial("tcp", f.HTTPAddr()) // says nothing
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	for _, e := range gateway.Endpoints {
		path := e.Path
		for i := 0; i < 2 && e.Class == gateway.Watch; i++ {
			res, err := client.Get("http://" + f.HTTPAddr() + path)
			require.NoError(t, err, path)
			require.NoError(t, res.Body.Close())
			require.True(t, res.Close, "one request for each")
			if path != "/readyz" {
				require.Equal(t, 200, res.StatusCode, path)
			}
		}
	}
	for _, path := range []string{"/stats", "/api/v1/workers", "/nowhere"} {
		require.Equal(t, 503, f.call("GET", path, "").status, path)
	}
	require.EqualValues(t, 1, f.connections.Load(), "spare connections take no place")
	c.alive()
	require.NoError(t, c.conn.Close())
	eventually(t, func() bool { return f.call("GET", "/stats", "", "Connection", "close").status == 200 }, "a place is free")
}

func TestSourcesOfConnections(t *testing.T) {
	source := func(text string) netip.Addr {
		a, err := net.ResolveTCPAddr("tcp", text)
		require.NoError(t, err)
		return sourceOf(a)
	}
	for _, local := range []string{"127.0.0.1:1", "127.8.9.1:2", "[::1]:3", "[::ffff:127.0.0.1]:4"} {
		require.False(t, source(local).IsValid(), local)
	}
	require.Equal(t, source("10.0.0.1:1"), source("[::ffff:10.0.0.1]:2"), "one machine over both families")
	require.NotEqual(t, source("10.0.0.1:1"), source("10.0.0.2:1"))
	require.Equal(t, source("[2001:db8::1]:1"), source("[2001:db8::ffff:2]:1"), "one network of IPv6")
	require.NotEqual(t, source("[2001:db8::1]:1"), source("[2001:db8:0:1::1]:1"))
	require.False(t, sourceOf(&net.UnixAddr{}).IsValid())

	f := start(t, func(c *Config) { c.MaxConnectionsPerSource = 2 })
	a, b := source("10.0.0.1:1"), source("10.0.0.2:1")
	require.Nil(t, f.admit(a))
	require.Nil(t, f.admit(a))
	e := f.admit(a)
	require.Equal(t, wire.CodeBusy, e.Code)
	require.EqualValues(t, 2, e.Limit)
	require.Contains(t, e.Message, "too many connections from 10.0.0.1: 2 at most (--max-connections-per-source)")
	require.Nil(t, f.admit(b), "others are not affected")
	require.EqualValues(t, 3, f.connections.Load(), "who is refused holds nothing")
	f.dismiss(a)
	require.Nil(t, f.admit(a))
	for _, s := range []netip.Addr{a, a, b} {
		f.dismiss(s)
	}
	require.Empty(t, f.sources.open)
	require.Zero(t, f.connections.Load())
	for range 5 {
		f.dial("c") // of loopback
	}
}

// The limit holds for both ports, for peers that come from an address that is
// not loopback.
func TestBothPortsKnowTheirSources(t *testing.T) {
	own := ownAddress(t)
	f := start(t, func(c *Config) {
		c.Addr, c.HTTPAddr, c.Insecure = own+":0", own+":0", true
		c.MaxConnectionsPerSource = 2
	})
	first := f.dial("a")
	second := f.dial("b")
	f.connect().refusal(wire.CodeBusy)
	a := f.call("GET", "/stats", "")
	require.Equal(t, 503, a.status)
	require.Contains(t, a.body, "too many connections from "+own)
	require.Equal(t, 200, f.call("GET", "/livez", "").status)
	require.NoError(t, first.conn.Close())
	require.NoError(t, second.conn.Close())
	eventually(t, func() bool { return f.connections.Load() == 0 }, "they are gone")
	require.Equal(t, 200, f.call("GET", "/stats", "", "Connection", "close").status)
}

// ownAddress returns an IPv4 address of this machine that is not loopback.
func ownAddress(t *testing.T) string {
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has loopback alone")
	return ""
}

// A peer that says nothing after hello is probed and closed; one that answers
// anything stays.
func TestQuietPeers(t *testing.T) {
	f, clock := startByHand(t)
	mute, lively := f.dial("mute"), f.dial("lively")
	probed := func(p *peer) {
		request, m := p.read()
		require.Zero(t, request)
		require.IsType(t, &wire.Pong{}, m)
	}
	for n := range 5 {
		clock.pass(f.cfg.PingAfter * 3 / 2)
		if n == 0 {
			probed(mute)
		}
		probed(lively)
		lively.send(0, &wire.Heartbeat{Handle: 9, Seq: 1}) // refused, but heard
		lively.refusal(wire.CodeNotRegistered)
	}
	e := mute.refusal(wire.CodeTimeout)
	require.Contains(t, e.Message, "nothing was heard for")
	mute.closed()
	eventually(t, func() bool { return f.connections.Load() == 1 }, "its place is free")
}

// An IPv4 address listens on IPv4 alone.
func TestAFamilyOfItsOwn(t *testing.T) {
	require.Equal(t, "tcp4", network("tcp", "0.0.0.0:80"))
	require.Equal(t, "udp4", network("udp", "10.0.0.1:80"))
	for _, both := range []string{"[::]:80", ":80", "[::1]:80", "host:80"} {
		require.Equal(t, "tcp", network("tcp", both))
	}
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	require.NoError(t, six.Close())
	f := start(t, func(c *Config) { c.Addr, c.HTTPAddr, c.Insecure = "0.0.0.0:0", "0.0.0.0:0", true })
	for _, addr := range []string{f.Addr(), f.HTTPAddr()} {
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		_, err = net.Dial("tcp", "[::1]:"+port)
		require.Error(t, err, addr)
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		free, err := net.ListenPacket("udp6", "[::1]:"+port)
		require.NoError(t, err, "no datagrams over IPv6 either")
		require.NoError(t, free.Close())
	}
}
