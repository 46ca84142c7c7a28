package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	bothLengths = "POST /api/v1/heartbeat HTTP/1.%d\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"
	chunkedBeat = "POST /api/v1/heartbeat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n"
	oneBeat     = `{"worker_id":"w1","address":"h:1","max_tasks":3}`
)

// A request that says in two ways where it ends is refused, and nothing behind it
// is read: whoever stands before the scheduler may have seen another request.
func TestHTTPTwoLengthsAreRefused(t *testing.T) {
	f := start(t)
	for _, minor := range []int{0, 1} {
		got := f.raw(fmt.Sprintf(bothLengths, minor), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		require.True(t, strings.HasPrefix(got, fmt.Sprintf("HTTP/1.%d 400 ", minor)), got)
		require.Contains(t, got, "Connection: close")
		require.Equal(t, 1, strings.Count(got, "HTTP/1."), "one answer, and the end: %s", got)
	}
	got := f.raw(fmt.Sprintf(chunkedBeat, "Connection: close\r\n", len(oneBeat), oneBeat))
	require.True(t, strings.HasPrefix(got, "HTTP/1.1 200 "), got)
	require.Len(t, f.list(""), 1)
}

// Requests on one connection, one after the other, are each judged by their own
// head; a chunked one that came before the answer to the one ahead is refused,
// because its head was not seen.
func TestHTTPHeadsAreOfTheirOwnRequest(t *testing.T) {
	f := start(t)
	conn, err := net.Dial("tcp", f.HTTPAddr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	ask := func(text string) int {
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		return res.StatusCode
	}
	chunked := fmt.Sprintf(chunkedBeat, "", len(oneBeat), oneBeat)
	plain := fmt.Sprintf("POST /api/v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(oneBeat), oneBeat)
	for range 20 {
		require.Equal(t, 200, ask(chunked))
		require.Equal(t, 200, ask(plain))
		require.Equal(t, 200, ask("GET /api/v1/workers HTTP/1.1\r\nHost: x\r\n\r\n"))
		require.Equal(t, 404, ask("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"))
	}
	require.Equal(t, 200, ask(plain+plain), "requests that are not chunked may come together")
	require.Equal(t, 200, ask(""))
	require.Equal(t, 200, ask(plain+chunked))
	require.Equal(t, 400, ask(""))
	_, err = r.ReadByte()
	require.Error(t, err, "the connection closes")
}

// Addresses that nobody can reach are refused as they are of native workers; what
// older workers may name is taken and told of.
func TestHTTPAddressesThatNobodyCanReach(t *testing.T) {
	f := start(t)
	for _, addr := range []string{"", ":9000", "h:", "h:0", "h:99999", "h:x", "::1", "::1:9001", "fe80::1", "[::1]", "0.0.0.0:1", "[::]:9000", "a b:1", "1.2.3:1", "-x:1", "a\\nb:1"} {
		a := f.call("POST", "/api/v1/heartbeat", `{"worker_id":"w1","address":"`+addr+`"}`, "Accept", jsonAccept)
		require.Equal(t, 400, a.status, addr)
		require.Contains(t, a.body, `"field":"address"`, addr)
		require.Contains(t, f.post("/api/v1/heartbeat", `{"worker_id":"w1","address":"`+addr+`"}`), "400 Invalid request body: address ")
	}
	require.Empty(t, f.list(""))
	for addr, warning := range map[string]string{
		`"h:1"`: "", `"[2001:db8::7]:9000"`: "", `"10.0.0.7:65535"`: "", `"localhost:9000"`: "",
		`null`: "address is missing", `"h"`: "address has no port", `"http://h:9000/x"`: "address is a URL",
	} {
		a := f.call("POST", "/api/v1/heartbeat", `{"worker_id":"w1","address":`+addr+`}`)
		require.Equal(t, 200, a.status, addr)
		if warning == "" {
			require.Equal(t, `{"status":"ok"}`+"\n", a.body, addr)
		} else {
			require.Contains(t, a.body, `"warnings":["`+warning, addr)
		}
	}
	require.Contains(t, f.call("POST", "/api/v1/heartbeat", `{"worker_id":"w1"}`).body, "address is missing")
	far := httptest.NewRequest("POST", "/api/v1/heartbeat", strings.NewReader(`{"worker_id":"w2","address":"localhost:9000"}`))
	far.RemoteAddr = "10.0.0.7:4000"
	w := httptest.NewRecorder()
	f.newGateway().ServeHTTP(w, far)
	require.Contains(t, w.Body.String(), `{"status":"ok","warnings":["address is reached from the worker's machine alone"]}`)
}

func TestHealthzShowsInsecure(t *testing.T) {
	require.Equal(t, `{"status":"ok"}`+"\n", start(t).call("GET", "/healthz", "").body)
	f := start(t, func(c *Config) { c.Insecure = true })
	require.Equal(t, `{"status":"ok","insecure":true}`+"\n", f.call("GET", "/healthz", "").body)
	require.Equal(t, `{"status":"ok"}`+"\n", f.call("GET", "/livez", "").body)
}
