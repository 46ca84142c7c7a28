package sidecar

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/wire"
)

// refusal says how an error of the agent is answered.
type refusal struct {
	err    error
	reason string
	status int
	next   string // what to do about it
}

// refusals are the errors of the agent, in the order in which they are looked
// for.
var refusals = [...]refusal{
	{agent.ErrFull, "full", http.StatusConflict, "this lease is over: schedule the task again"},
	{agent.ErrEnded, "ended", http.StatusGone, "the task must not run again under this lease: schedule it again"},
	{agent.ErrOtherCaller, "other_caller", http.StatusConflict, "the task runs: leave it alone, or name the token it was begun with"},
	{agent.ErrOtherWorker, "other_worker", http.StatusConflict, "hand the task to the worker that the lease names"},
	{agent.ErrOldIncarnation, "old_incarnation", http.StatusConflict, "the worker was restarted since: schedule the task again"},
	{agent.ErrOtherInstance, "other_instance", http.StatusConflict, "the worker obeys another scheduler now: schedule the task there"},
	{agent.ErrNotPromised, "not_promised", http.StatusServiceUnavailable, "the worker is not registered: repeat in a moment"},
	{agent.ErrMemoryFull, "memory_full", http.StatusServiceUnavailable, "the worker registers again: schedule the task again"},
	{agent.ErrNotStored, "not_stored", http.StatusInternalServerError, "make the worker's state directory writable and restart the worker"},
	{agent.ErrStopped, "stopping", http.StatusServiceUnavailable, "the worker is leaving: schedule the task again"},
	{agent.ErrDead, "dead_process", http.StatusConflict, "name the id of a living process, as this machine counts them"},
	{agent.ErrPreempted, "preempted", http.StatusConflict, "the grace of the preempted task is over: end it now"},
	{agent.ErrNotRunning, "not_running", http.StatusNotFound, "the task has ended, or has never begun here"},
	{agent.ErrOutcome, "bad_request", http.StatusBadRequest, "the outcome is ok, failed, refused or lost"},
}

// fault is the body of every error.
type fault struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
	Field  string `json:"field,omitempty"`
	Next   string `json:"next,omitempty"`
}

// find returns the number of the refusal of an error, len(refusals) for none.
func find(err error) int {
	for i := range refusals {
		if errors.Is(err, refusals[i].err) {
			return i
		}
	}
	return len(refusals)
}

// fail answers with the error of the agent.
func fail(w http.ResponseWriter, err error) {
	if i := find(err); i < len(refusals) {
		r := &refusals[i]
		answer(w, r.status, fault{Error: err.Error(), Reason: r.reason, Next: r.next})
		return
	}
	var e *wire.Error
	if errors.As(err, &e) && e.Code == wire.CodeBadRequest {
		answer(w, http.StatusBadRequest, fault{Error: e.Error(), Reason: "bad_request", Field: e.Field})
		return
	}
	answer(w, http.StatusInternalServerError, fault{Error: err.Error(), Reason: "internal"})
}

// badField answers that one field of a request is wrong.
func badField(w http.ResponseWriter, field, problem string) {
	answer(w, http.StatusBadRequest, fault{Error: field + " " + problem, Reason: "bad_request", Field: field})
}

// answer sends one JSON object and the end of a line.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
