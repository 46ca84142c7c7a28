package webguard

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// request is a POST that came in on the address.
func request(local net.Addr, host string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://localhost/x", http.NoBody)
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
}

var (
	loopback  = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	loopback6 = &net.TCPAddr{IP: net.IPv6loopback, Port: 8080}
	elsewhere = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 8080}
	unix      = &net.UnixAddr{Name: "/run/w.sock", Net: "unix"}
)

func TestHosts(t *testing.T) {
	g := &Guard{Hosts: []string{"dtask.example"}}
	for host, known := range map[string]bool{
		"": true, "localhost": true, "LOCALHOST:8080": true, "localhost.": true, "127.0.0.1:8080": true, "127.9.9.9": true,
		"[::1]:8080": true, "[::1]": true, "::1": true, "dtask.example": true, "DTASK.example.:80": true,
		"evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"10.0.0.7:8080": false, "[fe80::1]:8080": false, "0.0.0.0": false, "evil.dtask.example": false, "localhost..": false, ":8080": true, "mymachine:8080": true,
	} {
		for _, local := range []net.Addr{loopback, loopback6} {
			require.Equal(t, known, g.Any(request(local, host)) == nil, host)
		}
		require.Nil(t, g.Any(request(elsewhere, host)), host)
		require.Nil(t, g.Any(request(unix, host)), host)
	}
	require.Equal(t, Forbidden, new(Guard).Any(request(loopback, "dtask.example")).Reason)
}

func TestPages(t *testing.T) {
	g := new(Guard)
	for _, local := range []net.Addr{loopback, elsewhere, unix} {
		for _, header := range [][]string{
			{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Origin", ""}, {"Origin", "http://localhost:8080"},
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-origin"},
		} {
			refusal := g.Any(request(local, "localhost", header...))
			require.NotNil(t, refusal, header)
			require.Equal(t, http.StatusForbidden, refusal.Status)
			require.Contains(t, refusal.Text, header[0])
		}
	}
}

func TestTypes(t *testing.T) {
	for kind, taken := range map[string]bool{
		"application/json": true, "application/x-www-form-urlencoded": true, "": true, "text/whatever": true, "application/json; charset=utf-8": true,
		"text/plain": false, "TEXT/Plain;charset=UTF-8": false, " text/plain ; a": false, "text/plain;;": false,
		"multipart/form-data; boundary=x": false, "application/json, text/plain": false,
	} {
		r := request(loopback, "localhost", "Content-Type", kind)
		refusal := new(Guard).Change(r)
		require.Equal(t, taken, refusal == nil, kind)
		if refusal != nil {
			require.Equal(t, http.StatusUnsupportedMediaType, refusal.Status)
		}
		require.Nil(t, (&Guard{AnyType: true}).Change(r), kind)
	}
	require.Nil(t, new(Guard).Change(request(loopback, "localhost")))
	require.NotNil(t, new(Guard).Change(request(loopback, "localhost", "Content-Type", "application/json", "Content-Type", "text/plain")))
}

func TestMethodsThatChange(t *testing.T) {
	for method, changes := range map[string]bool{
		"GET": false, "HEAD": false, "OPTIONS": false, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "get": true, "NEW": true,
	} {
		require.Equal(t, changes, Changes(method), method)
	}
}
