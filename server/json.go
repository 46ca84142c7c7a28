package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync"
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
	c.body.Reset()
	_, err := c.body.ReadFrom(http.MaxBytesReader(under(w), r.Body, g.srv.cfg.MaxBody))
	c.size = c.body.Len()
	if err == nil && !(optional && c.body.Len() == 0) {
		err = decodeObject(c.body.Bytes(), v)
	}
	if err == nil {
		return true
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		textError(w, r, http.StatusRequestEntityTooLarge, "Request body too large")
	case errors.Is(err, os.ErrDeadlineExceeded):
		textError(w, r, http.StatusRequestTimeout, "Request timeout")
	default:
		textError(w, r, http.StatusBadRequest, "Invalid request body")
	}
	return false
}

func decodeObject(body []byte, v any) error {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return errNotObject
	}
	return json.Unmarshal(body, v)
}

// invalid answers that one field of a body is out of its range.
func invalid(w http.ResponseWriter, r *http.Request, what string) {
	textError(w, r, http.StatusBadRequest, "Invalid request body: "+what)
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b > '~' || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
