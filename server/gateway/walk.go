package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/spell"
	"github.com/dtask/dtask-scheduler/wire"
)

// walk goes through the body of a request beside the type that it is decoded
// into, and finds what encoding/json does not report.
type walk struct {
	body []byte
	dec  *json.Decoder // of body
	path []step
	seen map[reflect.Type]*keys

	fault   *wire.Error  // the first value of a wrong type
	unknown []unknownKey // the first of them
	more    int          // how many more there are
}

// keys are those of an object that has them fixed, in order.
type keys struct {
	names []string
	types []reflect.Type
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

// Bounds of the warnings of unknown keys.
const (
	MaxUnknown = 16 // that are named
	MaxKeyText = 64 // bytes of one
)

// walkOver goes through a body, which must be valid JSON.
func walkOver(body []byte, v any) *walk {
	w := &walk{body: body, dec: json.NewDecoder(bytes.NewReader(body)), seen: map[reflect.Type]*keys{}}
	w.value(reflect.TypeOf(v))
	return w
}

// keysOf returns the keys of a type, nil if it has none that are fixed.
func (w *walk) keysOf(t reflect.Type) *keys {
	k, known := w.seen[t]
	if known || t == nil || t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return k
	}
	k = new(keys)
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			k.names, k.types = append(k.names, name), append(k.types, f.Type)
		}
	}
	w.seen[t] = k
	return k
}

// find returns the type of a key, nil if there is none. Case does not matter, as
// in encoding/json.
func (k *keys) find(name string) reflect.Type {
	i := slices.Index(k.names, name)
	if i < 0 {
		i = slices.IndexFunc(k.names, func(known string) bool { return strings.EqualFold(known, name) })
	}
	if i < 0 {
		return nil
	}
	return k.types[i]
}

// value goes through one value of a type; nil is any.
func (w *walk) value(t reflect.Type) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	next := bytes.TrimLeft(w.body[w.dec.InputOffset():], " \t\r\n:,")[0]
	switch k := w.keysOf(t); {
	case next == '{' && k != nil:
		w.each(func() {
			name, _ := w.token().(string)
			of := k.find(name)
			w.path = append(w.path, step{name, -1})
			if of == nil {
				w.report(name, k.names)
			}
			w.value(of)
			w.path = w.path[:len(w.path)-1]
		})
	case next == '[' && t != nil && t.Kind() == reflect.Slice:
		w.path = append(w.path, step{})
		w.each(func() {
			w.value(t.Elem())
			w.path[len(w.path)-1].index++
		})
		w.path = w.path[:len(w.path)-1]
	default:
		var raw json.RawMessage
		_ = w.dec.Decode(&raw)
		if t != nil && w.fault == nil {
			w.test(t, raw)
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

// report notes that the key at the present place is none of those that are known.
func (w *walk) report(key string, known []string) {
	if len(w.unknown) == MaxUnknown {
		w.more++
		return
	}
	w.unknown = append(w.unknown, unknownKey{clipped(w.where()), spell.Nearest(key, known)})
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
func (w *walk) test(t reflect.Type, raw []byte) {
	if json.Unmarshal(raw, reflect.New(t).Interface()) == nil {
		return
	}
	name := ""
	for _, p := range w.path {
		if p.index < 0 {
			name = p.key
		}
	}
	what, limit := wanted(t.Kind(), name)
	field := clipped(w.where())
	w.fault = &wire.Error{Code: wire.CodeBadRequest, Field: field, Limit: limit, Message: fmt.Sprintf("%s must be %s, not %s", field, what, shown(raw))}
}

// wanted says what a value of the key must be, and its limit if it has one.
func wanted(kind reflect.Kind, name string) (what string, limit uint64) {
	switch kind {
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
