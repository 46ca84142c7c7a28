package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// gateway speaks HTTP for the core. Paths and answers are promises to scripts
// that are older than this server; docs/api.md lists them.
type gateway struct {
	srv *Server
}

// apiPrefix is in front of every path of the API.
const apiPrefix = "/api/v1/"

// listenHTTP binds the HTTP port.
func (s *Server) listenHTTP() error {
	if s.cfg.HTTPAddr == "" {
		return nil
	}
	ln, err := net.Listen("tcp", s.cfg.HTTPAddr)
	if err != nil {
		return portError("HTTP", s.cfg.HTTPAddr, err)
	}
	s.httpLn, s.httpAddr = newHTTPListener(s, ln), ln.Addr().String()
	s.http = &http.Server{
		Handler:           &gateway{srv: s},
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.FrameTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeader,
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
	timer := time.AfterFunc(silentGrace, s.httpLn.(*httpListener).closeSilent)
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

// maxRequestID bounds the X-Request-ID that is echoed, in bytes.
const maxRequestID = 256

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header["X-Request-Id"]; len(id) == 1 && len(id[0]) <= maxRequestID {
		w.Header()["X-Request-Id"] = id
	}
	path := cleanPath(r.URL.Path)
	if strings.HasPrefix(path, apiPrefix+"workers/") {
		g.route(w, r, http.MethodDelete, g.deleteWorker)
		return
	}
	switch path {
	case apiPrefix + "schedule":
		g.route(w, r, http.MethodPost, g.schedule)
	case apiPrefix + "heartbeat":
		g.route(w, r, http.MethodPost, g.heartbeat)
	case apiPrefix + "renew":
		g.route(w, r, http.MethodPost, g.renew)
	case apiPrefix + "release":
		g.route(w, r, http.MethodPost, g.release)
	case apiPrefix + "workers":
		g.route(w, r, http.MethodGet, g.workers)
	case "/healthz":
		g.route(w, r, http.MethodGet, g.health)
	case "/stats":
		g.route(w, r, http.MethodGet, g.stats)
	default:
		textError(w, r, http.StatusNotFound, "404 page not found")
	}
}

// route calls handle if the method is the one that the path knows.
func (g *gateway) route(w http.ResponseWriter, r *http.Request, method string, handle func(http.ResponseWriter, *http.Request)) {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		handle(w, r)
		return
	}
	w.Header().Set("Allow", method)
	textError(w, r, http.StatusMethodNotAllowed, "Method not allowed")
}

// cleanPath drops what careless joining of URLs adds: repeated slashes and one
// at the end. A redirect would turn a POST into a GET.
func cleanPath(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

var (
	jsonType = []string{"application/json"}
	healthy  = []byte(`{"status":"ok"}` + "\n")
)

// writeJSON answers with a body of JSON.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// textError answers with a sentence: plain text, unless the client accepts
// JSON.
func textError(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		jsonError(w, status, sentence, "")
		return
	}
	http.Error(w, sentence, status)
}

// jsonError answers with a sentence, and a reason for programs if there is one.
func jsonError(w http.ResponseWriter, status int, sentence, reason string) {
	b := appendString([]byte(`{"error":`), sentence)
	if reason != "" {
		b = appendString(append(b, `,"reason":`...), reason)
	}
	writeJSON(w, status, append(b, "}\n"...))
}

func (g *gateway) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, healthy)
}
