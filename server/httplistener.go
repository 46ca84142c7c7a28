package server

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// What a connection is told for which there is no place, and one that comes while
// the server stops.
const (
	tooMany  = `{"error":"too many connections"}` + "\n"
	stopping = `{"error":"the scheduler is stopping","reason":"draining"}` + "\n"
)

// refusalTimeout bounds the telling.
const refusalTimeout = 100 * time.Millisecond

// refuseConn answers a connection that nobody has asked anything on, and closes
// it.
func refuseConn(c net.Conn, body string) {
	_ = c.SetWriteDeadline(time.Now().Add(refusalTimeout))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"+
		"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	_ = c.Close()
}

// httpListener counts HTTP connections among all connections of the server, and
// knows those that have never sent a byte.
type httpListener struct {
	net.Listener
	srv *Server

	mu     sync.Mutex // guards silent
	silent map[*httpConn]struct{}
}

func newHTTPListener(s *Server, ln net.Listener) *httpListener {
	return &httpListener{Listener: ln, srv: s, silent: make(map[*httpConn]struct{})}
}

// Accept implements net.Listener.
func (l *httpListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if refused := l.srv.admit(); refused != nil {
			body := tooMany
			if refused.Code == wire.CodeDraining {
				body = stopping
			}
			refuseConn(c, body)
			continue
		}
		l.srv.webConnections.Add(1)
		hc := &httpConn{Conn: c, ln: l}
		l.mu.Lock()
		l.silent[hc] = struct{}{}
		l.mu.Unlock()
		return hc, nil
	}
}

// closeSilent closes the connections that have never sent a byte: there is no
// request in flight on them.
func (l *httpListener) closeSilent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.silent {
		_ = c.Conn.Close()
	}
}

func (l *httpListener) heard(c *httpConn) {
	l.mu.Lock()
	delete(l.silent, c)
	l.mu.Unlock()
}

// httpConn is one HTTP connection.
type httpConn struct {
	net.Conn
	ln    *httpListener
	spoke bool // of the reader alone
	once  sync.Once
}

// Read implements net.Conn.
func (c *httpConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.spoke {
		c.spoke = true
		c.ln.heard(c)
	}
	return n, err
}

// Close implements net.Conn.
func (c *httpConn) Close() error {
	c.once.Do(func() {
		c.ln.heard(c)
		c.ln.srv.connections.Add(-1)
		c.ln.srv.webConnections.Add(-1)
	})
	return c.Conn.Close()
}
