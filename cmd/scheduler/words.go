package main

import (
	"errors"
	"fmt"
	"net"
	"regexp"
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

// reach says where the ports are, from where peers can connect, and how to
// change that.
func reach(s *server.Server, o *options) string {
	transports := "TCP"
	if o.config.UDP {
		transports = "TCP and UDP"
	}
	line := fmt.Sprintf("HTTP on %s, native protocol on %s (%s). ", s.HTTPAddr(), s.Addr(), transports)
	if o.config.Insecure {
		return line + "There is no authentication: any peer that reaches these ports may schedule."
	}
	return line + "Only this machine can connect; to serve others: --host 0.0.0.0 --insecure"
}

// explain says why the scheduler did not start, and what to type next.
func explain(err error, o *options) string {
	var insecure *server.InsecureError
	var unknown *net.DNSError
	switch {
	case errors.As(err, &insecure):
		return fmt.Sprintf("dtask-scheduler cannot start: %s can be reached by other machines, and there is no authentication yet. "+
			"Add --insecure to listen there all the same, or leave --host and --listen at 127.0.0.1", insecure.Addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("dtask-scheduler cannot start: %v. "+
			"Stop the other process, or choose another port with --port (now %d) or --listen", err, o.port)
	case errors.As(err, &unknown), errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("dtask-scheduler cannot start: %v. "+
			"Choose an address of this machine with --host (now %s) or --listen", err, o.host)
	}
	return "dtask-scheduler cannot start: " + named(err.Error())
}

// flagOf names the flag behind a field of the configuration.
var flagOf = map[string]string{
	"Loops": "loops", "MaxConnections": "max-connections", "MaxConnectionsPerSource": "max-connections-per-source",
	"MaxBody": "max-body-bytes", "SlowDecision": "slow-decision",
	"Heartbeat": "heartbeat", "Suspicious": "suspicious-threshold", "Offline": "offline-threshold", "Retention": "retention",
	"StartTTL": "start-ttl", "MaxWaiting": "queue", "MaxOwnerWaiting": "queue-per-owner", "MaxOwnerLeases": "leases-per-owner",
	"HoldAfterBypasses": "hold-after-bypasses", "HoldAfter": "hold-after", "PreemptGrace": "preempt-grace",
	"MassLossShare": "mass-loss-percent", "MassLossHold": "mass-loss-hold",
	"QuarantineFailures": "quarantine-failures", "QuarantineOwners": "quarantine-owners", "QuarantineShare": "quarantine-percent",
	"QuarantineFirst": "quarantine-first", "QuarantineMost": "quarantine-most", "QuarantineMemory": "quarantine-memory",
}

var (
	ofConfig = regexp.MustCompile(`^(server|sched): Config\.`)
	field    = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)
)

// named replaces the fields of the configuration in an error by their flags.
func named(text string) string {
	if !ofConfig.MatchString(text) {
		return text
	}
	return field.ReplaceAllStringFunc(ofConfig.ReplaceAllString(text, ""), func(name string) string {
		if flag, known := flagOf[name]; known {
			return "--" + flag
		}
		return name
	})
}
