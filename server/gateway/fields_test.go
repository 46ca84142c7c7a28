package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/server/gateway"
)

const jsonAccept = "application/json"

// fixture is a running server on free ports.
type fixture struct {
	*server.Server
	t *testing.T
}

func start(t *testing.T) *fixture {
	t.Helper()
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Sched.Learning = "127.0.0.1:0", "127.0.0.1:0", false
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	return &fixture{s, t}
}

type answer struct {
	status int
	body   string
}

// call makes one HTTP request.
func (f *fixture) call(method, path, body string, header ...string) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.HTTPAddr()+path, strings.NewReader(body))
	require.NoError(f.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(f.t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	require.NoError(f.t, err)
	return answer{res.StatusCode, string(b)}
}

// beat sends one heartbeat.
func (f *fixture) beat(id string, slots int) {
	f.t.Helper()
	require.Equal(f.t, 200, f.call("POST", "/api/v1/heartbeat", fmt.Sprintf(`{"worker_id":%q,"address":"h:1","max_tasks":%d}`, id, slots)).status)
}

// workers returns how many workers are listed.
func (f *fixture) workers() int {
	f.t.Helper()
	return bytes.Count([]byte(f.call("GET", "/api/v1/workers", "").body), []byte(`"WorkerID"`))
}

// wrong are values of all types, and numbers that are none of the API.
var wrong = []string{`5`, `-1`, `1.0`, `1.5`, `1e3`, `9007199254740993`, `99999999999999999999`, `1e400`, `true`, `"x"`, `"5"`, `{}`, `[]`, `{"a":[{"b":"]}\""}]}`}

// Every field of every body that has a value of a wrong type, or a number out of
// its range, is named, with its limit.
func TestEveryWrongFieldIsNamed(t *testing.T) {
	f := start(t)
	f.beat("w1", 1)
	n := 0
	for _, e := range gateway.Endpoints {
		if e.Method != http.MethodPost {
			continue
		}
		require.NotNil(t, e.Body, e.Path)
		path := strings.ReplaceAll(e.Path, "{id}", "w1")
		for _, p := range gateway.Places(e.Body)[1:] {
			name := p.Name()
			for _, value := range wrong {
				if p.Fits(value) {
					continue
				}
				n++
				body := fmt.Sprintf(p.Body, value)
				if rest, ok := strings.CutPrefix(body, "{"); ok && e.Path == gateway.Prefix+"schedule" && name != "task_id" {
					body = `{"task_id":"t",` + rest
				} else if e.Path == gateway.Prefix+"schedule/batch" && !strings.HasPrefix(p.Field, "tasks") {
					body = `{"tasks":[{"task_id":"t"}],` + rest
				} else if e.Path == gateway.Prefix+"heartbeat" && name != "worker_id" {
					body = `{"worker_id":"w",` + rest
				}
				f.wrongField(path, body, p.Field, name)
			}
		}
	}
	require.Greater(t, n, 300)
	require.Equal(t, 1, f.workers(), "nothing was done")
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
	if most, ok := gateway.LimitOf(name); ok {
		require.Equal(f.t, most, got.Limit, "%s: %s", body, a.body)
	}
	text := f.call("POST", path, body)
	require.Equal(f.t, 400, text.status)
	require.Contains(f.t, text.body, name, "text names it, too")
}

// Every key that no body has is told of, with the nearest one that it has, and
// refused on request.
func TestEveryUnknownKeyIsToldOf(t *testing.T) {
	f := start(t)
	f.beat("w1", 1_000)
	for _, e := range gateway.Endpoints {
		if e.Body == nil {
			continue
		}
		path := strings.ReplaceAll(e.Path, "{id}", "w1")
		for _, p := range gateway.Places(e.Body) {
			if p.Keys == nil {
				continue
			}
			near := p.Keys[0]
			odd := near[1:]
			text := fmt.Sprintf(p.Body, fmt.Sprintf(`{"%s":{"x":[1,"]"]}}`, odd))
			where := strings.TrimPrefix(p.Field+"."+odd, ".")
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
	require.Equal(t, 1, f.workers(), "nothing was done")
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

	many := make([]string, gateway.MaxUnknown+3)
	for i := range many {
		many[i] = fmt.Sprintf(`"%s-%d":{}`, strings.Repeat("é\\n", 40), i)
	}
	list := warned(f.call("POST", "/api/v1/queue/cancel", "{"+strings.Join(many, ",")+"}"), 400)
	require.Len(t, list, gateway.MaxUnknown+1)
	require.Equal(t, "3 more unknown keys", list[gateway.MaxUnknown])
	require.Less(t, len(list[0]), 2*gateway.MaxKeyText)
}
