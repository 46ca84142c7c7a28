package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Result is the answer for one task of ScheduleAll: a placement, or why there is
// none.
type Result struct {
	Placement *Placement
	Err       error // a *StatusError with the status that a single request would have had
}

// batch is the body of a request for many places.
type batch struct {
	Tasks     []batchTask `json:"tasks"`
	AllOrNone bool        `json:"all_or_none,omitempty"`
	Distinct  bool        `json:"distinct,omitempty"`
	MaxWaitMS int64       `json:"max_wait_ms,omitempty"`
	Workers   bool        `json:"wait_for_workers,omitempty"`
}

// batchTask is a task whose key stands with it.
type batchTask struct {
	Task
	Key string `json:"idempotency_key,omitempty"`
}

// results is the answer to a batch. Each is a placement or a refusal.
type results struct {
	Results []struct {
		Placement
		Error  string `json:"error"`
		Reason string `json:"reason"`
		Detail string `json:"detail"`
	} `json:"results"`
}

func (r *results) complete() bool { return r.Results != nil }

// ScheduleAll asks for places for 1 to 1,024 tasks in one request, and returns
// one result for each, in order. Each task is judged for itself; an error of the
// request as a whole means that none was placed, such as a selector that cannot
// be read: StatusError.Field names it. It is repeated under the rules of
// Schedule, if all tasks have a Key.
func (c *Client) ScheduleAll(ctx context.Context, tasks []Task) ([]Result, error) {
	return c.scheduleBatch(ctx, tasks, batch{})
}

// ScheduleGang is ScheduleAll for a gang: all are placed, or none is; with
// distinct no two on one worker. The error is that of the first task without a
// place that did not fail for the sake of another. The MaxWaitMS of the first
// task is that of the gang; those of the others do not matter.
func (c *Client) ScheduleGang(ctx context.Context, tasks []Task, distinct bool) ([]*Placement, error) {
	b := batch{AllOrNone: true, Distinct: distinct}
	if len(tasks) > 0 {
		b.MaxWaitMS, b.Workers = tasks[0].MaxWaitMS, tasks[0].WaitForWorkers
	}
	all, err := c.scheduleBatch(ctx, tasks, b)
	if err != nil {
		return nil, err
	}
	places := make([]*Placement, len(all))
	for i, r := range all {
		places[i] = r.Placement
		if r.Err != nil && (err == nil || errors.Is(err, ErrAllOrNone)) {
			err = r.Err
		}
	}
	if err != nil {
		return nil, err
	}
	return places, nil
}

func (c *Client) scheduleBatch(ctx context.Context, tasks []Task, body batch) ([]Result, error) {
	if n := len(tasks); n < 1 || n > wire.MaxBatch {
		return nil, fmt.Errorf("httpapi: tasks: %d are not 1 to %d", n, wire.MaxBatch)
	}
	k := &call{method: http.MethodPost, path: "/api/v1/schedule/batch", safe: true, limit: MaxList, wait: time.Duration(body.MaxWaitMS) * time.Millisecond}
	for _, t := range tasks {
		if body.AllOrNone {
			t.MaxWaitMS, t.WaitForWorkers = 0, false // they stand beside the tasks
		}
		body.Tasks = append(body.Tasks, batchTask{t, t.Key})
		k.safe = k.safe && t.Key != ""
	}
	k.body = body
	var answer results
	if err := c.do(ctx, k, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(tasks) {
		return nil, fmt.Errorf("httpapi: %s %s: %d tasks were answered by %d results", k.method, k.path, len(tasks), len(answer.Results))
	}
	all := make([]Result, len(tasks))
	for i := range answer.Results {
		r := &answer.Results[i]
		if r.Error == "" && r.Reason == "" {
			all[i].Placement = &r.Placement
			continue
		}
		all[i].Err = &StatusError{Method: k.method, Path: k.path, Status: statusOf(r.Reason), Text: r.Error, Message: r.Error, Detail: r.Detail, Reason: r.Reason}
	}
	return all, nil
}

// statusOf returns the status that a single request would have been refused
// with.
func statusOf(reason string) int {
	switch reason {
	case wire.CodeBadRequest.String():
		return http.StatusBadRequest
	case wire.CodeConflict.String():
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}
