package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// changing calls visit for each path and method of the server, and for methods
// that nobody serves, but for those that change nothing.
func changing(visit func(method, path string)) int {
	n := 0
	for _, e := range gateway.Endpoints {
		for _, method := range []string{e.Method, http.MethodPut, http.MethodPatch, "NEW"} {
			if method != http.MethodGet {
				visit(method, strings.ReplaceAll(e.Path, "{id}", "w1"))
				n++
			}
		}
	}
	return n
}

// foreignHeaders are what requests of web pages have, and what each is refused
// with. A header Host replaces that of the request.
var foreignHeaders = []struct {
	name, value string
	status      int
}{
	{"Origin", "http://evil.example", http.StatusForbidden},
	{"Origin", "null", http.StatusForbidden},
	{"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
	{"Host", "evil.example", http.StatusForbidden},
	{"Host", "evil.example:8080", http.StatusForbidden},
	{"Content-Type", "text/plain", http.StatusUnsupportedMediaType},
	{"Content-Type", "multipart/form-data; boundary=x", http.StatusUnsupportedMediaType},
}

// callAs is call with one header of foreignHeaders.
func (f *fixture) callAs(method, path, body, name, value string) int {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+f.HTTPAddr()+path, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Header.Set(name, value)
	if name == "Host" {
		r.Host = value
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(f.t, err)
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}

// A web page can change nothing: no route and no method but GET reaches the core
// with what gives the request of a page away.
func TestWebPagesChangeNothing(t *testing.T) {
	f := start(t, func(c *Config) { c.Pprof = true })
	f.agent("w1", 2, "cpu")
	f.core.mu.Lock()
	f.core.before = func(m wire.Message) { t.Errorf("a request reached the core: %T", m) }
	f.core.mu.Unlock()
	for _, h := range foreignHeaders {
		n := changing(func(method, path string) {
			require.Equal(t, h.status, f.callAs(method, path, "", h.name, h.value), "%s %s %s: %s", method, path, h.name, h.value)
		})
		require.Greater(t, n, len(gateway.Endpoints))
		require.Equal(t, h.status, f.callAs("POST", "/debug/pprof/symbol", "0", h.name, h.value))
		require.Equal(t, h.status, f.callAs("DELETE", "//api/v1/workers/a/b%2Fc/", "", h.name, h.value))
	}
	f.core.mu.Lock()
	f.core.before = nil
	f.core.mu.Unlock()
	require.Len(t, f.list(""), 1, "no heartbeat came in, and no worker went")
	require.Contains(t, f.log.String(), "a web page may have sent")
}

// What older programs send is taken, and what changes nothing is answered as it
// was.
func TestProgramsAreNoWebPages(t *testing.T) {
	f := start(t)
	f.agent("w1", 64, "cpu")
	for _, kind := range []string{"", "application/json", "application/x-www-form-urlencoded", "text/whatever"} {
		require.Equal(t, 200, f.callAs("POST", "/api/v1/schedule", `{"task_id":"t"}`, "Content-Type", kind), kind)
	}
	for _, h := range foreignHeaders {
		require.Equal(t, 200, f.callAs("GET", "/api/v1/workers", "", h.name, h.value))
	}
	require.Equal(t, 200, f.callAs("POST", "/api/v1/schedule", `{"task_id":"t"}`, "Host", "localhost"))
	loose := start(t, func(c *Config) { c.HTTPHosts, c.AnyContentType = []string{"dtask.example"}, true })
	loose.agent("w1", 64, "cpu")
	for _, h := range slices.Concat(foreignHeaders, []struct {
		name, value string
		status      int
	}{{"Host", "dtask.example", 200}}) {
		want := h.status
		if h.name == "Content-Type" {
			want = 200
		}
		require.Equal(t, want, loose.callAs("POST", "/api/v1/schedule", `{"task_id":"t"}`, h.name, h.value), h.value)
	}
}
