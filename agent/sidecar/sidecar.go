// Package sidecar serves an agent to the programs of its machine, whatever they
// are written in: they begin and end the tasks of leases by HTTP, over the
// loopback interface or a unix socket.
//
//	POST /begin      a handover, and pid or keepalive_ms
//	POST /keepalive  lease_id
//	POST /end        lease_id and outcome
//	GET  /status     what the agent believes
//	GET  /healthz    that the worker lives
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/webguard"
)

// Limits of a sidecar.
const (
	MaxBody        = 64 << 10  // bytes of a request's body
	MaxConnections = 256       // at the same time; further ones wait
	MaxKeepAlive   = 24 * 3600 // seconds between two keep-alives
	maxHeader      = 16 << 10  // bytes of a request's header
	maxSocketPath  = 107       // bytes of a unix socket's path, by the kernel
	socketMode     = 0o600     // of a unix socket

	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second // from the first byte of a request to its last
	writeTimeout  = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// unixPrefix marks the address of a unix socket.
const unixPrefix = "unix:"

// ParseAddr reads the address of a sidecar: host:port with a host of the
// loopback interface, or unix:/path. The results are net.Listen's arguments.
func ParseAddr(s string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if path == "" || len(path) > maxSocketPath {
			return "", "", fmt.Errorf("sidecar: the path of %q must have 1 to %d bytes", s, maxSocketPath)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return "", "", fmt.Errorf("sidecar: %q is neither host:port nor unix:/path", s)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", "", fmt.Errorf("sidecar: %q is not on the loopback interface: every process that reaches a sidecar may begin and end tasks", s)
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// Listen opens the address of a sidecar. A unix socket belongs to this user
// alone; one that a dead process left behind is replaced.
func Listen(s string) (net.Listener, error) {
	network, addr, err := ParseAddr(s)
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		return net.Listen(network, addr)
	}
	if err := removeStale(addr); err != nil {
		return nil, err
	}
	// The mode of the descriptor becomes the mode of the file when it is bound, so
	// no process can connect in between.
	cfg := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) }); e != nil {
			return e
		}
		return err
	}}
	return cfg.Listen(context.Background(), network, addr)
}

// removeStale removes a unix socket without a listener.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("sidecar: %s exists and is no socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("sidecar: %s is in use by another process", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Server answers requests for one agent.
type Server struct {
	agent *agent.Agent
	http  *http.Server

	refused [len(refusals) + 1]atomic.Uint64 // begins, by the refusal's number
}

// New returns a server for the agent. The agent must outlive it.
func New(a *agent.Agent, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{agent: a}
	s.http = &http.Server{
		Handler:           s.handler(),
		ConnContext:       withConn,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve answers what comes in on the listener until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&limited{Listener: l, room: make(chan struct{}, MaxConnections)})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown answers the requests in flight and takes no more; the context bounds
// the wait.
func (s *Server) Shutdown(ctx context.Context) error {
	return errors.Join(s.http.Shutdown(ctx), s.http.Close())
}

// limited accepts no connection beyond its room.
type limited struct {
	net.Listener
	room chan struct{}
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	l.room <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

// counted gives its room back when it is closed.
type counted struct {
	net.Conn
	leave func()
	head  webguard.Head
}

// Read reads from the connection.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.head.Read(b[:n])
	return n, err
}

// Close closes the connection.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
