package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/dtask/dtask-scheduler/spell"
	"github.com/dtask/dtask-scheduler/wire"
)

// walk goes through the body of a request beside its shape. The body must be
// valid JSON.
type walk struct {
	body  []byte
	dec   *json.Decoder // of body
	path  []step
	check bool        // look for values of a wrong type, else for unknown keys
	fault *wire.Error // the first value of a wrong type

	unknown []unknownKey // the first of them
	more    int          // how many more there are
}

// step is one part of the way to a value: a key, or a place in an array.
type step struct {
	key   string
	index int // -1: a key
}

// unknownKey is a key that no request has at its place.
type unknownKey struct {
	path, near string // near is what may have been meant
}

// Bounds of what is told of unknown keys.
const (
	MaxUnknown = 16 // that are named
	MaxKeyText = 64 // bytes of one
)

// unknownKeys returns the keys of a body that encoding/json has decoded and that
// its shape does not have, and how many more there are.
func unknownKeys(body []byte, s *shape) ([]unknownKey, int) {
	w := walk{body: body, dec: json.NewDecoder(bytes.NewReader(body))}
	w.value(s)
	return w.unknown, w.more
}

// typeFault names the first value of a body that is not of the type of its
// shape, nil if there is none.
func typeFault(body []byte, s *shape) *wire.Error {
	w := walk{body: body, dec: json.NewDecoder(bytes.NewReader(body)), check: true}
	w.value(s)
	return w.fault
}

// value goes through one value; s is nil if it may be anything.
func (w *walk) value(s *shape) {
	next := bytes.TrimLeft(w.body[w.dec.InputOffset():], " \t\r\n:,")[0]
	switch {
	case next == '{' && s != nil && s.keys != nil:
		w.each(func() {
			name, _ := w.token().(string)
			of := s.key(name)
			w.path = append(w.path, step{name, -1})
			if of == nil && !w.check {
				w.report(s)
			}
			w.value(of)
			w.path = w.path[:len(w.path)-1]
		})
	case next == '[' && s != nil && s.items != nil:
		w.path = append(w.path, step{})
		w.each(func() {
			w.value(s.items)
			w.path[len(w.path)-1].index++
		})
		w.path = w.path[:len(w.path)-1]
	default:
		var raw json.RawMessage
		_ = w.dec.Decode(&raw)
		if w.check && s != nil && w.fault == nil {
			w.test(s, raw)
		}
	}
}

// each calls visit for each part of an object or array.
func (w *walk) each(visit func()) {
	for w.token(); w.dec.More(); {
		visit()
	}
	w.token()
}

func (w *walk) token() json.Token {
	t, _ := w.dec.Token() // the body is valid JSON
	return t
}

// report notes that the key at the present place is not one of s.
func (w *walk) report(s *shape) {
	if len(w.unknown) == MaxUnknown {
		w.more++
		return
	}
	key := w.path[len(w.path)-1].key
	w.unknown = append(w.unknown, unknownKey{clipped(w.where()), spell.Nearest(key, s.names)})
}

// clipped bounds what is shown of a text that came in a request.
func clipped(s string) string {
	if len(s) <= MaxKeyText {
		return s
	}
	return s[:MaxKeyText] + "..."
}

// where names the present place, such as tasks[3].priority.
func (w *walk) where() string {
	var b []byte
	for i, p := range w.path {
		switch {
		case p.index >= 0:
			b = strconv.AppendInt(append(b, '['), int64(p.index), 10)
			b = append(b, ']')
		case i > 0:
			b = append(append(b, '.'), p.key...)
		default:
			b = append(b, p.key...)
		}
	}
	return string(b)
}

// test notes a value of a wrong type.
func (w *walk) test(s *shape, raw []byte) {
	if json.Unmarshal(raw, reflect.New(s.kind).Interface()) == nil {
		return
	}
	name := ""
	for _, p := range w.path {
		if p.index < 0 {
			name = p.key
		}
	}
	what, limit := s.wanted(name)
	field := clipped(w.where())
	w.fault = &wire.Error{Code: wire.CodeBadRequest, Field: field, Limit: limit, Message: fmt.Sprintf("%s must be %s, not %s", field, what, shown(raw))}
}

// wanted says what a value of the key must be, and its limit if it has one.
func (s *shape) wanted(name string) (what string, limit uint64) {
	switch s.kind.Kind() {
	case reflect.String:
		return "a text", 0
	case reflect.Bool:
		return "true or false", 0
	case reflect.Int64:
		if of, ok := spans[name]; ok {
			return of.String(), uint64(of.most)
		}
		return "an integer of 64 bits", 0
	case reflect.Float64:
		return "a number", 0
	case reflect.Slice:
		return "an array", 0
	}
	return "an object", 0
}

// shown says what a value is.
func shown(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a text"
	}
	return clipped(string(raw))
}

// MaxWaitMS is how long a request may wait for room, in milliseconds.
const MaxWaitMS = 60_000

// span is the range of a number.
type span struct {
	least, most int64
}

func (s span) String() string { return fmt.Sprintf("an integer in %d..%d", s.least, s.most) }

// spans are the ranges of the numbers in requests, by their keys.
var spans = map[string]span{
	"priority":      {-wire.MaxPriority, wire.MaxPriority},
	"ttl_ms":        {0, wire.MaxTTL},
	"max_wait_ms":   {0, MaxWaitMS},
	"deadline_ms":   {1, wire.MaxDrain},
	"max_tasks":     {0, wire.MaxSlots},
	"current_tasks": {0, wire.MaxSlots},
}

// outside returns what is wrong with a number, nil if it lies in its range.
func outside(key string, n int64) *wire.Error {
	s := spans[key]
	if n >= s.least && n <= s.most {
		return nil
	}
	return &wire.Error{Code: wire.CodeBadRequest, Field: key, Limit: uint64(s.most), Message: fmt.Sprintf("%s must be %v, not %d", key, s, n)}
}
