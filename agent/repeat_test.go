package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// reset is the failure of a connection from a local port.
func reset(port int) error {
	return fmt.Errorf("dtask: connecting: %w", &net.OpError{
		Op: "read", Net: "tcp", Err: syscall.ECONNRESET,
		Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081},
	})
}

// TestFailuresThatDifferByALocalPortAreOneLine: a scheduler that resets each
// connection is one line in the log, until it fails in another way.
func TestFailuresThatDifferByALocalPortAreOneLine(t *testing.T) {
	log := &logged{}
	a := &Agent{log: slog.New(slog.NewTextHandler(log, nil)), cfg: Config{backoff: backoff}}
	native, web := &native{agent: a}, &gateway{agent: a}
	for scheme, fail := range map[string]func(err error){
		"dtask": func(err error) { native.pause(1, err) },
		"http":  web.note,
	} {
		t.Run(scheme, func(t *testing.T) {
			before := log.count("connection reset by peer")
			for port := 40_000; port < 40_050; port++ {
				fail(reset(port))
			}
			require.Equal(t, before+1, log.count("connection reset by peer"))
			fail(errors.New(scheme + " fails in another way"))
			fail(reset(40_051))
			require.Equal(t, 1, log.count(scheme+" fails in another way"))
			require.Equal(t, before+2, log.count("connection reset by peer"))
		})
	}
}
