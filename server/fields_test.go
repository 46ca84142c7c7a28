package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// bodies are what the paths with a body read theirs into.
var bodies = map[string]any{
	apiPrefix + "heartbeat":      &heartbeatRequest{},
	apiPrefix + "schedule":       &scheduleRequest{},
	apiPrefix + "schedule/batch": &batchRequest{},
	apiPrefix + "renew":          &leaseRequest{},
	apiPrefix + "release":        &leaseRequest{},
	workerPath + "/cordon":       &cordonRequest{},
	workerPath + "/drain":        &cordonRequest{},
	workerPath + "/uncordon":     &cordonRequest{},
	apiPrefix + "queue/cancel":   &cancelRequest{},
}

// place is one place of a body where a value may stand.
type place struct {
	field string // such as tasks[0].priority
	shape *shape
	body  string // with %s for the value
}

// places returns every place of a body, and that of an unknown key beside each.
func places(field, body string, s *shape) (all []place) {
	all = append(all, place{field, s, body})
	for _, name := range s.names {
		inner := strings.Replace(body, "%s", fmt.Sprintf(`{%q:%%s}`, name), 1)
		all = append(all, places(strings.TrimPrefix(field+"."+name, "."), inner, s.keys[name])...)
	}
	if s.items != nil {
		all = append(all, places(field+"[0]", strings.Replace(body, "%s", "[%s]", 1), s.items)...)
	}
	return all
}

// wrong are values of all types, and numbers that are none of the API.
var wrong = []string{`5`, `-1`, `1.0`, `1.5`, `1e3`, `9007199254740993`, `99999999999999999999`, `1e400`, `true`, `"x"`, `"5"`, `{}`, `[]`, `{"a":[{"b":"]}\""}]}`}

// fits reports whether a value may stand at a place, as far as its type and
// range go.
func fits(s *shape, name, value string) bool {
	switch s.kind.Kind() {
	case reflect.Int64:
		var n int64
		of, ok := spans[name]
		if !ok {
			of = span{math.MinInt64, math.MaxInt64}
		}
		return json.Unmarshal([]byte(value), &n) == nil && n >= of.least && n <= of.most
	case reflect.Struct:
		return value[0] == '{'
	}
	return json.Unmarshal([]byte(value), reflect.New(s.kind).Interface()) == nil
}

// Every field of every body that has a value of a wrong type, or a number out of
// its range, is named, with its limit.
func TestEveryWrongFieldIsNamed(t *testing.T) {
	f := start(t)
	f.beat("w1", 1, 0)
	n := 0
	for endpoint, methods := range endpoints {
		if methods[http.MethodPost] == nil {
			continue
		}
		require.Contains(t, bodies, endpoint)
		path := strings.ReplaceAll(endpoint, "{id}", "w1")
		for _, p := range places("", "%s", shapeOf(bodies[endpoint]))[1:] {
			name := p.field[strings.LastIndexByte(p.field, '.')+1:]
			for _, value := range wrong {
				if fits(p.shape, name, value) {
					continue
				}
				n++
				body := fmt.Sprintf(p.body, value)
				if rest, ok := strings.CutPrefix(body, "{"); ok && endpoint == apiPrefix+"schedule" && name != "task_id" {
					body = `{"task_id":"t",` + rest
				} else if endpoint == apiPrefix+"schedule/batch" && !strings.HasPrefix(p.field, "tasks") {
					body = `{"tasks":[{"task_id":"t"}],` + rest
				} else if endpoint == apiPrefix+"heartbeat" && name != "worker_id" {
					body = `{"worker_id":"w",` + rest
				}
				f.wrongField(path, body, p.field, name)
			}
		}
	}
	require.Greater(t, n, 300)
	require.Len(t, f.list(""), 1, "nothing was done")
}

// wrongField expects that a field is named in the answer, or, where a task of a
// batch is judged for itself, in its result.
func (f *fixture) wrongField(path, body, field, name string) {
	f.t.Helper()
	a := f.call("POST", path, body, "Accept", jsonAccept)
	var got struct {
		Error, Reason, Field string
		Limit                int64
		Results              []struct {
			Error, Reason, Field string
			Limit                int64
		}
	}
	require.NoError(f.t, json.Unmarshal([]byte(a.body), &got), "%s: %s", body, a.body)
	if len(got.Results) == 1 {
		require.Equal(f.t, "bad_request", got.Results[0].Reason, body)
		return // its task_id is missing
	}
	require.Equal(f.t, 400, a.status, "%s: %s", body, a.body)
	require.Equal(f.t, []string{"bad_request", field}, []string{got.Reason, got.Field}, "%s: %s", body, a.body)
	require.Contains(f.t, got.Error, name)
	if of, ok := spans[name]; ok {
		require.Equal(f.t, of.most, got.Limit, "%s: %s", body, a.body)
	}
	text := f.call("POST", path, body)
	require.Equal(f.t, 400, text.status)
	require.Contains(f.t, text.body, name, "text names it, too")
}

// Every key that no body has is told of, with the nearest one that it has, and
// refused on request.
func TestEveryUnknownKeyIsToldOf(t *testing.T) {
	f := start(t)
	f.beat("w1", 1_000, 0)
	for endpoint, body := range bodies {
		path := strings.ReplaceAll(endpoint, "{id}", "w1")
		for _, p := range places("", "%s", shapeOf(body)) {
			if p.shape.keys == nil {
				continue
			}
			near := p.shape.names[0]
			odd := near[1:]
			text := fmt.Sprintf(p.body, fmt.Sprintf(`{"%s":{"x":[1,"]"]}}`, odd))
			where := strings.TrimPrefix(p.field+"."+odd, ".")
			want := "unknown key " + where + ", did you mean " + near + "?"
			a := f.call("POST", path, text, "Accept", jsonAccept)
			var got struct{ Warnings []string }
			require.NoError(t, json.Unmarshal([]byte(a.body), &got), a.body)
			require.Equal(t, []string{want}, got.Warnings, text)
			for _, strict := range []answer{f.call("POST", path, text, "DTask-Strict", "1"), f.call("POST", path+"?strict=true", text)} {
				require.Equal(t, 400, strict.status)
				require.Contains(t, strict.body, want)
				require.Contains(t, strict.body, fmt.Sprintf(`"field":%q`, where))
			}
		}
	}
	require.Len(t, f.list(""), 1, "nothing was done")
}

func TestWarningsComeWithEveryAnswer(t *testing.T) {
	f := start(t)
	warned := func(a answer, status int) []string {
		require.Equal(t, status, a.status, a.body)
		var got struct{ Warnings []string }
		require.NoError(t, json.Unmarshal([]byte(a.body), &got), a.body)
		return got.Warnings
	}
	beat := `{"worker_id":"w1","address":"h:1","max_tasks":9,"resource_tag":["gpu"],"TIMESTAMP":1,"Metrics":{"CPU_Usage":0.5}}`
	require.Equal(t, []string{"unknown key resource_tag, did you mean resource_tags?"}, warned(f.call("POST", "/api/v1/heartbeat", beat), 200))
	require.Equal(t, `{"status":"ok"}`+"\n", f.call("POST", "/api/v1/heartbeat", strings.Replace(beat, "resource_tag", "resource_tags", 1)).body, "nothing of it stays")
	require.Empty(t, warned(f.call("POST", "/api/v1/schedule", `{"task_id":"t","required_\u0074ags":["gpu"],"resources":{"any":0}}`), 200))
	require.Len(t, warned(f.call("POST", "/api/v1/schedule", `{"task_id":"t","requird_tags":["gpu"]}`), 200), 1)
	require.Len(t, warned(f.call("POST", "/api/v1/schedule", `{"task_id":"t","requird_tags":[],"required_tags":["no such"]}`), 503), 1)
	require.Len(t, warned(f.call("POST", "/api/v1/schedule", `{"requird_tags":[]}`), 400), 1)
	require.Equal(t, 200, f.call("POST", "/api/v1/schedule", `{"task_id":"t"}`, "DTask-Strict", "true").status)
	require.Equal(t, 200, f.call("POST", "/api/v1/heartbeat", beat, "DTask-Strict", "false").status)
	require.Contains(t, f.call("POST", "/api/v1/heartbeat", beat, "DTask-Strict", "yes").body, `"field":"DTask-Strict"`)

	many := make([]string, maxUnknown+3)
	for i := range many {
		many[i] = fmt.Sprintf(`"%s-%d":{}`, strings.Repeat("é\\n", 40), i)
	}
	list := warned(f.call("POST", "/api/v1/queue/cancel", "{"+strings.Join(many, ",")+"}"), 400)
	require.Len(t, list, maxUnknown+1)
	require.Equal(t, "3 more unknown keys", list[maxUnknown])
	require.Less(t, len(list[0]), 2*maxKeyText)
}

// parameters are those of the lists.
func parameters(t *testing.T, path string) (names []string) {
	d := readDocument(t)
	for _, p := range d.at(d.root, "paths", path, "get")["parameters"].([]any) {
		names = append(names, d.at(p.(node))["name"].(string))
	}
	return names
}

// Every list knows the parameters that are documented, tells of others, and names
// those that are wrong.
func TestEveryParameterIsKnownOrToldOf(t *testing.T) {
	f := start(t)
	for _, path := range lists() {
		names := parameters(t, path)
		for _, name := range names {
			odd := name + "s"
			a := f.call("GET", path+"?"+odd+"=1", "")
			require.Equal(t, 200, a.status)
			want := "unknown key " + odd + ", did you mean " + name + "?"
			if a.body[0] == '[' {
				require.Equal(t, want, a.header.Get("DTask-Warning"))
			} else {
				require.Contains(t, a.body, want)
			}
			require.Contains(t, f.call("GET", path+"?strict=true&"+odd+"=1", "").body, `"field":"`+odd+`"`)
			require.NotContains(t, f.call("GET", path+"?"+name+"=1", "").body, "unknown key")
		}
		for name, values := range map[string][]string{
			"limit": {"0", "-1", "1.0", "x", "99999999999999999999"}, "before": {"-1", "x"}, "count": {"1", "yes"}, "state": {"x"}, "after": {"-1", "x"}, "strict": {"maybe"},
		} {
			if !slices.Contains(append(names, "strict"), name) || name == "after" && slices.Contains([]string{apiPrefix + "workers", apiPrefix + "tags"}, path) {
				continue
			}
			for _, value := range values {
				a := f.call("GET", path+"?"+name+"="+value, "", "Accept", jsonAccept)
				require.Equal(t, 400, a.status, path+name+value)
				require.Contains(t, a.body, `"field":"`+name+`"`)
				require.Equal(t, 400, f.call("GET", path+"?"+name+"="+value, "").status)
			}
		}
	}
}

// The sentences and the scanner agree with encoding/json on bodies of all kinds.
func TestWalkFindsWhatEncodingJSONFinds(t *testing.T) {
	s := shapeOf(&batchRequest{})
	for _, body := range []string{
		` { } `, `{"tasks" : [ ] , "distinct":true}`, `{"tasks":[{"task_id":"a\\\"]}"},{"priority" : 1.0 }]}`, `{"tasks":[null,{"resources":{"\"":{"a":"}"}}}]}`,
		`{"":1}`, `{"a":{"b":[[[]]],"c":"\\"},"tasks":[[]]}`, "{\"tasks\":\n[\t{\"not_workers\":[\"a\",5]}]}",
	} {
		err := json.Unmarshal([]byte(body), new(batchRequest))
		fault := typeFault([]byte(body), s)
		require.Equal(t, err == nil, fault == nil, "%s: %v", body, err)
		unknownKeys([]byte(body), s)
	}
	fault := typeFault([]byte(`{"tasks":[{},{"not_workers":["a",5]}]}`), s)
	require.Equal(t, "tasks[1].not_workers[1]", fault.Field)
	require.Equal(t, []string{"all_or_none", "distinct", "max_wait_ms", "tasks", "wait_for_workers"}, slices.Sorted(maps.Keys(s.keys)))
	require.EqualValues(t, wire.MaxPriority, typeFault([]byte(`{"tasks":[{"priority":1.0}]}`), s).Limit)
}

func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"tasks":[{"task_id":"a","resources":{"cpu":"1"}},null],"x":[1,{"y":"\u0041"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		err := decodeObject(body, new(batchRequest))
		if !json.Valid(body) || err == errNotObject {
			return
		}
		unknownKeys(body, shapeOf(&batchRequest{}))
		require.Equal(t, err == nil, typeFault(body, shapeOf(&batchRequest{})) == nil, "%s: %v", body, err)
	})
}
