package server

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// node is a part of the document.
type node = map[string]any

// document is docs/openapi.yaml.
type document struct {
	t    *testing.T
	root node
}

func readDocument(t *testing.T) *document {
	t.Helper()
	raw, err := os.ReadFile("../docs/openapi.yaml")
	require.NoError(t, err)
	d := &document{t: t}
	require.NoError(t, yaml.Unmarshal(raw, &d.root))
	return d
}

// at follows keys, and the references on the way.
func (d *document) at(n node, keys ...string) node {
	d.t.Helper()
	for _, key := range append(keys, "") {
		for ref, ok := n["$ref"].(string); ok; ref, ok = n["$ref"].(string) {
			n = d.at(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
		if key == "" {
			break
		}
		next, ok := n[key].(node)
		require.True(d.t, ok, "%s in %v", key, keys)
		n = next
	}
	return n
}

// operations calls visit for each path and method, in order.
func (d *document) operations(visit func(path, method string, op node)) {
	paths := d.at(d.root, "paths")
	var all []string
	for path := range paths {
		for method := range d.at(paths, path) {
			if method != "parameters" {
				all = append(all, path+" "+method)
			}
		}
	}
	slices.Sort(all)
	for _, one := range all {
		path, method, _ := strings.Cut(one, " ")
		visit(path, strings.ToUpper(method), d.at(paths, path, method))
	}
}

func TestOpenAPIHasEveryEndpointAndNoOther(t *testing.T) {
	var described, served []string
	readDocument(t).operations(func(path, method string, op node) {
		described = append(described, path+" "+method)
		require.NotEmpty(t, op["summary"], path)
	})
	for _, e := range gateway.Endpoints {
		served = append(served, e.Path+" "+e.Method)
	}
	require.ElementsMatch(t, served, described)
}

// The keys of every body and every answer are those of the document.
func TestOpenAPIHasEveryKeyAndNoOther(t *testing.T) {
	d := readDocument(t)
	for _, e := range gateway.Endpoints {
		op := d.at(d.root, "paths", e.Path, strings.ToLower(e.Method))
		if e.Body != nil {
			d.agrees(e.Path, d.at(op, "requestBody", "content", "application/json", "schema"), reflect.TypeOf(e.Body))
		}
		if e.Answer != nil {
			d.agrees(e.Path, d.at(op, "responses", "200", "content", "application/json", "schema"), reflect.TypeOf(e.Answer))
		}
	}
}

// agrees compares a schema with what encoding/json makes of a type.
func (d *document) agrees(where string, schema node, of reflect.Type) {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	schema = d.at(schema)
	if parts, ok := schema["allOf"].([]any); ok {
		schema = d.joined(parts)
	}
	switch of.Kind() {
	case reflect.Slice:
		if schema["type"] == "array" {
			d.agrees(where+"[]", d.at(schema, "items"), of.Elem())
		}
	case reflect.Struct:
		properties, fixed := schema["properties"].(node)
		if !fixed || reflect.PointerTo(of).Implements(reflect.TypeFor[json.Unmarshaler]()) || reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return
		}
		var keys []string
		for _, f := range reflect.VisibleFields(of) {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if key = cmp.Or(key, f.Name); !f.Anonymous && f.IsExported() && !slices.Contains(keys, key) {
				keys = append(keys, key)
				require.Contains(d.t, properties, key, where)
				d.agrees(where+"."+key, d.at(properties, key), f.Type)
			}
		}
		require.ElementsMatch(d.t, slices.Collect(maps.Keys(properties)), keys, where)
	}
}

// storied is a server where every list has something to show.
func storied(t *testing.T) *fixture {
	f := start(t)
	spare := gpus("w3", "gpu", "zone=a", "cuda=12.4")
	f.equipped(spare)
	held := gpus("w2", "gpu")
	held.Slots = 3
	a := f.equipped(held)
	f.post("/api/v1/workers/w3/cordon", "")
	c := f.dial("c1")
	c.ask(1, &wire.Release{Lease: placed(t, c.ask(1, task("t1"))).Lease})
	p := placed(t, c.ask(1, task("t2")))
	a.send(2, &wire.Begun{Handle: a.handle, Seq: 2, Record: wire.Record{Lease: p.Lease, Task: []byte("t2"), Client: []byte("c1")}})
	p = placed(t, c.ask(1, task("t3")))
	require.IsType(t, &wire.Released{}, c.ask(1, &wire.Release{Lease: p.Lease, Handed: true}))
	f.beat("w1", 30, 4, "gpu")
	require.IsType(t, &wire.Placed{}, c.ask(1, &wire.Schedule{Task: []byte("t4"), Resources: wire.AppendResources(nil, map[string]int64{"gpu": 1})}))
	c.send(1, waits(&wire.Schedule{Task: []byte("t5"), Selector: []byte("!zone"), Resources: wire.AppendResources(nil, map[string]int64{"gpu": 2})}, 60_000))
	c.alive()
	f.post("/api/v1/workers/w3/uncordon", "")
	f.post("/api/v1/workers/w2/cordon", `{"reason":"r","by":"b"}`)
	return f
}

// Every operation is asked with its own example, and its answer compared with
// its schema.
func TestOpenAPIAgreesWithTheServer(t *testing.T) {
	d := readDocument(t)
	d.operations(func(path, method string, op node) {
		t.Run(method+path, func(t *testing.T) {
			d := &document{t: t, root: d.root}
			f := storied(t)
			var h wire.Handover
			require.NoError(t, json.Unmarshal([]byte(f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`).body), &h))
			body := ""
			if op["requestBody"] != nil {
				content := d.at(op, "requestBody", "content", "application/json")
				example, err := json.Marshal(content["example"])
				require.NoError(t, err)
				body = strings.ReplaceAll(string(example), "{lease}", h.Lease.String())
				d.check("example", d.at(content, "schema"), decode(t, body))
			}
			a := f.call(method, strings.ReplaceAll(path, "{id}", "w2"), body)
			require.Equal(t, 200, a.status, a.body)
			kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
			schema := d.at(op, "responses", "200", "content", kind, "schema")
			if kind == "text/plain" {
				return
			}
			require.Equal(t, "application/json", kind)
			d.check("answer", schema, decode(t, a.body))
		})
	})
}

// The answers that are refusals have the keys of the schema Error.
func TestOpenAPIErrors(t *testing.T) {
	d := readDocument(t)
	schema := d.at(d.root, "components", "schemas", "Error")
	f := start(t)
	for _, c := range [][3]string{
		{"POST", "/api/v1/schedule", `{"task_id":"t"}`}, {"POST", "/api/v1/schedule", `{}`}, {"POST", "/api/v1/schedule", `[]`},
		{"GET", "/api/v1/schedule", ""}, {"GET", "/api/v1/workers/x", ""}, {"POST", "/api/v1/workers/x/cordon", ""},
		{"GET", "/api/v1/leases?limit=x", ""}, {"POST", "/api/v1/renew", `{"lease_id":"1-1-1"}`}, {"GET", "/nowhere", ""},
	} {
		a := f.call(c[0], c[1], c[2], "Accept", jsonAccept)
		require.GreaterOrEqual(t, a.status, 400)
		d.check(c[0]+c[1], schema, decode(t, a.body))
	}
}

func decode(t *testing.T, body string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	return v
}

// check fails unless v agrees with a schema: no key of an object may be
// unknown, and none that is required may be missing.
func (d *document) check(where string, schema node, v any) {
	d.t.Helper()
	require.NoError(d.t, d.fault(where, schema, v))
}

// fault says where v does not agree with a schema.
func (d *document) fault(where string, schema node, v any) error {
	schema = d.at(schema)
	if choices, ok := schema["oneOf"].([]any); ok {
		return d.oneOf(where, choices, v)
	}
	if parts, ok := schema["allOf"].([]any); ok {
		return d.faultOfObject(where, d.joined(parts), v)
	}
	if allowed, ok := schema["enum"].([]any); ok && !slices.Contains(allowed, v) {
		return fmt.Errorf("%s: %v is none of %v", where, v, allowed)
	}
	switch kind := schema["type"]; kind {
	case "object":
		return d.faultOfObject(where, schema, v)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %v is no array", where, v)
		}
		for i, item := range list {
			if err := d.fault(fmt.Sprintf("%s[%d]", where, i), d.at(schema, "items"), item); err != nil {
				return err
			}
		}
		return nil
	default:
		if !isA(kind, schema["format"], v) {
			return fmt.Errorf("%s: %v is no %v", where, v, kind)
		}
		return nil
	}
}

func (d *document) oneOf(where string, choices []any, v any) error {
	var err error
	for _, c := range choices {
		if err = d.fault(where, c.(node), v); err == nil {
			return nil
		}
	}
	return err
}

// joined returns the object that has the properties of all parts.
func (d *document) joined(parts []any) node {
	properties, required := node{}, []any{}
	for _, p := range parts {
		part := d.at(p.(node))
		for name, schema := range d.at(part, "properties") {
			properties[name] = schema
		}
		if more, ok := part["required"].([]any); ok {
			required = append(required, more...)
		}
	}
	return node{"type": "object", "properties": properties, "required": required}
}

func (d *document) faultOfObject(where string, schema node, v any) error {
	object, ok := v.(node)
	if !ok {
		return fmt.Errorf("%s: %v is no object", where, v)
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := object[name.(string)]; !ok {
			return fmt.Errorf("%s: %v is missing", where, name)
		}
	}
	properties, _ := schema["properties"].(node)
	for name, value := range object {
		of, ok := properties[name].(node)
		if !ok {
			of, ok = schema["additionalProperties"].(node)
		}
		if !ok {
			return fmt.Errorf("%s: %s is not described", where, name)
		}
		if err := d.fault(where+"."+name, of, value); err != nil {
			return err
		}
	}
	return nil
}

// isA reports whether a value of JSON is of a simple type.
func isA(kind, format, v any) bool {
	switch kind {
	case "string":
		s, ok := v.(string)
		if ok && format == "date-time" {
			_, err := time.Parse(time.RFC3339, s)
			return err == nil
		}
		return ok
	case "integer":
		n, ok := v.(float64)
		return ok && n == math.Trunc(n)
	case "number":
		_, ok := v.(float64)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	}
	return false
}
