package client

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file is what a task says about the choice of its worker.

// Policy says which of the workers that fit is chosen.
type Policy string

// The policies.
const (
	LeastLoaded Policy = "least-loaded" // the one with the most room left, exactly
	Pack        Policy = "pack"         // the fullest: leaves machines empty for large tasks
	Spread      Policy = "spread"       // evenly over the values of SpreadBy, within one batch
)

// maxWorkerID bounds the ids of Task.NotWorkers, in bytes. Workers that speak
// HTTP choose theirs freely.
const maxWorkerID = 1024

// checkChoice checks what a task says about the choice of its worker. What a
// scheduler would refuse a whole batch for must be found here.
func (t *Task) checkChoice() error {
	if err := checkSelector("selector", t.Selector); err != nil {
		return err
	}
	if err := checkSelector("prefer", t.Prefer); err != nil {
		return err
	}
	switch {
	case len(t.NotWorkers) > wire.MaxNotWorkers:
		return badLimit("not_workers", wire.MaxNotWorkers, fmt.Sprintf("not_workers: %d workers are more than %d", len(t.NotWorkers), wire.MaxNotWorkers))
	case slices.ContainsFunc(t.NotWorkers, func(id string) bool { return id == "" || len(id) > maxWorkerID || !utf8.ValidString(id) }):
		return badLimit("not_workers", maxWorkerID, fmt.Sprintf("not_workers: an id is not 1 to %d bytes of UTF-8", maxWorkerID))
	}
	switch t.Policy {
	case "", LeastLoaded, Pack, Spread:
	default:
		return badField("policy", fmt.Sprintf("policy %.150q is not %s, %s or %s", t.Policy, LeastLoaded, Pack, Spread))
	}
	switch {
	case t.SpreadBy != "" && t.Policy != Spread:
		return badField("spread_by", fmt.Sprintf("spread_by goes with the policy %s alone", Spread))
	case t.SpreadBy == "" && t.Policy == Spread:
		return badField("spread_by", fmt.Sprintf("spread_by is missing: the policy %s needs a tag key", Spread))
	case t.SpreadBy != "" && !validTag(t.SpreadBy):
		return badLimit("spread_by", wire.MaxTag, fmt.Sprintf("spread_by is not 1 to %d bytes of UTF-8 without control characters", wire.MaxTag))
	}
	return nil
}

// checkSelector reads an expression. Its error names the column, and errors.As
// finds the *selector.Error in it.
func checkSelector(field, text string) error {
	_, err := readSelector("schedule", field, text)
	return err
}

// readSelector is checkSelector that returns the expression; what is asked for
// stands in the error.
func readSelector(what, field, text string) (*selector.Expr, error) {
	where, err := selector.Parse(text)
	if err == nil {
		return where, nil
	}
	e := err.(*selector.Error)
	bad := &wire.Error{Code: wire.CodeBadRequest, Field: field, Limit: uint64(e.Limit), Message: fmt.Sprintf("%s %.150q: %v", field, text, e)}
	return nil, &refusal{what: what, err: bad, cause: e}
}

// blanks makes one kind of all blanks that an expression may have: the protocol
// carries no others.
var blanks = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")

// packChoice writes what only some tasks say; it may allocate.
func (t *Task) packChoice(m *wire.Schedule) {
	m.Selector, m.Prefer, m.NotWorkers, m.Policy, m.SpreadBy = nil, nil, nil, nil, nil
	m.Exclusive = t.Exclusive
	for _, part := range [...]struct {
		to   *[]byte
		text string
	}{{&m.Selector, blanks.Replace(t.Selector)}, {&m.Prefer, blanks.Replace(t.Prefer)}, {&m.Policy, string(t.Policy)}, {&m.SpreadBy, t.SpreadBy}} {
		if part.text != "" {
			*part.to = []byte(part.text)
		}
	}
	if len(t.NotWorkers) > 0 {
		m.NotWorkers = wire.AppendWorkers(nil, t.NotWorkers)
	}
}

// choiceBytes is at least what packChoice adds to a request.
func (t *Task) choiceBytes() int {
	n := len(t.Selector) + len(t.Prefer) + len(t.Policy) + len(t.SpreadBy)
	for _, id := range t.NotWorkers {
		n += len(id) + 3
	}
	return n
}

// newer returns the first field of a task that an older scheduler would ignore,
// and the name among the limits of hello_ok that one which knows the field has;
// "" if there is none.
func (t *Task) newer() (field, limit string) {
	switch {
	case t.Preempt:
		return "preempt", graceLimit
	case t.OnPreempt != OnPreemptDefault:
		return "on_preempt", graceLimit
	case t.Selector != "":
		return "selector", "selector"
	case t.Prefer != "":
		return "prefer", "selector"
	case len(t.NotWorkers) > 0:
		return "not_workers", "not_workers"
	case t.Exclusive:
		return "exclusive", "selector"
	case t.Policy != "" && t.Policy != LeastLoaded:
		return "policy", "selector"
	case t.WaitForWorkers:
		return "wait_for_workers", "wait_for_workers"
	case t.Wait > 0:
		return "wait_ms", "wait_ms"
	}
	for _, amount := range t.Resources {
		if amount != 0 {
			return "resources", "devices" // it kept them with the lease, and took nothing
		}
	}
	return "", ""
}

// knows returns a *TooOldError if the scheduler would ignore a field of the task,
// and what is wrong if it waits too short a time for others to make room.
func (c *Conn) knows(t *Task) error {
	if field, limit := t.newer(); field != "" {
		if err := c.knowsField(field, limit); err != nil {
			return err
		}
	}
	return t.waitsOut(c.grace())
}

func (c *Conn) knowsField(field, limit string) error {
	if _, known := c.welcome.Limits[limit]; known {
		return nil
	}
	return &TooOldError{Field: field, Server: c.welcome.Server}
}
