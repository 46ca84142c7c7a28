package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// reply is the answer to one HTTP request on its way out, and what is told of
// it: to its client, in the log, and in the metrics.
type reply struct {
	http.ResponseWriter
	id     string        // of the request
	kind   wire.Kind     // as which the request is counted
	code   wire.Code     // that the answer carries; CodeOK: its status tells
	status int           // 0: nothing was written yet
	began  time.Duration // when the handler began
	waited time.Duration // when the request began to wait for room; 0: it did not

	warnings []string // of the request, for whoever wrote it
}

// WriteHeader implements http.ResponseWriter.
func (w *reply) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *reply) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// under returns the writer of net/http itself, which http.MaxBytesReader needs
// to close the connection of a body that is too large.
func under(w http.ResponseWriter) http.ResponseWriter {
	if r, ok := w.(*reply); ok {
		return r.ResponseWriter
	}
	return w
}

// requestID returns the id of the request that w answers.
func requestID(w http.ResponseWriter) string {
	if r, ok := w.(*reply); ok {
		return r.id
	}
	return ""
}

// note notes the code of an answer for the metrics.
func note(w http.ResponseWriter, code wire.Code) {
	if r, ok := w.(*reply); ok {
		r.code = code
	}
}

// waits notes that a request waits for room: it is counted as one that does,
// and as over now, like one of the native protocol.
func (g *gateway) waits(w http.ResponseWriter) {
	if r, ok := w.(*reply); ok {
		r.waited = g.srv.core.clock.since()
	}
}

// outcome returns the code that is counted for the answer.
func (w *reply) outcome() wire.Code {
	switch {
	case w.waited > 0:
		return wire.CodeWaiting
	case w.code != wire.CodeOK:
		return w.code
	}
	return codeOfStatus[w.status]
}

// codeOfStatus says what a status is counted as, where no code is known. One
// that is missing is CodeOK.
var codeOfStatus = map[int]wire.Code{
	http.StatusBadRequest:            wire.CodeBadRequest,
	http.StatusForbidden:             wire.CodeBadRequest,
	http.StatusUnsupportedMediaType:  wire.CodeBadRequest,
	http.StatusNotFound:              wire.CodeNotFound,
	http.StatusMethodNotAllowed:      wire.CodeProtocol,
	http.StatusRequestTimeout:        wire.CodeTimeout,
	http.StatusRequestEntityTooLarge: wire.CodeFrameTooLarge,
	http.StatusConflict:              wire.CodeConflict,
	http.StatusInternalServerError:   wire.CodeInternal,
	http.StatusServiceUnavailable:    wire.CodeBusy,
}

// maxRequestID bounds the X-Request-ID that is taken from a client, in bytes.
const maxRequestID = 256

// requestIDs makes the ids of requests that bring none.
type requestIDs struct {
	life string // of this life of the scheduler
	last atomic.Uint64
}

// of returns the id of a request: its own if that is one visible text, or a new
// one.
func (ids *requestIDs) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && validRequestID(given[0]) {
		return given[0]
	}
	return fmt.Sprintf("%s-%x", ids.life, ids.last.Add(1))
}

// validRequestID reports whether an id may stand in headers and log lines:
// visible ASCII, without blanks.
func validRequestID(id string) bool {
	return id != "" && len(id) <= maxRequestID &&
		!strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// finish ends an HTTP request: a fault in its handler is logged and answered,
// the request counted. It is deferred.
func (g *gateway) finish(w *reply) {
	s := g.srv
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler {
			panic(cause)
		}
		s.faulted("a fault in the handler of an HTTP request", cause, debug.Stack(), "request_id", w.id)
		if w.status != 0 {
			panic(http.ErrAbortHandler) // the answer is incomplete
		}
		jsonError(w, http.StatusInternalServerError, "a fault of the scheduler", wire.CodeInternal.String())
	}
	ended := w.waited
	if ended == 0 {
		ended = s.core.clock.since()
	}
	if s.cfg.Metrics && w.kind != notCounted {
		s.web.count(requestOf(w.kind, w.outcome()), ended-w.began)
	}
	s.tellRequest(w, ended-w.began)
}

// changeLines is how many changes of one kind that came over HTTP are logged in
// a second.
const changeLines = 20

// tell logs what an HTTP request has changed.
func (g *gateway) tell(w http.ResponseWriter, line string, about ...any) {
	if ok, dropped := g.srv.limiter.allowSome(line, changeLines); ok {
		g.srv.log.Info(line, append(about, "request_id", requestID(w), "dropped", dropped)...)
	}
}

// requestLines is how many HTTP requests are logged in a second at the level
// debug; above it none is.
const requestLines = 100

// tellRequest logs an HTTP request for those who want to see each.
func (s *Server) tellRequest(w *reply, took time.Duration) {
	if w.kind == notCounted || !s.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	if ok, dropped := s.limiter.allowSome("request", requestLines); ok {
		s.log.Debug("HTTP request", "request_id", w.id, "op", opName(w.kind), "status", w.status,
			"code", w.outcome().String(), "took", took, "dropped", dropped)
	}
}
