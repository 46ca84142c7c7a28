package agent_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// relay stands between an agent and a scheduler, on one port for TCP and
// datagrams, so that a test can break the connections.
type relay struct {
	tcp net.Listener
	udp *net.UDPConn
	to  string
	wg  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns []net.Conn
	paths map[string]net.Conn // to the scheduler, by the agent's address
}

func newRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: l.Addr().(*net.TCPAddr).Port})
	require.NoError(t, err)
	r := &relay{tcp: l, udp: u, to: to, paths: make(map[string]net.Conn)}
	r.wg.Go(r.connections)
	r.wg.Go(r.datagrams)
	t.Cleanup(func() {
		l.Close()
		u.Close()
		r.cut()
		r.mu.Lock()
		for _, c := range r.paths {
			c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

// cut breaks all TCP connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *relay) connections() {
	for {
		near, err := r.tcp.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			near.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, near, far)
		r.mu.Unlock()
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			r.wg.Go(func() {
				io.Copy(way[0], way[1])
				way[0].Close()
				way[1].Close()
			})
		}
	}
}

func (r *relay) datagrams() {
	buf := make([]byte, 2048)
	for {
		n, from, err := r.udp.ReadFromUDP(buf)
		if err != nil {
			return
		}
		path, err := r.path(from)
		if err != nil {
			return
		}
		path.Write(buf[:n])
	}
}

// path returns the socket that stands for an agent's.
func (r *relay) path(from *net.UDPAddr) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.paths[from.String()]; c != nil {
		return c, nil
	}
	c, err := net.Dial("udp", r.to)
	if err != nil {
		return nil, err
	}
	r.paths[from.String()] = c
	r.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			r.udp.WriteToUDP(buf[:n], from)
		}
	})
	return c, nil
}
