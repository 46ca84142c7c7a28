package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

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
