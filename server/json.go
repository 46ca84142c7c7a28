package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/dtask/dtask-scheduler/wire"
)

// call is the memory of one HTTP request, used again and again.
type call struct {
	exchange
	body bytes.Buffer
	tags []byte // the required tags as the core wants them
	buf  []byte // the answer
}

// maxKept bounds the memory that a call keeps for the next request.
const maxKept = 64 << 10

var calls = sync.Pool{New: func() any { return new(call) }}

// takeCall returns memory for the request that w answers.
func takeCall(w http.ResponseWriter) *call {
	c := calls.Get().(*call)
	c.id = requestID(w)
	return c
}

// putBack returns a call to the pool, unless it has grown too large.
func (c *call) putBack() {
	if c.body.Cap() <= maxKept && cap(c.buf) <= maxKept && cap(c.tags) <= maxKept {
		c.out.Reset()
		calls.Put(c)
	}
}

// errNotObject says that a body is JSON, but not an object.
var errNotObject = errors.New("the body is not an object")

// read takes the body of r, which must be one JSON object, into v. It reports
// false after it has answered with an error itself.
func (g *gateway) read(c *call, w http.ResponseWriter, r *http.Request, v any) bool {
	return g.readBody(c, w, r, v, false)
}

// readOptional is read for a body that may be missing.
func (g *gateway) readOptional(c *call, w http.ResponseWriter, r *http.Request, v any) bool {
	return g.readBody(c, w, r, v, true)
}

func (g *gateway) readBody(c *call, w http.ResponseWriter, r *http.Request, v any, optional bool) bool {
	isStrict, e := strict(r)
	if e != nil {
		refuse(w, e)
		return false
	}
	c.body.Reset()
	_, err := c.body.ReadFrom(http.MaxBytesReader(under(w), r.Body, g.srv.cfg.MaxBody))
	c.size = c.body.Len()
	if err == nil && c.size == 0 && optional {
		return true
	}
	if err == nil {
		err = decodeObject(c.body.Bytes(), v)
	}
	if err != nil {
		unreadable(w, r, err)
		return false
	}
	return g.knownKeys(w, c.body.Bytes(), v, isStrict)
}

// unreadable answers that a body could not be read.
func unreadable(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var fault *wire.Error
	switch {
	case errors.As(err, &tooLarge):
		textError(w, r, http.StatusRequestEntityTooLarge, "Request body too large")
	case errors.Is(err, os.ErrDeadlineExceeded):
		textError(w, r, http.StatusRequestTimeout, "Request timeout")
	case errors.As(err, &fault):
		invalid(w, r, fault)
	default:
		textError(w, r, http.StatusBadRequest, badBody)
	}
}

// decodeObject reads an object. An error for a value of a wrong type is a
// *wire.Error that names it.
func decodeObject(body []byte, v any) error {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return errNotObject
	}
	err := json.Unmarshal(body, v)
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		if fault := typeFault(body, shapeOf(v)); fault != nil {
			return fault
		}
	}
	return err
}

// badBody is what the older clients look for.
const badBody = "Invalid request body"

// oldKeys are the keys of the older scheduler. Its clients want text, unless
// they accept JSON.
var oldKeys = map[string]bool{
	"worker_id": true, "address": true, "resource_tags": true, "max_tasks": true, "current_tasks": true, "timestamp": true,
	"metrics": true, "task_id": true, "required_tags": true,
}

// invalid answers that one field of a body is wrong.
func invalid(w http.ResponseWriter, r *http.Request, e *wire.Error) {
	named := *e
	named.Message = badBody + ": " + e.Message
	key := e.Field
	if n := strings.IndexAny(key, ".["); n >= 0 {
		key = key[:n]
	}
	if oldKeys[key] && !acceptsJSON(r) {
		note(w, e.Code)
		textError(w, r, http.StatusBadRequest, named.Message)
		return
	}
	refuse(w, &named)
}
