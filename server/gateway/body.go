package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// errNotObject says that a body is JSON, but not an object.
var errNotObject = errors.New("the body is not an object")

// read takes the body of the request, which must be one JSON object, into v. It
// reports false after it has answered with an error itself.
func (c *call) read(v any) bool {
	isStrict, e := strict(c.r)
	if e != nil {
		c.refuse(e)
		return false
	}
	c.body.Reset()
	// net/http's own writer closes the connection of a body that is too large.
	_, err := c.body.ReadFrom(http.MaxBytesReader(c.ResponseWriter, c.r.Body, c.g.MaxBody))
	if _, optional := v.(interface{ optional() }); err == nil && c.body.Len() == 0 && optional {
		return true
	}
	var odd *walk
	if err == nil {
		odd, err = decodeObject(c.body.Bytes(), v)
	}
	if err != nil {
		c.unreadable(err)
		return false
	}
	return odd == nil || c.knownKeys(odd, isStrict)
}

// unreadable answers that a body could not be read.
func (c *call) unreadable(err error) {
	var tooLarge *http.MaxBytesError
	var fault *wire.Error
	switch {
	case errors.As(err, &tooLarge):
		c.text(http.StatusRequestEntityTooLarge, "Request body too large")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.text(http.StatusRequestTimeout, "Request timeout")
	case errors.As(err, &fault):
		c.invalid(fault)
	default:
		c.text(http.StatusBadRequest, badBody)
	}
}

// decodeObject reads an object, and returns what else there is to say of its body,
// nil for nothing. An error for a value of a wrong type is a *wire.Error that
// names it.
func decodeObject(body []byte, v any) (*walk, error) {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return nil, errNotObject
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(v) == nil && len(bytes.TrimLeft(body[d.InputOffset():], " \t\r\n")) == 0 {
		return nil, nil // as nearly all are: nothing else is looked at
	}
	err := json.Unmarshal(body, v)
	var wrongType *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &wrongType) {
		return nil, err
	}
	w := walkOver(body, v)
	if err != nil && w.fault != nil {
		err = w.fault
	}
	return w, err
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
func (c *call) invalid(e *wire.Error) {
	named := *e
	named.Message = badBody + ": " + e.Message
	key := e.Field
	if n := strings.IndexAny(key, ".["); n >= 0 {
		key = key[:n]
	}
	if oldKeys[key] && !c.acceptsJSON() {
		c.code = e.Code
		c.text(http.StatusBadRequest, named.Message)
		return
	}
	c.refuse(&named)
}

// badField says what is wrong with a field, and the limit that it broke or 0.
func badField(field, what string, limit int) *wire.Error {
	return &wire.Error{Code: wire.CodeBadRequest, Field: field, Message: field + " " + what, Limit: uint64(limit)}
}
