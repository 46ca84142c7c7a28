package poll

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inbox keeps what comes.
type inbox struct{ came chan string }

func (i *inbox) Datagram(_ int64, b []byte) { i.came <- string(b) }

func listenUDP(t *testing.T, at string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp", at)
	require.NoError(t, err)
	c, err := net.ListenUDP("udp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c, netip.MustParseAddrPort(c.LocalAddr().String())
}

func open(t *testing.T, l *Loop, to netip.AddrPort, r Receiver) (p *Port) {
	t.Helper()
	l.Do(func() {
		var err error
		p, err = l.Open(to, r)
		require.NoError(t, err)
	})
	return p
}

func TestDatagramsComeWhole(t *testing.T) {
	peer, at := listenUDP(t, "127.0.0.1:0")
	l := start(t)
	const n = 3 * maxRound
	in := &inbox{make(chan string, n)}
	p := open(t, l, at, in)
	l.Do(func() { p.Send([]byte("hello")); p.Send(nil); p.Send([]byte("you")) })
	buf := make([]byte, 100)
	var from netip.AddrPort
	for _, want := range []string{"hello", "", "you"} {
		size, sender, err := peer.ReadFromUDPAddrPort(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:size]))
		from = sender
	}
	for i := range n {
		_, err := peer.WriteToUDPAddrPort(fmt.Appendf(nil, "answer %d", i), from)
		require.NoError(t, err)
	}
	for i := range n {
		require.Equal(t, fmt.Sprintf("answer %d", i), within(t, in.came), "more than one round takes")
	}
	_, err := peer.WriteToUDPAddrPort(nil, from)
	require.NoError(t, err)
	require.Empty(t, within(t, in.came), "an empty datagram is one, too")
}

func TestAPortOutlivesItsPeer(t *testing.T) {
	peer, at := listenUDP(t, "127.0.0.1:0")
	l := start(t)
	in := &inbox{make(chan string, 1)}
	p := open(t, l, at, in)
	require.NoError(t, peer.Close())
	for range 3 {
		l.Do(func() { p.Send([]byte("nobody hears this")) })
	}
	l.Do(func() {}) // the round of the last one is over
	peer, _ = listenUDP(t, at.String())
	l.Do(func() { p.Send([]byte("back")) })
	buf := make([]byte, 100)
	size, from, err := peer.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.Equal(t, "back", string(buf[:size]))
	_, err = peer.WriteToUDPAddrPort([]byte("yes"), from)
	require.NoError(t, err)
	require.Equal(t, "yes", within(t, in.came))
}
