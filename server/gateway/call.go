package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// call is one HTTP request and its answer: the writer, what the log and the
// metrics say of the request, and memory that is used again and again.
type call struct {
	http.ResponseWriter
	g *Gateway
	r *http.Request

	id       string        // of the request
	kind     wire.Kind     // as which the request is counted
	code     wire.Code     // that the answer carries; CodeOK: its status tells
	status   int           // 0: nothing was written yet
	began    time.Duration // when the handler began
	waited   time.Duration // when the request began to wait for room; 0: it did not
	warnings []string      // of the request, for its author

	body bytes.Buffer
	tags []byte // the required tags as the core wants them
	buf  []byte // of a list
}

// maxKept bounds the memory that a call keeps for the next request.
const maxKept = 64 << 10

var calls = sync.Pool{New: func() any { return new(call) }}

// take returns the call of a request.
func (g *Gateway) take(w http.ResponseWriter, r *http.Request) *call {
	c := calls.Get().(*call)
	*c = call{ResponseWriter: w, g: g, r: r, id: g.ids.of(r), began: g.Engine.Since(), body: c.body, tags: c.tags, buf: c.buf}
	return c
}

// putBack returns a call to the pool, unless it has grown too large.
func (c *call) putBack() {
	if c.body.Cap() <= maxKept && cap(c.buf) <= maxKept && cap(c.tags) <= maxKept {
		*c = call{body: c.body, tags: c.tags, buf: c.buf}
		calls.Put(c)
	}
}

// WriteHeader implements http.ResponseWriter.
func (c *call) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// waits notes that the request waits for room: it is counted as one that does,
// and as over now, like one of the native protocol.
func (c *call) waits() { c.waited = c.g.Engine.Since() }

// outcome returns the code that is counted for the answer.
func (c *call) outcome() wire.Code {
	switch {
	case c.waited > 0:
		return wire.CodeWaiting
	case c.code != wire.CodeOK:
		return c.code
	}
	return codeOfStatus[c.status]
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

// finish ends a request: a fault in its handler is logged and answered, the
// request counted. It is deferred.
func (g *Gateway) finish(c *call) {
	if cause := recover(); cause != nil {
		if cause == http.ErrAbortHandler {
			panic(cause)
		}
		g.Host.Faulted(c.id, cause)
		if c.status != 0 {
			panic(http.ErrAbortHandler) // the answer is incomplete
		}
		c.value(http.StatusInternalServerError, &refused{Error: "a fault of the scheduler", Reason: wire.CodeInternal.String()})
	}
	ended := c.waited
	if ended == 0 {
		ended = g.Engine.Since()
	}
	if c.kind != notCounted {
		g.Host.Count(c.kind, c.outcome(), ended-c.began)
		c.logRequest(ended - c.began)
	}
	c.putBack()
}

// Lines of the log that are written in a second at most.
const (
	ChangeLines  = 20  // of changes of one kind that came over HTTP
	RequestLines = 100 // of requests at the level debug; above it there are none
)

// logChange logs what a request has changed.
func (c *call) logChange(line string, about ...any) {
	if ok, dropped := c.g.Host.Allow(line, ChangeLines); ok {
		c.g.Log.Info(line, append(about, "request_id", c.id, "dropped", dropped)...)
	}
}

// logRequest logs the request at the level debug.
func (c *call) logRequest(took time.Duration) {
	if !c.g.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	if ok, dropped := c.g.Host.Allow("request", RequestLines); ok {
		op := "unknown"
		if c.kind != 0 {
			op = c.kind.String()
		}
		c.g.Log.Debug("HTTP request", "request_id", c.id, "op", op, "status", c.status,
			"code", c.outcome().String(), "took", took, "dropped", dropped)
	}
}

var jsonType = []string{"application/json"}

// value answers with v as JSON, and what there is to say of the request.
func (c *call) value(status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	c.Header()["Content-Type"] = jsonType
	c.WriteHeader(status)
	_, _ = c.Write(append(c.withWarnings(body), '\n'))
}

// ok answers with v as JSON.
func (c *call) ok(v any) { c.value(http.StatusOK, v) }

// done is the answer of what was done, or is well.
type done struct {
	Status string `json:"status"` // ok
}

func (c *call) done() { c.ok(&done{"ok"}) }

// withWarnings adds the warnings of the request to the object that answers it.
func (c *call) withWarnings(body []byte) []byte {
	if len(c.warnings) == 0 || len(body) <= len("{}") || body[len(body)-1] != '}' {
		return body
	}
	list, err := json.Marshal(c.warnings)
	if err != nil {
		return body
	}
	return slices.Concat(body[:len(body)-1], []byte(`,"warnings":`), list, []byte("}"))
}

// warn adds a warning to the answer.
func (c *call) warn(text string) { c.warnings = append(c.warnings, text) }

// acceptsJSON reports whether the request wants its errors in JSON.
func (c *call) acceptsJSON() bool {
	return strings.Contains(c.r.Header.Get("Accept"), "application/json")
}

// text answers with a sentence: plain text, unless the client accepts JSON.
func (c *call) text(status int, sentence string) {
	if c.acceptsJSON() {
		c.value(status, &refused{Error: sentence})
		return
	}
	http.Error(c, sentence, status)
}

// refused is the body of a refusal.
type refused struct {
	Error        string `json:"error"`
	Reason       string `json:"reason,omitempty"`
	Detail       string `json:"detail,omitempty"`
	Field        string `json:"field,omitempty"`
	Limit        uint64 `json:"limit,omitempty"`
	RetryAfterMS uint32 `json:"retry_after_ms,omitempty"`
}

// nothingFits is what the older clients look for; what the core says stands beside
// it, as the detail.
const nothingFits = "no available worker matching requirements"

// detailedCodes are those of which an answer names the field and the limit.
var detailedCodes = []wire.Code{wire.CodeBadRequest, wire.CodeOwnerLimit, wire.CodeTagLimit, wire.CodeWorkerLimit}

// refusalOf returns the body for an error. The sentence may be another than its
// own, which is the detail then.
func refusalOf(e *wire.Error, sentence string) *refused {
	body := &refused{Error: sentence, Reason: e.Code.String(), RetryAfterMS: e.RetryAfterMS}
	if e.Message != sentence {
		body.Detail = e.Message
	}
	if slices.Contains(detailedCodes, e.Code) {
		body.Field, body.Limit = e.Field, e.Limit
	}
	return body
}

// refuse answers with an error of the core.
func (c *call) refuse(e *wire.Error) {
	c.code = e.Code
	status, sentence := http.StatusServiceUnavailable, e.Message
	switch e.Code {
	case wire.CodeUnavailable, wire.CodeInfeasible:
		sentence = nothingFits
	case wire.CodeConflict, wire.CodeCancelled:
		status = http.StatusConflict
	case wire.CodeNotFound:
		status = http.StatusNotFound
	case wire.CodeBadRequest:
		status = http.StatusBadRequest
	case wire.CodeInternal:
		status = http.StatusInternalServerError
	}
	if e.RetryAfterMS != 0 {
		c.Header().Set("Retry-After", strconv.FormatUint((uint64(e.RetryAfterMS)+999)/1000, 10))
	}
	c.value(status, refusalOf(e, sentence))
}

// notFound answers that there is no such thing.
func (c *call) notFound(what string) {
	c.value(http.StatusNotFound, &refused{Error: "no such " + what, Reason: wire.CodeNotFound.String()})
}

// ask asks the core for an answer of type A. It reports false after it has
// answered with an error itself.
func ask[A wire.Message](c *call, m wire.Message) (answer A, ok bool) {
	return expect[A](c, c.g.Engine.Ask(c.id, m))
}

// expect is ask for an answer that is there.
func expect[A wire.Message](c *call, m wire.Message) (answer A, ok bool) {
	answer, ok = m.(A)
	if !ok {
		e, isError := m.(*wire.Error)
		if !isError {
			e = &wire.Error{Code: wire.CodeInternal, Message: "the scheduler gave no answer"}
		}
		c.refuse(e)
	}
	return answer, ok
}

// MaxRequestID bounds the X-Request-ID that is taken from a client, in bytes.
const MaxRequestID = 256

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
	return id != "" && len(id) <= MaxRequestID &&
		!strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}
