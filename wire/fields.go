package wire

import (
	"reflect"
	"strings"
)

// fields describes a message, record or row: its values in the order of the
// wire. They follow from the tags of its struct, such as
//
//	On    bool `wire:"on bool"`
//	Drain bool `wire:"drain bool?"`
//
// with the name of docs/protocol.md, a rule, and "?" where the value may be
// missing. Readers, writers, errors and the tests of the document use them.
type fields struct {
	list     []field
	required int // how many of them must be there
}

// field is one value of a message.
type field struct {
	name     string
	word     string // names the rule
	index    []int  // of the struct's field that holds the value
	optional bool
	parts    fields // of a struct, or of the structs in a list
	rule
}

// describe returns the fields of a struct.
func describe[T any]() fields { return fieldsOf(reflect.TypeFor[T]()) }

// fieldsOf is describe. The tag "inline" stands for the fields of a struct
// inside; a struct's field without a tag is not sent.
func fieldsOf(t reflect.Type) (all fields) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("wire")
		if tag == "inline" {
			for _, inner := range fieldsOf(f.Type).list {
				inner.index = append([]int{i}, inner.index...)
				all.add(inner)
			}
			continue
		}
		for spec := range strings.SplitSeq(tag, ";") {
			if name, word, tagged := strings.Cut(strings.TrimSpace(spec), " "); tagged {
				word, optional := strings.CutSuffix(word, "?")
				all.add(field{name, word, []int{i}, optional, partsOf(f.Type), rules[word]})
			}
		}
	}
	return all
}

func (f *fields) add(one field) {
	f.list = append(f.list, one)
	if !one.optional {
		f.required++
	}
}

// partsOf returns the fields of a value that has some of its own.
func partsOf(t reflect.Type) fields {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return fields{}
	}
	return fieldsOf(t)
}
