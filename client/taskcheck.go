package client

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// Check returns what Schedule and its like refuse before they ask: an
// ErrBadRequest whose *wire.Error names the field and the limit, for an
// expression with a *selector.Error that names the column.
func (t *Task) Check() error {
	switch {
	case !wire.ValidID(t.ID):
		return badField("task", fmt.Sprintf("the task id %.150q is not 1 to %d bytes of [A-Za-z0-9._:@/-]", t.ID, wire.MaxID))
	case t.Owner != "" && !wire.ValidID(t.Owner):
		return badField("owner", fmt.Sprintf("the owner %.150q is not at most %d bytes of [A-Za-z0-9._:@/-]", t.Owner, wire.MaxID))
	case t.Group != "" && !wire.ValidID(t.Group):
		return badField("group", fmt.Sprintf("the group %.150q is not at most %d bytes of [A-Za-z0-9._:@/-]", t.Group, wire.MaxID))
	case len(t.Tags) > wire.MaxTaskTags:
		return badLimit("tags", wire.MaxTaskTags, fmt.Sprintf("%d tags are more than %d", len(t.Tags), wire.MaxTaskTags))
	case slices.ContainsFunc(t.Tags, func(tag string) bool { return !validTag(tag) }):
		return badLimit("tags", wire.MaxTag, fmt.Sprintf("a tag is not 1 to %d bytes of UTF-8 without control characters", wire.MaxTag))
	case t.Priority < -wire.MaxPriority || t.Priority > wire.MaxPriority:
		return badLimit("priority", wire.MaxPriority, fmt.Sprintf("the priority %d is not in [-%d, %d]", t.Priority, wire.MaxPriority, wire.MaxPriority))
	case t.StartWithin < 0:
		return badField("start_within", fmt.Sprintf("start_within: %v is negative", t.StartWithin))
	case t.TTL < 0 || t.TTL.Milliseconds() > wire.MaxTTL:
		return badLimit("ttl_ms", wire.MaxTTL, fmt.Sprintf("the ttl %v is not in [0, 24h]", t.TTL))
	}
	if err := t.checkChoice(); err != nil {
		return err
	}
	if err := t.checkWait(); err != nil {
		return err
	}
	if err := t.checkPreempt(); err != nil {
		return err
	}
	return t.checkResources()
}

func (t *Task) checkResources() error {
	if len(t.Resources) > wire.MaxResources {
		return badLimit("resources", wire.MaxResources, fmt.Sprintf("resources: %d names are more than %d", len(t.Resources), wire.MaxResources))
	}
	for name, amount := range t.Resources {
		switch {
		case !wire.ValidID(name):
			return badLimit("resources", wire.MaxID, fmt.Sprintf("resources: the name %.150q is not 1 to %d bytes of [A-Za-z0-9._:@/-]", name, wire.MaxID))
		case amount < 0 || amount > wire.MaxAmount:
			return badLimit("resources", wire.MaxAmount, fmt.Sprintf("resources: %d of %s is not in [0, %d]", amount, name, int64(wire.MaxAmount)))
		case name == capacity.GPU && amount > wire.MaxDevices:
			return badLimit("resources", wire.MaxDevices, fmt.Sprintf("resources: %d GPU devices are more than the %d that a worker can have", amount, wire.MaxDevices))
		}
	}
	return nil
}

func badField(field, message string) error {
	return refused("schedule", &wire.Error{Code: wire.CodeBadRequest, Field: field, Message: message})
}

func badLimit(field string, limit uint64, message string) error {
	return refused("schedule", &wire.Error{Code: wire.CodeBadRequest, Field: field, Limit: limit, Message: message})
}

// validTag reports whether a tag is one that the protocol carries.
func validTag(tag string) bool {
	return tag != "" && len(tag) <= wire.MaxTag && utf8.ValidString(tag) && strings.IndexFunc(tag, unicode.IsControl) < 0
}

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

// checkWait checks Task.Wait.
func (t *Task) checkWait() error {
	if t.Wait < 0 || t.Wait > wire.MaxWait*time.Millisecond {
		return badLimit("wait_ms", wire.MaxWait, fmt.Sprintf("the wait %v is not in [0, 24h]", t.Wait))
	}
	if t.WaitForWorkers && t.Wait == 0 {
		return badField("wait_for_workers", "wait_for_workers: the task has no Wait")
	}
	return nil
}

// checkPreempt checks what a task says of preemption.
func (t *Task) checkPreempt() error {
	switch {
	case t.OnPreempt > OnPreemptNever:
		return badField("on_preempt", fmt.Sprintf("on_preempt: %v is none of default, end, requeue and never", t.OnPreempt))
	case t.Preempt && t.Policy == Spread:
		return badField("preempt", "preempt does not go with the policy spread, which does not wait")
	case t.OnPreempt == OnPreemptRequeue && t.Policy == Spread:
		return badField("on_preempt", "on_preempt: requeue does not go with the policy spread, which does not wait")
	case t.Preempt && t.Wait == 0:
		return badField("wait_ms", "the wait is missing: a task that preempts waits for its victims to end")
	}
	return nil
}

// checkGang checks what a task of a gang may not ask for.
func (t *Task) checkGang() error {
	switch {
	case t.Preempt:
		return badField("preempt", "preempt is not for gangs")
	case t.OnPreempt == OnPreemptRequeue:
		return badField("on_preempt", "on_preempt: requeue is not for gangs")
	}
	return nil
}
