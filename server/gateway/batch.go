package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// batchRequest is the body of POST /api/v1/schedule/batch.
type batchRequest struct {
	Tasks     []batchTask `json:"tasks"`
	AllOrNone bool        `json:"all_or_none"`
	Distinct  bool        `json:"distinct"`
	MaxWaitMS int64       `json:"max_wait_ms"` // of a gang, as the next
	Workers   bool        `json:"wait_for_workers"`
}

// waitFault returns what is wrong with the wait of a batch, or nil. The tasks
// of one that is no gang would be placed one after the other, and the first
// leases be over before the last task has a place.
func (q *batchRequest) waitFault() *wire.Error {
	e := outside("max_wait_ms", q.MaxWaitMS)
	switch {
	case e != nil:
	case q.MaxWaitMS > 0 && !q.AllOrNone:
		return badField("max_wait_ms", "goes with all_or_none alone", 0)
	case q.Workers && q.MaxWaitMS == 0:
		return badField("wait_for_workers", "goes with max_wait_ms", 0)
	}
	return e
}

// batchTask is one task of a batch. A header cannot name a key for each, so
// the key stands with its task.
type batchTask struct {
	taskRequest
	Key string `json:"idempotency_key"`
}

// batchFault is fieldFault for a task of a batch, which does not wait for itself.
func (q *batchTask) batchFault(grace time.Duration) *wire.Error {
	switch {
	case q.Preempt:
		return badField("preempt", "is for requests of one task: tasks of a batch do not wait for a preemption", 0)
	case q.MaxWaitMS > 0 && q.MaxWaitMS <= MaxWaitMS:
		return badField("max_wait_ms", "stands beside tasks, for a gang as a whole", 0)
	case q.ForWorkers:
		return badField("wait_for_workers", "stands beside tasks, for a gang as a whole", 0)
	}
	return q.fieldFault(grace)
}

// fault returns what is wrong with the task, or nil.
func (q *batchTask) fault() *wire.Error {
	if q.TaskID == "" {
		return badField("task_id", "is required", 0)
	}
	return q.taskRequest.fault()
}

func scheduleBatch(c *call, q *batchRequest) {
	switch n := len(q.Tasks); {
	case n == 0:
		c.refuse(badField("tasks", "is required", 0))
		return
	case n > wire.MaxBatch:
		c.invalid(badField("tasks", fmt.Sprintf("may hold %d at most", wire.MaxBatch), wire.MaxBatch))
		return
	}
	all, e := c.placeBatch(q)
	if e != nil {
		c.refuse(e)
		return
	}
	c.code = CodeOfAll(all.Results)
	c.ok(resultsOf(q.Tasks, all))
}

// placeBatch asks the core for the tasks without a fault, and returns their
// results. An error refuses the batch as a whole: nothing was placed. A gang
// with a faulty task is placed nowhere, without a look at the workers.
func (c *call) placeBatch(q *batchRequest) (*wire.PlacedAll, *wire.Error) {
	if e := q.waitFault(); e != nil {
		return nil, e
	}
	ask := wire.Batch{AllOrNone: q.AllOrNone, Distinct: q.Distinct}
	var places []int // of the tasks of ask in q
	for i := range q.Tasks {
		t := &q.Tasks[i]
		if e := t.batchFault(c.g.PreemptGrace); e != nil {
			e.Field = fmt.Sprintf("tasks[%d].%s", i, e.Field)
			return nil, e
		}
		if t.fault() == nil {
			ask.Tasks = append(ask.Tasks, t.message(nil, t.Key))
			places = append(places, i)
		}
	}
	if len(ask.Tasks) == 0 {
		return &wire.PlacedAll{}, nil
	}
	if q.AllOrNone && len(ask.Tasks) < len(q.Tasks) {
		return &wire.PlacedAll{Results: slices.Repeat([]wire.BatchResult{{Code: wire.CodeAllOrNone}}, len(ask.Tasks))}, nil
	}
	if q.MaxWaitMS > 0 {
		ask.Tasks[0].WaitMS, ask.Tasks[0].WaitForWorkers = uint32(q.MaxWaitMS), q.Workers
	}
	switch m := c.place(&ask, q.MaxWaitMS).(type) {
	case *wire.PlacedAll:
		return m, nil
	case *wire.Error:
		e := *m
		e.Field = replaced(e.Field, places)
		return nil, &e
	}
	return nil, &wire.Error{Code: wire.CodeInternal, Message: "the scheduler gave no answer"}
}

// replaced returns a field such as tasks[3].selector with the place that its
// task had before others were left out.
func replaced(field string, places []int) string {
	number, rest, ok := strings.Cut(strings.TrimPrefix(field, "tasks["), "]")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 0 || i >= len(places) {
		return field
	}
	return fmt.Sprintf("tasks[%d]%s", places[i], rest)
}

// CodeOfAll returns the code that is counted for a batch: that of the first task
// that was refused for a reason of its own.
func CodeOfAll(results []wire.BatchResult) wire.Code {
	for i := range results {
		if c := results[i].Code; c != wire.CodeOK && c != wire.CodeWaiting && c != wire.CodeAllOrNone {
			return c
		}
	}
	return wire.CodeOK
}

// results is the answer to a batch: a placement or a refusal for each task, in
// order.
type results struct {
	Results []any `json:"results"`
}

// resultsOf returns the answer to a batch. all holds the results of the tasks
// without a fault.
func resultsOf(tasks []batchTask, all *wire.PlacedAll) *results {
	left, body := all.Results, &results{make([]any, len(tasks))}
	for i := range tasks {
		t := &tasks[i]
		if e := t.fault(); e != nil {
			body.Results[i] = refusalOf(e, e.Message)
			continue
		}
		r := &left[0]
		left = left[1:]
		if r.Code == wire.CodeOK {
			body.Results[i] = placedOf(&t.taskRequest, &r.Placed)
			continue
		}
		e, sentence := wire.Error{Code: r.Code, Message: sentenceOf(r)}, sentenceOf(r)
		if sentence == nothingFits {
			e.Message = r.Sentence()
		}
		if r.Code == wire.CodeUnavailable || r.Code == wire.CodeSearchLimit {
			e.RetryAfterMS = all.RetryAfterMS
		}
		body.Results[i] = refusalOf(&e, sentence)
	}
	return body
}

// sentenceOf says for people why a task of a batch was not placed. The key of HTTP
// is named as it is there.
func sentenceOf(r *wire.BatchResult) string {
	switch r.Code {
	case wire.CodeUnavailable, wire.CodeInfeasible:
		return nothingFits
	case wire.CodeConflict:
		return "the idempotency_key is in use with other content"
	case wire.CodeBadRequest:
		return "idempotency_key is too long"
	}
	if text := r.Sentence(); text != "" {
		return text
	}
	return r.Code.String()
}
