package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressProblem(t *testing.T) {
	for _, good := range []string{
		"h:1", "localhost:9000", "worker-001.example.com:65535", "node_1:80", "10.0.0.1:9000", "127.0.0.1:1", "[::1]:9001",
		"[fd00::1:2]:9001", "bücher.example:80", "a.b.:80", "gpu7:080",
	} {
		require.Empty(t, AddressProblem(good), good)
	}
	for bad, says := range map[string]string{
		"":                  "is empty",
		"localhost":         "has no port",
		"10.0.0.1":          "has no port",
		"localhost:":        `the port ""`,
		"localhost:0":       `the port "0"`,
		"localhost:000":     `the port "000"`,
		"localhost:99999":   `the port "99999"`,
		"localhost:65536":   `the port "65536"`,
		"localhost:-1":      `the port "-1"`,
		"localhost:+80":     `the port "+80"`,
		"localhost:http":    `the port "http"`,
		"localhost: 80":     `the port " 80"`,
		"localhost:80/x":    `the port "80/x"`,
		":9000":             "has no host",
		"::1:9001":          "without brackets",
		"::1":               "without brackets",
		"fe80::1":           "without brackets",
		"[::1]":             "without a port",
		"[::1]9000":         "without a port",
		"[::1:9000":         "without a port",
		"[::1]:0":           `the port "0"`,
		"[h]:80":            "no IPv6 address",
		"[]:80":             "no IPv6 address",
		"[h:h]:80":          "no IPv6 address",
		"[fe80::1%eth0]:1":  "without a zone",
		"0.0.0.0:9000":      "all interfaces",
		"[::]:9000":         "all interfaces",
		"[0:0::0]:9000":     "all interfaces",
		"*:9000":            "all interfaces",
		"http://h:80":       "is a URL",
		"a b:80":            `the host "a b"`,
		"a..b:80":           `the host "a..b"`,
		"-a:80":             `the host "-a"`,
		"a@b:80":            `the host "a@b"`,
		"h,i:80":            `the host "h,i"`,
		"999.1.1.1:80":      `the host "999.1.1.1"`,
		"1.2.3:80":          `the host "1.2.3"`,
		"255.255.255.255:8": `the host "255.255.255.255"`,
		"224.0.0.1:80":      `the host "224.0.0.1"`,
		"0:80":              `the host "0"`,
	} {
		require.Contains(t, AddressProblem(bad), says, bad)
	}
	require.Contains(t, AddressProblem(strings.Repeat("a.", 130)+"a:80"), "the host")
}

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"localhost:1": true, "LocalHost.:1": true, "a.localhost:1": true, "127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "[0::1]:1": true,
		"h:1": false, "127.example.com:1": false, "[::]:1": false, "[::11]:1": false, "[1::1]:1": false, "[1::]:1": false, "10.0.0.1:1": false,
	} {
		require.Equal(t, want, IsLoopback(addr), addr)
	}
	require.Equal(t, []string{"h", "::1", "x"}, []string{HostOf("h:1"), HostOf("[::1]:1"), HostOf("x")})
}

func TestLocalEndsAreLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "EOF": "EOF", "a -> b": "a -> b", "a->b": "a->b", "->": "->", "h:1->": "",
		"read tcp 127.0.0.1:41234->127.0.0.1:8081: read: connection reset by peer": "read tcp 127.0.0.1:8081: read: connection reset by peer",
		"write udp [::1]:5->[::1]:8081: refused":                                   "write udp [::1]:8081: refused",
		"lookup h on 10.0.0.1:53: read udp 10.0.0.7:4->10.0.0.1:53: i/o timeout":   "lookup h on 10.0.0.1:53: read udp 10.0.0.1:53: i/o timeout",
		"x: read tcp a:1->b:2: r\ny: read tcp a:3->b:4: r":                         "x: read tcp b:2: r\ny: read tcp b:4: r",
		"no such port a:99999->b":                                                  "no such port a:99999->b", "tasks a:b->c": "tasks a:b->c",
	} {
		require.Equal(t, want, WithoutLocalEnds(text))
		require.Equal(t, want, WithoutLocalEnds(want))
	}
}
