package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// amounts are resources in a body: names to amounts of the protocol, or to
// texts with units, which are rounded up.
type amounts struct {
	list  map[string]int64
	fault *wire.Error // the first value that is no amount, by name
}

// UnmarshalJSON implements json.Unmarshaler. What is no amount is kept as a
// fault, so that the answer can name it.
func (a *amounts) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil || len(raw) == 0 {
		return err
	}
	a.list, a.fault = make(map[string]int64, len(raw)), nil
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		amount, fault := amountOf(name, raw[name])
		if a.list[name] = amount; a.fault == nil {
			a.fault = fault
		}
	}
	return nil
}

// amountOf reads one amount. A fault says that it is none; numbers that are out
// of their range are none for fault of taskRequest to find.
func amountOf(name string, raw json.RawMessage) (amount int64, fault *wire.Error) {
	if raw[0] != '"' {
		if json.Unmarshal(raw, &amount) != nil {
			return 0, badAmount(name, shown(raw))
		}
		return amount, nil
	}
	var text string
	_ = json.Unmarshal(raw, &text) // it is a text
	amount, err := capacity.Parse(name, text, capacity.Up)
	if err == nil {
		return amount, nil
	}
	fault = &wire.Error{Code: wire.CodeBadRequest, Field: "resources", Message: err.Error()}
	var e *capacity.Error
	if errors.As(err, &e) {
		fault.Limit = uint64(e.Limit)
	}
	return 0, fault
}

// badAmount says that a resource has what is no amount.
func badAmount(name, what string) *wire.Error {
	return badField("resources", fmt.Sprintf("hold %s: %s, which is no integer in 0..%d and no text with a unit", clipped(name), what, int64(wire.MaxAmount)), wire.MaxAmount)
}

// choiceFault returns what is wrong with the choice of a worker, or nil. The core
// checks whether a selector can be read and a policy is known.
func (q *taskRequest) choiceFault() *wire.Error {
	for _, f := range []struct {
		name, value string
		most        int
	}{{"selector", q.Selector, wire.MaxSelector}, {"prefer", q.Prefer, wire.MaxSelector}, {"spread_by", q.SpreadBy, wire.MaxTag}} {
		switch {
		case len(f.value) > f.most:
			return badField(f.name, "has too many bytes", f.most)
		case strings.ContainsFunc(f.value, unicode.IsControl):
			return badField(f.name, "holds control characters", 0)
		}
	}
	switch {
	case len(q.NotWorkers) > wire.MaxNotWorkers:
		return badField("not_workers", "holds too many values", wire.MaxNotWorkers)
	case slices.Contains(q.NotWorkers, ""):
		return badField("not_workers", "holds an empty id", 0)
	case q.Policy != "" && !wire.ValidID(q.Policy):
		return badField("policy", "is not an id", 0)
	}
	return nil
}

// preemptFault returns what is wrong with the keys of preemption, or nil. A task
// that preempts waits at least as long as its victims may take to end.
func (q *taskRequest) preemptFault(grace time.Duration) *wire.Error {
	switch on, known := wire.ParseOnPreempt(q.OnPreempt); {
	case !known:
		return badField("on_preempt", "is neither end nor never", 0)
	case on == wire.OnPreemptRequeue:
		return badField("on_preempt", "requeue is for clients of the native protocol: HTTP has no notices", 0)
	case q.Preempt && q.MaxWaitMS == 0:
		return badField("max_wait_ms", "is missing: a task that preempts waits for its victims to end", 0)
	case q.Preempt && q.MaxWaitMS < grace.Milliseconds():
		return badField("max_wait_ms", "is less than the grace of "+grace.String()+" of preempted tasks", int(grace.Milliseconds()))
	}
	return nil
}
