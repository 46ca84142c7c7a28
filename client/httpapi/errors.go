package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What a caller may ask of an error, by errors.Is.
var (
	ErrUnavailable = errors.New("httpapi: the workers that could take the task are busy")
	ErrInfeasible  = errors.New("httpapi: no known worker has what the task needs")
	ErrNotFound    = errors.New("httpapi: no such lease or worker")
	ErrConflict    = errors.New("httpapi: in use with other content")
	ErrBegun       = errors.New("httpapi: the task runs: its worker alone ends the lease")
	ErrAllOrNone   = errors.New("httpapi: another task of the gang found no place")
	ErrSearchLimit = errors.New("httpapi: the search for a worker was given up: try again")
	ErrQueueFull   = errors.New("httpapi: too many tasks wait: try again later")
	ErrOwnerLimit  = errors.New("httpapi: the owner has as many leases as one owner may have")
	ErrCancelled   = errors.New("httpapi: the task was cancelled while it waited")
	ErrTooOld      = errors.New("httpapi: the scheduler is too old for what the task asks for")
	ErrTooLarge    = errors.New("the answer is longer than the limit")
)

// StatusError is an answer other than the expected one. Its status is never
// lost, also if a proxy gave the answer.
type StatusError struct {
	Method, Path string
	Status       int           // such as 503; 200 if the body was not the JSON expected
	Text         string        // the body as it came, at most 4 KiB of it
	Message      string        // "error" of a JSON body, else ""
	Detail       string        // "detail" of a JSON body: what is missing for a task; else ""
	Reason       string        // "reason" of a JSON body, such as unavailable; else ""
	Field        string        // "field" of a JSON body: the field at fault, such as selector or tasks[3].selector; else ""
	Limit        uint64        // "limit" of a JSON body: the limit that was broken; else 0
	RetryAfter   time.Duration // what the server asked for; 0 if nothing
}

func newStatusError(k *call, resp *http.Response, text []byte) *StatusError {
	e := &StatusError{
		Method: k.method, Path: k.path, Status: resp.StatusCode,
		Text:       strings.ToValidUTF8(string(bytes.TrimSpace(text[:min(len(text), maxText)])), "\uFFFD"),
		RetryAfter: retryAfter(resp.Header),
	}
	var body struct {
		Error, Reason, Detail, Field string
		Limit                        uint64
	}
	var mismatch *json.UnmarshalTypeError // the other keys were read
	if err := json.Unmarshal(text, &body); err == nil || errors.As(err, &mismatch) {
		e.Message, e.Reason, e.Detail, e.Field, e.Limit = body.Error, body.Reason, body.Detail, body.Field, body.Limit
	}
	return e
}

func (e *StatusError) Error() string {
	what := e.Detail
	if what == "" {
		what = e.Message
	}
	if what == "" {
		what = e.Text
	}
	if e.Reason != "" {
		what += " (" + e.Reason + ")"
	}
	if what == "" {
		what = "no text"
	}
	return fmt.Sprintf("httpapi: %s %s: %d %s: %s", e.Method, e.Path, e.Status, http.StatusText(e.Status), what)
}

// Is answers errors.Is for the errors of this package. A refusal of the older
// scheduler, which gave no reason, counts as ErrUnavailable.
func (e *StatusError) Is(target error) bool {
	switch target {
	case ErrUnavailable:
		return e.Status == http.StatusServiceUnavailable && (e.Reason == "unavailable" || e.Reason == "" && e.Message != "")
	case ErrInfeasible:
		return e.Reason == "infeasible"
	case ErrAllOrNone:
		return e.Reason == "all_or_none"
	case ErrSearchLimit:
		return e.Reason == "search_limit"
	case ErrQueueFull:
		return e.Reason == "queue_full"
	case ErrOwnerLimit:
		return e.Reason == "owner_limit"
	case ErrCancelled:
		return e.Reason == "cancelled"
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrBegun:
		return e.Reason == "begun"
	case ErrConflict:
		return e.Status == http.StatusConflict && e.Reason != "begun" && e.Reason != "cancelled"
	}
	return false
}

// transient reports whether the same request may fare better in a moment. The
// scheduler's own refusals name a reason or are about the request: they are
// answers, not faults.
func (e *StatusError) transient() bool {
	switch e.Status {
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return e.Message == "" && e.Reason == ""
	}
	return false
}
