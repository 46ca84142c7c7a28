package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

// stopping is what a connection is told that comes while the server stops.
const stopping = `{"error":"the scheduler is stopping","reason":"draining"}` + "\n"

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

// Connections that are taken though all places are, so that those who watch the
// scheduler can ask how it is.
const (
	// spareConnections is how many there may be.
	spareConnections = 8
	// spareTimeout is how long one may last.
	spareTimeout = 5 * time.Second
)

// watching are the paths that a spare connection may ask for, once.
var watching = map[string]bool{"/livez": true, "/readyz": true, "/healthz": true, "/metrics": true}

// httpListener counts HTTP connections among all connections of the server, and
// knows those that have never sent a byte.
type httpListener struct {
	net.Listener
	srv *Server

	mu     sync.Mutex // guards all below
	silent map[*httpConn]struct{}
	spares []*httpConn // the oldest in front
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
		hc := &httpConn{Conn: c, ln: l, source: sourceOf(c.RemoteAddr())}
		switch refused := l.srv.admit(hc.source); {
		case refused == nil:
			l.srv.webConnections.Add(1)
		case refused.Code == wire.CodeDraining:
			refuseConn(c, stopping)
			continue
		default:
			hc.refused = refused
			if !l.spare(hc) {
				refuseConn(c, refusedBody(refused))
				continue
			}
		}
		l.mu.Lock()
		l.silent[hc] = struct{}{}
		l.mu.Unlock()
		return hc, nil
	}
}

// refusedBody is what a connection is told for which there is no place.
func refusedBody(e *wire.Error) string {
	return string(append(view.AppendString([]byte(`{"error":`), e.Message), "}\n"...))
}

// spare makes a connection a spare one. Where all are taken it takes the place
// of the oldest that has sent nothing yet; if there is none it reports false.
func (l *httpListener) spare(c *httpConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.spares) >= spareConnections {
		i := slices.IndexFunc(l.spares, func(s *httpConn) bool { _, silent := l.silent[s]; return silent })
		if i < 0 {
			return false
		}
		_ = l.spares[i].Conn.Close()
		l.spares = slices.Delete(l.spares, i, i+1)
	}
	l.spares = append(l.spares, c)
	c.limit = time.AfterFunc(spareTimeout, func() { _ = c.Conn.Close() })
	return true
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

// gone forgets a connection that closes.
func (l *httpListener) gone(c *httpConn) {
	l.heard(c)
	if c.refused == nil {
		l.srv.webConnections.Add(-1)
		l.srv.dismiss(c.source)
		return
	}
	c.limit.Stop()
	l.mu.Lock()
	l.spares = slices.DeleteFunc(l.spares, func(s *httpConn) bool { return s == c })
	l.mu.Unlock()
}

// httpConn is one HTTP connection.
type httpConn struct {
	net.Conn
	ln      *httpListener
	source  netip.Addr
	refused *wire.Error // why it is a spare one, nil if it is not
	limit   *time.Timer // of a spare one
	spoke   bool        // of the reader alone, and so is native
	native  bool        // the peer does not speak HTTP
	head    webguard.Head
	once    sync.Once
}

// Read implements net.Conn. A peer that speaks the native protocol is told so, and
// the HTTP server sees the end of the connection.
func (c *httpConn) Read(b []byte) (int, error) {
	if c.native {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	if n > 0 && !c.spoke {
		c.spoke = true
		c.ln.heard(c)
		if isNative(b[:n]) {
			c.native = true
			c.ln.srv.refuseNative(c.Conn, b[:n])
			return 0, io.EOF
		}
	}
	c.head.Read(b[:n])
	return n, err
}

// Close implements net.Conn.
func (c *httpConn) Close() error {
	c.once.Do(func() { c.ln.gone(c) })
	return c.Conn.Close()
}

// connKey is the key of the context of a request for its connection.
type connKey struct{}

// connContext has requests know their connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, nil for one that came by none.
func connOf(r *http.Request) *httpConn {
	c, _ := r.Context().Value(connKey{}).(*httpConn)
	return c
}

// ambiguous refuses a request that says in two ways where it ends. It is the
// last one on its connection.
func ambiguous(w http.ResponseWriter, r *http.Request) bool {
	c := connOf(r)
	if c == nil || !c.head.Ambiguous(r) {
		return false
	}
	w.Header().Set("Connection", "close")
	textError(w, r, webguard.TwoLengths.Status, webguard.TwoLengths.Text)
	return true
}

// turnAway answers a request on a spare connection, unless it is of those that
// watch the scheduler. It is the last one there.
func turnAway(w http.ResponseWriter, r *http.Request, endpoint string) bool {
	c := connOf(r)
	if c == nil || c.refused == nil {
		return false
	}
	w.Header().Set("Connection", "close")
	if watching[endpoint] {
		return false
	}
	w.Header().Set("Retry-After", "1")
	note(w, wire.CodeBusy)
	writeJSON(w, http.StatusServiceUnavailable, []byte(refusedBody(c.refused)))
	return true
}
