package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Place is one place of a body where a value may stand.
type Place struct {
	Field string   // such as tasks[0].priority
	Body  string   // with %s for the value
	Keys  []string // of the object that stands there, nil if it is none with keys of its own
	of    reflect.Type
}

// Places returns every place of a body that is decoded into v.
func Places(v any) []Place { return places("", "%s", reflect.TypeOf(v)) }

func places(field, body string, t reflect.Type) (all []Place) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	k := (&walk{seen: map[reflect.Type]*keys{}}).keysOf(t)
	if k == nil {
		k = new(keys)
	}
	all = append(all, Place{field, body, k.names, t})
	for i, name := range k.names {
		inner := strings.Replace(body, "%s", fmt.Sprintf(`{%q:%%s}`, name), 1)
		all = append(all, places(strings.TrimPrefix(field+"."+name, "."), inner, k.types[i])...)
	}
	if t.Kind() == reflect.Slice {
		all = append(all, places(field+"[0]", strings.Replace(body, "%s", "[%s]", 1), t.Elem())...)
	}
	return all
}

// Name is the key of the place.
func (p *Place) Name() string { return p.Field[strings.LastIndexByte(p.Field, '.')+1:] }

// Fits reports whether a value may stand there, as far as its type and range go.
func (p *Place) Fits(value string) bool {
	switch p.of.Kind() {
	case reflect.Int64:
		var n int64
		of, ok := spans[p.Name()]
		if !ok {
			of = span{math.MinInt64, math.MaxInt64}
		}
		return json.Unmarshal([]byte(value), &n) == nil && n >= of.least && n <= of.most
	case reflect.Struct:
		return value[0] == '{'
	}
	return json.Unmarshal([]byte(value), reflect.New(p.of).Interface()) == nil
}

// LimitOf returns the greatest number that a key may have.
func LimitOf(name string) (most int64, ok bool) {
	of, ok := spans[name]
	return of.most, ok
}
