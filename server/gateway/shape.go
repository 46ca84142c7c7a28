package gateway

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// shape is what one part of the body of a request may be. It is read off the
// type that the part is decoded into.
type shape struct {
	kind  reflect.Type      // that it is decoded into
	keys  map[string]*shape // of an object that has them fixed, nil of everything else
	names []string          // these keys, in order
	items *shape            // of an array
}

var (
	shapes      sync.Map // by reflect.Type
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// shapeOf returns the shape of what is decoded into v.
func shapeOf(v any) *shape {
	t := reflect.TypeOf(v)
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := newShape(t)
	shapes.Store(t, s)
	return s
}

func newShape(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := &shape{kind: t}
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler): // it reads itself
	case t.Kind() == reflect.Struct:
		s.keys = map[string]*shape{}
		s.addKeys(t)
	case t.Kind() == reflect.Slice:
		s.items = newShape(t.Elem())
	}
	return s
}

// addKeys adds the keys of a struct, and of those that are embedded in it.
func (s *shape) addKeys(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			s.addKeys(f.Type)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		s.keys[name] = newShape(f.Type)
		s.names = append(s.names, name)
	}
}

// key returns the shape of a key, nil if there is none. Case does not matter, as
// in encoding/json.
func (s *shape) key(name string) *shape {
	if of := s.keys[name]; of != nil {
		return of
	}
	for _, known := range s.names {
		if strings.EqualFold(known, name) {
			return s.keys[known]
		}
	}
	return nil
}
