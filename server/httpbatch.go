package server

import (
	"fmt"
	"net/http"

	"github.com/dtask/dtask-scheduler/wire"
)

// batchRequest is the body of POST /api/v1/schedule/batch.
type batchRequest struct {
	Tasks []batchTask `json:"tasks"`
}

// batchTask is one task of a batch. A header cannot name a key for each, so
// the key stands with its task.
type batchTask struct {
	scheduleRequest
	Key string `json:"idempotency_key"`
}

// fault returns what is wrong with the task, or "".
func (q *batchTask) fault() string {
	if q.TaskID == "" {
		return "task_id is required"
	}
	return q.scheduleRequest.fault()
}

func (g *gateway) scheduleBatch(w http.ResponseWriter, r *http.Request) {
	c := takeCall()
	defer c.putBack()
	var q batchRequest
	if !g.read(c, w, r, &q) {
		return
	}
	switch n := len(q.Tasks); {
	case n == 0:
		jsonError(w, http.StatusBadRequest, "tasks is required", "")
		return
	case n > wire.MaxBatch:
		invalid(w, r, fmt.Sprintf("tasks may hold %d at most", wire.MaxBatch))
		return
	}
	var ask wire.Batch
	for i := range q.Tasks {
		if t := &q.Tasks[i]; t.fault() == "" {
			ask.Tasks = append(ask.Tasks, t.message(nil, t.Key))
		}
	}
	var results []wire.BatchResult
	if len(ask.Tasks) > 0 {
		all, ok := g.srv.core.do(&c.exchange, &ask).(*wire.PlacedAll)
		if !ok {
			jsonError(w, http.StatusInternalServerError, "the scheduler gave no answer", wire.CodeInternal.String())
			return
		}
		results = all.Results
	}
	c.buf = appendResults(c.buf[:0], q.Tasks, results)
	writeJSON(w, http.StatusOK, c.buf)
}

// appendResults appends the answer to a batch: one result for each task, in
// order. results holds those of the tasks without a fault.
func appendResults(b []byte, tasks []batchTask, results []wire.BatchResult) []byte {
	b = append(b, `{"results":[`...)
	for i := range tasks {
		if i > 0 {
			b = append(b, ',')
		}
		t := &tasks[i]
		if what := t.fault(); what != "" {
			b = appendRefusal(b, what, wire.CodeBadRequest)
			continue
		}
		if r := &results[0]; r.Code == wire.CodeOK {
			b = appendPlaced(b, &t.scheduleRequest, &r.Placed)
		} else {
			b = appendRefusal(b, sentenceOf(r.Code), r.Code)
		}
		results = results[1:]
	}
	return append(b, "]}\n"...)
}

func appendRefusal(b []byte, sentence string, code wire.Code) []byte {
	b = appendString(append(b, `{"error":`...), sentence)
	b = appendString(append(b, `,"reason":`...), code.String())
	return append(b, '}')
}

// sentenceOf says for people why a task of a batch was not placed.
func sentenceOf(code wire.Code) string {
	switch code {
	case wire.CodeUnavailable, wire.CodeInfeasible:
		return nothingFits
	case wire.CodeConflict:
		return "the idempotency_key is in use with other content"
	case wire.CodeBadRequest:
		return "idempotency_key is too long"
	case wire.CodeLeaseLimit:
		return "too many leases are alive"
	}
	return code.String()
}
