package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/dtask/dtask-scheduler/server"
)

// port returns the port of host:port.
func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return p
}

// reach says where the native protocol is, who can connect, and how to change
// that.
func reach(s *server.Server, o *options) string {
	transports := "TCP"
	if o.config.UDP {
		transports = "TCP and UDP"
	}
	line := fmt.Sprintf("HTTP on %s, native protocol on %s (%s). ", s.HTTPAddr(), s.Addr(), transports)
	if o.config.Insecure {
		return line + "There is no authentication: whoever reaches these ports may schedule."
	}
	return line + "Only this machine can connect; to serve others: --host 0.0.0.0 --insecure"
}

// explain says why the scheduler did not start, and what to type next.
func explain(err error, o *options) string {
	var insecure *server.InsecureError
	switch {
	case errors.As(err, &insecure):
		return fmt.Sprintf("dtask-scheduler cannot start: %s can be reached by other machines, and there is no authentication yet. "+
			"Add --insecure to listen there all the same, or leave --host and --listen at 127.0.0.1", insecure.Addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("dtask-scheduler cannot start: %v. "+
			"Stop the other process, or choose another port with --port (now %d) or --listen", err, o.port)
	}
	return fmt.Sprintf("dtask-scheduler cannot start: %v", err)
}
