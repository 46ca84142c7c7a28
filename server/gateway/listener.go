package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

// stopping is the answer to a connection that comes while the server stops.
const stopping = `{"error":"the scheduler is stopping","reason":"draining"}` + "\n"

// RefusalTimeout bounds the sending of the reason why a connection closes.
const RefusalTimeout = 100 * time.Millisecond

// refuseConn answers a connection that has sent no request, and closes
// it.
func refuseConn(c net.Conn, body string) {
	_ = c.SetWriteDeadline(time.Now().Add(RefusalTimeout))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"+
		"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	_ = c.Close()
}

// Connections that are accepted beyond the limit, so that monitoring can still
// ask for the scheduler's health.
const (
	// SpareConnections is how many there may be.
	SpareConnections = 8
	// spareTimeout is how long one may last.
	spareTimeout = 5 * time.Second
)

// Listener counts HTTP connections among all connections of the server, and
// knows those that have never sent a byte.
type Listener struct {
	net.Listener
	host Host

	mu     sync.Mutex // guards all below
	silent map[*conn]struct{}
	spares []*conn // the oldest in front
}

// Listen returns a listener whose connections the host admits.
func Listen(ln net.Listener, host Host) *Listener {
	return &Listener{Listener: ln, host: host, silent: make(map[*conn]struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		hc := &conn{Conn: c, ln: l}
		switch refused := l.host.Admit(c.RemoteAddr()); {
		case refused == nil:
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

// refusedBody is the answer to a connection for which there is no place.
func refusedBody(e *wire.Error) string {
	return string(append(view.AppendString([]byte(`{"error":`), e.Message), "}\n"...))
}

// spare makes a connection a spare one. Where all are taken it takes the place
// of the oldest that has sent nothing yet; if there is none it reports false.
func (l *Listener) spare(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.spares) >= SpareConnections {
		i := slices.IndexFunc(l.spares, func(s *conn) bool { _, silent := l.silent[s]; return silent })
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

// CloseSilent closes the connections that have never sent a byte: there is no
// request in flight on them.
func (l *Listener) CloseSilent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.silent {
		_ = c.Conn.Close()
	}
}

func (l *Listener) heard(c *conn) {
	l.mu.Lock()
	delete(l.silent, c)
	l.mu.Unlock()
}

// gone forgets a connection that closes.
func (l *Listener) gone(c *conn) {
	l.heard(c)
	if c.refused == nil {
		l.host.Dismiss(c.RemoteAddr())
		return
	}
	c.limit.Stop()
	l.mu.Lock()
	l.spares = slices.DeleteFunc(l.spares, func(s *conn) bool { return s == c })
	l.mu.Unlock()
}

// conn is one HTTP connection.
type conn struct {
	net.Conn
	ln      *Listener
	refused *wire.Error // why it is a spare one, nil if it is not
	limit   *time.Timer // of a spare one
	spoke   bool        // of the reader alone, and so is native
	native  bool        // the peer does not speak HTTP
	head    webguard.Head
	once    sync.Once
}

// Read implements net.Conn. A peer that speaks the native protocol gets an error, and
// the HTTP server sees the end of the connection.
func (c *conn) Read(b []byte) (int, error) {
	if c.native {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	if n > 0 && !c.spoke {
		c.spoke = true
		c.ln.heard(c)
		if c.native = c.ln.host.Native(c.Conn, b[:n]); c.native {
			return 0, io.EOF
		}
	}
	c.head.Read(b[:n])
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { c.ln.gone(c) })
	return c.Conn.Close()
}

// connKey is the key of the context of a request for its connection.
type connKey struct{}

// ConnContext has requests know their connection: it is for http.Server.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, nil for one that came by none.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// ambiguous refuses a request that says in two ways where it ends. It is the
// last one on its connection, which may be nil.
func (c *conn) ambiguous(q *call) bool {
	if c == nil || !c.head.Ambiguous(q.r) {
		return false
	}
	q.Header().Set("Connection", "close")
	q.text(webguard.TwoLengths.Status, webguard.TwoLengths.Text)
	return true
}

// turnAway answers a request on a spare connection, unless it is of those that
// watch the scheduler. It is the last one there.
func (c *conn) turnAway(q *call, e *Endpoint) bool {
	if c == nil || c.refused == nil {
		return false
	}
	q.Header().Set("Connection", "close")
	if e != nil && e.Class == Watch {
		return false
	}
	q.Header().Set("Retry-After", "1")
	q.code = wire.CodeBusy
	q.value(http.StatusServiceUnavailable, &refused{Error: c.refused.Message})
	return true
}
