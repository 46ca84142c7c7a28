package server

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
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
	scheduleRequest
	Key string `json:"idempotency_key"`
}

// batchFault is fieldFault for a task of a batch, which does not wait for itself.
func (q *batchTask) batchFault(grace sched.Time) *wire.Error {
	switch {
	case q.Preempt:
		return badField("preempt", "is for requests of one task: those of a batch do not wait for others to make room", 0)
	case q.MaxWaitMS > 0 && q.MaxWaitMS <= maxWaitHTTP:
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
	return q.scheduleRequest.fault()
}

func (g *gateway) scheduleBatch(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	var q batchRequest
	if !g.read(c, w, r, &q) {
		return
	}
	switch n := len(q.Tasks); {
	case n == 0:
		refuse(w, badField("tasks", "is required", 0))
		return
	case n > wire.MaxBatch:
		invalid(w, r, badField("tasks", fmt.Sprintf("may hold %d at most", wire.MaxBatch), wire.MaxBatch))
		return
	}
	all, e := g.placeBatch(c, w, r, &q)
	if e != nil {
		refuse(w, e)
		return
	}
	note(w, codeOfAll(all.Results))
	c.buf = appendResults(c.buf[:0], q.Tasks, all)
	writeJSON(w, http.StatusOK, c.buf)
}

// placeBatch asks the core for the tasks without a fault, and returns their
// results. An error refuses the batch as a whole: nothing was placed. A gang
// with a faulty task is placed nowhere, without a look at the workers.
func (g *gateway) placeBatch(c *call, w http.ResponseWriter, r *http.Request, q *batchRequest) (*wire.PlacedAll, *wire.Error) {
	if e := q.waitFault(); e != nil {
		return nil, e
	}
	ask := wire.Batch{AllOrNone: q.AllOrNone, Distinct: q.Distinct}
	var places []int // of the tasks of ask in q
	for i := range q.Tasks {
		t := &q.Tasks[i]
		if e := t.batchFault(g.srv.cfg.Sched.PreemptGrace); e != nil {
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
	switch m := g.askAll(c, w, r, q, &ask).(type) {
	case *wire.PlacedAll:
		return m, nil
	case *wire.Error:
		e := *m
		e.Field = replaced(e.Field, places)
		return nil, &e
	}
	return nil, &wire.Error{Code: wire.CodeInternal, Message: "the scheduler gave no answer"}
}

// askAll asks the core for the places of a batch, and holds the request of a
// gang while it waits for them.
func (g *gateway) askAll(c *call, w http.ResponseWriter, r *http.Request, q *batchRequest, ask *wire.Batch) wire.Message {
	if q.MaxWaitMS == 0 {
		return g.srv.core.do(&c.exchange, ask)
	}
	ask.Tasks[0].WaitMS, ask.Tasks[0].WaitForWorkers = uint32(q.MaxWaitMS), q.Workers
	holdOpen(w, time.Duration(q.MaxWaitMS)*time.Millisecond)
	return g.srv.core.wait(r.Context(), &c.exchange, ask, func() { g.waits(w) })
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

// appendResults appends the answer to a batch: one result for each task, in
// order. all holds those of the tasks without a fault.
func appendResults(b []byte, tasks []batchTask, all *wire.PlacedAll) []byte {
	results := all.Results
	b = append(b, `{"results":[`...)
	for i := range tasks {
		if i > 0 {
			b = append(b, ',')
		}
		t := &tasks[i]
		if e := t.fault(); e != nil {
			b = appendRefusal(b, e, e.Message)
			continue
		}
		if r := &results[0]; r.Code == wire.CodeOK {
			b = appendPlaced(b, &t.scheduleRequest, &r.Placed)
		} else {
			e, sentence := wire.Error{Code: r.Code}, sentenceOf(r)
			if sentence == nothingFits {
				e.Message = r.Sentence()
			}
			if r.Code == wire.CodeUnavailable || r.Code == wire.CodeSearchLimit {
				e.RetryAfterMS = all.RetryAfterMS
			}
			b = appendRefusal(b, &e, sentence)
		}
		results = results[1:]
	}
	return append(b, "]}\n"...)
}

// appendRefusal appends what an error answers. The sentence may be another than
// its own, which is the detail then.
func appendRefusal(b []byte, e *wire.Error, sentence string) []byte {
	b = view.AppendString(append(b, `{"error":`...), sentence)
	b = view.AppendString(append(b, `,"reason":`...), e.Code.String())
	if e.Message != "" && e.Message != sentence {
		b = view.AppendString(append(b, `,"detail":`...), e.Message)
	}
	detailed := slices.Contains(detailedCodes, e.Code)
	if detailed && e.Field != "" {
		b = view.AppendString(append(b, `,"field":`...), e.Field)
	}
	if detailed && e.Limit != 0 {
		b = strconv.AppendUint(append(b, `,"limit":`...), e.Limit, 10)
	}
	if e.RetryAfterMS != 0 {
		b = strconv.AppendUint(append(b, `,"retry_after_ms":`...), uint64(e.RetryAfterMS), 10)
	}
	return append(b, '}')
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
