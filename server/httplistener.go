package server

import (
	"net"
	"sync"
	"time"
)

// tooMany is what a connection beyond the limit is told.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n" +
	"Retry-After: 1\r\nConnection: close\r\nContent-Length: 33\r\n\r\n" + `{"error":"too many connections"}` + "\n"

// tooManyTimeout bounds the telling.
const tooManyTimeout = 100 * time.Millisecond

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
		if l.srv.admit() != nil {
			_ = c.SetWriteDeadline(time.Now().Add(tooManyTimeout))
			_, _ = c.Write([]byte(tooMany))
			_ = c.Close()
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
