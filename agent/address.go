package agent

import (
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// addressProblem is wire.AddressProblem with the address and an example of a good
// one; "" if there is no problem.
func addressProblem(addr string) string {
	problem := wire.AddressProblem(addr)
	if problem == "" {
		return ""
	}
	return fmt.Sprintf("%.64q %s; give the host:port where clients reach this worker, such as node7.example.com:9000 or [2001:db8::7]:9000", addr, problem)
}

// addressWarning returns what is doubtful about the worker's address although it
// is accepted, "" if nothing is.
func (c *Config) addressWarning(p place) string {
	if problem := addressProblem(c.Address); problem != "" {
		return "the address (--addr) " + problem
	}
	if wire.IsLoopback(c.Address) && !p.isLocal() {
		return fmt.Sprintf("the address (--addr) %.64q is reached from this machine alone, and the scheduler is on another one; give the host:port where clients reach this worker, such as node7.example.com:9000", c.Address)
	}
	return ""
}

// isLocal reports whether a scheduler of this place may be on this machine.
func (p place) isLocal() bool {
	if u, err := url.Parse(p.base); p.base != "" && err == nil {
		return wire.IsLoopback(net.JoinHostPort(u.Hostname(), "1"))
	}
	return slices.ContainsFunc(p.addrs, wire.IsLoopback)
}
