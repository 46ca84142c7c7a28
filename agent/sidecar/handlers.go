package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

// route is one request that is answered.
type route struct {
	method string
	handle http.HandlerFunc
}

// handler finds the route of a request.
func (s *Server) handler() http.Handler {
	routes := map[string]route{
		"/begin":     {http.MethodPost, s.begin},
		"/end":       {http.MethodPost, s.end},
		"/keepalive": {http.MethodPost, s.keepAlive},
		"/status":    {http.MethodGet, s.status},
		"/healthz":   {http.MethodGet, s.health},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok := routes[r.URL.Path]
		if c := connOf(r); c != nil {
			defer c.head.Over()
		}
		refusal := refused(w, r)
		switch {
		case refusal != nil:
			answer(w, refusal.Status, fault{Error: refusal.Text, Reason: refusal.Reason})
		case !ok:
			answer(w, http.StatusNotFound, fault{Error: "there is no " + strconv.Quote(r.URL.Path), Reason: "not_found", Next: "/begin, /keepalive, /end, /status or /healthz"})
		case r.Method != found.method:
			w.Header().Set("Allow", found.method)
			answer(w, http.StatusMethodNotAllowed, fault{Error: "use " + found.method, Reason: "method_not_allowed"})
		default:
			found.handle(w, r)
		}
	})
}

// guard tells the requests of programs from those of web pages.
var guard webguard.Guard

// refused returns why a request is not answered at all, or nil. Pages may not
// read what the agent believes either.
func refused(w http.ResponseWriter, r *http.Request) *webguard.Refusal {
	if c := connOf(r); c != nil && c.head.Ambiguous(r) {
		w.Header().Set("Connection", "close")
		return webguard.TwoLengths
	}
	if webguard.Changes(r.Method) {
		return guard.Change(r)
	}
	return guard.Any(r)
}

// read takes the JSON object of a request's body. It reports false after it has
// answered with an error itself.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		answer(w, http.StatusRequestEntityTooLarge, fault{Error: fmt.Sprintf("the body is over %d bytes", MaxBody), Reason: "too_large"})
		return false
	case errors.Is(err, os.ErrDeadlineExceeded):
		answer(w, http.StatusRequestTimeout, fault{Error: "the body did not come in time", Reason: "timeout"})
		return false
	case err != nil:
		answer(w, http.StatusBadRequest, fault{Error: "the body could not be read", Reason: "bad_request"})
		return false
	}
	if err = json.Unmarshal(body, v); err == nil {
		return true
	}
	f := fault{Error: "the body is not the JSON object that is wanted: " + err.Error(), Reason: "bad_request"}
	var wrongType *json.UnmarshalTypeError
	var wrongValue *wire.Error
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		f.Field = strings.TrimPrefix(wrongType.Field, "Handover.") // which is embedded
		f.Error = "the body is not the JSON object that is wanted: " + f.Field + " is " + wrongType.Value + ", where " + wordFor(wrongType.Type.Kind()) + " is wanted"
	} else if errors.As(err, &wrongValue) {
		f.Field = wrongValue.Field
	}
	answer(w, http.StatusBadRequest, f)
	return false
}

// wordFor names a type of JSON.
func wordFor(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a bool"
	case reflect.Int32:
		return "an integer of 32 bits"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "an integer"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

// number replaces *to by a number of the query, if there is one.
func number(w http.ResponseWriter, r *http.Request, name string, to *int64) bool {
	text := r.URL.Query().Get(name)
	if text == "" {
		return true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		badField(w, name, "is not a number")
		return false
	}
	*to = n
	return true
}

// word replaces *to by a word of the query, if there is one.
func word(r *http.Request, name string, to *string) {
	if text := r.URL.Query().Get(name); text != "" {
		*to = text
	}
}

// beginRequest is the body of POST /begin: the handover, and the process
// of the task. pid, keepalive_ms and token may stand in the query as well.
type beginRequest struct {
	wire.Handover
	PID         int64  `json:"pid"`
	KeepAliveMS int64  `json:"keepalive_ms"`
	Token       string `json:"token"`
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) {
	var q beginRequest
	if !read(w, r, &q) || !number(w, r, "pid", &q.PID) || !number(w, r, "keepalive_ms", &q.KeepAliveMS) {
		return
	}
	word(r, "token", &q.Token)
	const second = 1000
	switch {
	case q.PID < 0 || q.PID > 1<<31-1:
		badField(w, "pid", "is not a process id")
		return
	case q.KeepAliveMS != 0 && (q.KeepAliveMS < second || q.KeepAliveMS > MaxKeepAlive*second):
		badField(w, "keepalive_ms", fmt.Sprintf("is outside %d..%d", second, MaxKeepAlive*second))
		return
	case q.PID == 0 && q.KeepAliveMS == 0:
		badField(w, "pid", "and keepalive_ms are both missing: the end of a program that dies must be noticed")
		return
	}
	task, err := s.agent.Begin(q.Handover, agent.Caller{
		Token: q.Token, PID: int(q.PID), KeepAlive: time.Duration(q.KeepAliveMS) * time.Millisecond,
	})
	if err != nil {
		s.refused[find(err)].Add(1)
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, begunTask{outcome{"begun", named(task)}, task.Handover().Devices, environment(task)})
}

// begunTask is the answer to a begin: what the program of the task is to be
// started with. Both are missing for a worker that lists no devices.
type begunTask struct {
	outcome
	Devices []int             `json:"devices,omitempty"` // places in the worker's list
	Env     map[string]string `json:"env,omitempty"`     // variables by name
}

// environment returns the variables of a task by name.
func environment(t *agent.Task) map[string]string {
	env := map[string]string{}
	for _, pair := range t.Env() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// outcome is the body of a request that was granted.
type outcome struct {
	Status string `json:"status"`
	taskName
}

// taskName names a task. A lease of an HTTP scheduler may lack its id.
type taskName struct {
	Lease *wire.LeaseID `json:"lease_id,omitempty"`
	Task  string        `json:"task_id"`
}

func named(t *agent.Task) taskName {
	h := t.Handover()
	n := taskName{Task: h.Task}
	if !h.Lease.IsZero() {
		n.Lease = &h.Lease
	}
	return n
}

// taskRequest is the body of POST /end and /keepalive. outcome may stand in the
// query as well. A task without a lease is named by its own id.
type taskRequest struct {
	Lease   wire.LeaseID `json:"lease_id"`
	Task    string       `json:"task_id"`
	Outcome string       `json:"outcome"`
	Leave   bool         `json:"leave_running"` // the processes of the task go on
}

// find reads a request and returns the task it names, nil after it has answered
// with an error itself.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (q taskRequest, t *agent.Task) {
	if !read(w, r, &q) {
		return q, nil
	}
	word(r, "outcome", &q.Outcome)
	if q.Lease.IsZero() && q.Task == "" {
		badField(w, "lease_id", "is missing")
		return q, nil
	}
	if t = s.agent.Find(q.Lease, q.Task); t == nil {
		fail(w, agent.ErrNotRunning)
	}
	return q, t
}

var outcomes = map[string]wire.Reason{
	"ok": wire.ReasonOK, "failed": wire.ReasonFailed, "refused": wire.ReasonRefused, "lost": wire.ReasonLost,
}

func (s *Server) end(w http.ResponseWriter, r *http.Request) {
	q, t := s.find(w, r)
	if t == nil {
		return
	}
	reason, ok := outcomes[q.Outcome]
	if !ok {
		badField(w, "outcome", "must be ok, failed, refused or lost")
		return
	}
	end := t.End
	if q.Leave || r.URL.Query().Get("leave_running") == "true" || s.calledBy(r, t) {
		end = t.Leave
	}
	if err := end(reason); err != nil {
		fail(w, err)
		return
	}
	select {
	case <-t.Over():
		answer(w, http.StatusOK, outcome{"ended", named(t)})
	default:
		answer(w, http.StatusOK, outcome{"ending", named(t)})
	}
}

func (s *Server) keepAlive(w http.ResponseWriter, r *http.Request) {
	_, t := s.find(w, r)
	if t == nil {
		return
	}
	if err := t.KeepAlive(); err != nil {
		fail(w, err)
		return
	}
	st := t.Status()
	answer(w, http.StatusOK, runningTask{outcome{"running", named(t)}, st.Preempted, st.Grace.Milliseconds()})
}

// runningTask is the answer to a keep-alive.
type runningTask struct {
	outcome
	Preempted bool  `json:"preempted,omitempty"` // it is preempted
	GraceMS   int64 `json:"grace_ms,omitempty"`  // and may go on for so long
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}
