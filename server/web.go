package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

// web is the server as its HTTP gateway sees it, a gateway.Host. The core is its
// gateway.Engine.
type web struct {
	*limiter
	*Server
}

// newGateway returns the gateway of the HTTP port.
func (s *Server) newGateway() *gateway.Gateway {
	return gateway.New(gateway.Config{
		Engine: s.core, Host: web{s.limiter, s}, Log: s.log, Scrape: s.scrape,
		Guard:        webguard.Guard{Hosts: s.cfg.HTTPHosts, AnyType: s.cfg.AnyContentType},
		MaxBody:      s.cfg.MaxBody,
		PreemptGrace: time.Duration(s.cfg.Sched.PreemptGrace) * time.Millisecond,
		Insecure:     s.cfg.Insecure,
		Pprof:        s.cfg.Pprof,
		Life:         fmt.Sprintf("%08x", s.cfg.Sched.Instance),
	})
}

// listenHTTP binds the HTTP port.
func (s *Server) listenHTTP() error {
	if s.cfg.HTTPAddr == "" {
		return nil
	}
	ln, err := net.Listen(network("tcp", s.cfg.HTTPAddr), s.cfg.HTTPAddr)
	if err != nil {
		return portError("HTTP", s.cfg.HTTPAddr, err)
	}
	s.httpLn, s.httpAddr = gateway.Listen(ln, web{s.limiter, s}), ln.Addr().String()
	s.http = &http.Server{
		Handler:           s.newGateway(),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.FrameTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeader,
		ConnContext:       gateway.ConnContext,
		ErrorLog:          log.New(httpLog{s}, "", 0),
	}
	return nil
}

// serveHTTP serves until the listener closes. Any other end ends the server.
func (s *Server) serveHTTP() {
	if err := s.http.Serve(s.httpLn); !errors.Is(err, http.ErrServerClosed) {
		s.collapse(fmt.Errorf("server: HTTP ended unasked: %w", err))
	}
}

// silentGrace is how long Shutdown waits for the first byte on connections that
// have never sent one.
const silentGrace = 250 * time.Millisecond

// shutdownHTTP stops accepting, and waits for the requests in flight.
func (s *Server) shutdownHTTP(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	timer := time.AfterFunc(silentGrace, s.httpLn.CloseSilent)
	defer timer.Stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// httpLog passes the lines of net/http on, at most one each second.
type httpLog struct {
	srv *Server
}

// Write implements io.Writer.
func (h httpLog) Write(line []byte) (int, error) {
	if ok, dropped := h.srv.limiter.allow("http"); ok {
		h.srv.log.Warn("http", "line", strings.TrimSpace(string(line)), "dropped", dropped)
	}
	return len(line), nil
}

// The methods of gateway.Host:

func (w web) Admit(remote net.Addr) *wire.Error {
	refusal := w.admit(sourceOf(remote))
	if refusal == nil {
		w.webConnections.Add(1)
	}
	return refusal
}

func (w web) Dismiss(remote net.Addr) {
	w.webConnections.Add(-1)
	w.dismiss(sourceOf(remote))
}

func (w web) Native(c net.Conn, in []byte) bool {
	if !isNative(in) {
		return false
	}
	w.refuseNative(c, in)
	return true
}

func (w web) Stalled() string { return w.stalled() }

func (w web) Unready() (reason, detail string) { return w.unready() }

func (w web) Count(k wire.Kind, code wire.Code, took time.Duration) {
	if w.cfg.Metrics {
		w.Server.web.count(requestOf(k, code), took)
	}
}

func (w web) Faulted(id string, cause any) {
	w.faulted("a fault in the handler of an HTTP request", cause, debug.Stack(), "request_id", id)
}

func (w web) Counters() map[string]uint64 {
	m := map[string]uint64{
		"connections":    uint64(max(w.connections.Load(), 0)),
		"output_bytes":   uint64(max(w.output.Load(), 0)),
		"input_bytes":    uint64(max(w.input.Load(), 0)),
		"uptime_seconds": uint64(w.core.clock.read() / time.Second),
	}
	if w.udp != nil {
		m["datagrams"], m["datagrams_bad"] = w.udp.received.Load(), w.udp.bad.Load()
		if n, ok := kernelDrops(w.udp.inode); ok {
			m["datagrams_lost_in_kernel"] = n
		}
	}
	for code := range w.closes {
		if n := w.closes[code].Load(); n > 0 {
			m["closed_"+wire.Code(code).String()] = n
		}
	}
	return m
}
