package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/cmd/cmdline"
	"github.com/dtask/dtask-scheduler/cmd/logflags"
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/server"
)

// options are the flags, and the configuration that they make.
type options struct {
	host, listen string
	port         int
	version      bool
	log          logflags.Options
	config       server.Config
}

// flags declares the flags; parsing them fills o.
func (o *options) flags() *flag.FlagSet {
	o.config = server.DefaultConfig()
	c := &o.config
	fs := flag.NewFlagSet("scheduler", flag.ContinueOnError)
	fs.StringVar(&o.host, "host", "127.0.0.1", "address of the HTTP API; one that other machines reach needs --insecure")
	fs.IntVar(&o.port, "port", 8080, "port of the HTTP API; 0 takes free ports for it and the native protocol")
	fs.StringVar(&o.listen, "listen", "", "host:port of the native protocol (default: the next port)")
	fs.BoolVar(&c.UDP, "udp", c.UDP, "take heartbeats as datagrams on the port of the native protocol")
	fs.BoolVar(&c.Insecure, "insecure", false, "allow addresses that other machines reach, though there is no authentication")
	span(fs, &c.Sched.Suspicious, "suspicious-threshold", "silence after which a worker gets nothing new")
	span(fs, &c.Sched.Offline, "offline-threshold", "silence after which a worker is shown as offline")
	span(fs, &c.Sched.Retention, "retention", "how long an offline worker is kept before it is removed, 0 for not at all")
	span(fs, &c.Sched.Heartbeat, "heartbeat", "how often native agents report")
	span(fs, &c.Sched.StartTTL, "start-ttl", "how long a lease that has not begun lives after its last renewal")
	fs.IntVar(&c.Sched.MaxWaiting, "queue", c.Sched.MaxWaiting, "tasks that may wait for room; 0 lets none wait")
	fs.IntVar(&c.Sched.MaxOwnerWaiting, "queue-per-owner", c.Sched.MaxOwnerWaiting, "tasks of one owner that may wait for room; 0 lets none wait")
	fs.IntVar(&c.Sched.MaxOwnerLeases, "leases-per-owner", c.Sched.MaxOwnerLeases, "live leases of one owner; 0 sets no limit")
	fs.IntVar(&c.Sched.HoldAfterBypasses, "hold-after-bypasses", c.Sched.HoldAfterBypasses, "how often the first waiting task is passed over before room is held for it")
	span(fs, &c.Sched.HoldAfter, "hold-after", "how long the first waiting task is passed over before room is held for it")
	span(fs, &c.Sched.PreemptGrace, "preempt-grace", "how long a task that must make room may go on, 0 for not at all")
	quarantine(fs, &c.Sched)
	fs.IntVar(&c.Sched.MassLossShare, "mass-loss-percent", c.Sched.MassLossShare, "share of the workers whose silence is one event, and keeps workers from being removed for a while")
	span(fs, &c.Sched.MassLossHold, "mass-loss-hold", "how long no worker is removed then, 0 for not at all")
	fs.Int64Var(&c.MaxBody, "max-body-bytes", c.MaxBody, "largest body of an HTTP request")
	fs.Var((*names)(&c.HTTPHosts), "http-hosts", "`names` with a dot, with commas between, by which HTTP requests may call this machine over the loopback interface")
	fs.BoolVar(&c.AnyContentType, "any-content-type", false, "take HTTP bodies of text/plain and multipart/form-data, which web pages can send")
	fs.IntVar(&c.Loops, "loops", c.Loops, "event loops of the native protocol")
	fs.IntVar(&c.MaxConnections, "max-connections", c.MaxConnections, "connections of both ports together")
	fs.IntVar(&c.MaxConnectionsPerSource, "max-connections-per-source", c.MaxConnectionsPerSource, "connections from one address, loopback apart; 0 sets no limit")
	fs.BoolVar(&c.Metrics, "metrics", c.Metrics, "measure requests and serve /metrics")
	fs.BoolVar(&c.Pprof, "pprof", false, "serve /debug/pprof on the HTTP port")
	fs.DurationVar(&c.SlowDecision, "slow-decision", c.SlowDecision, "how long the core may take for a batch of requests before a line says so, a `duration`; 0 for no such lines")
	o.log.Add(fs)
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
	return fs
}

// parse reads the flags. It has told the user what is wrong when it returns an
// error.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := o.flags()
	if err := cmdline.Parse(fs, args, stderr); err != nil {
		return nil, err
	}
	if err := o.settle(); err != nil {
		return nil, cmdline.Refuse(fs, stderr, err)
	}
	return o, nil
}

// quarantine declares the numbers of quarantines.
func quarantine(fs *flag.FlagSet, c *sched.Config) {
	fs.BoolVar(&c.Quarantine, "quarantine", c.Quarantine, "take workers that fail their tasks out of service for a while")
	fs.IntVar(&c.QuarantineFailures, "quarantine-failures", c.QuarantineFailures, "how many of a worker's last 15 tasks must have failed for it")
	fs.IntVar(&c.QuarantineOwners, "quarantine-owners", c.QuarantineOwners, "of how many different owners or groups")
	fs.IntVar(&c.QuarantineShare, "quarantine-percent", c.QuarantineShare, "share of the workers that may be out for it at once; 0 leaves one at most")
	span(fs, &c.QuarantineFirst, "quarantine-first", "how long a worker is kept out the first time; each further time twice as long")
	span(fs, &c.QuarantineMost, "quarantine-most", "how long it is kept out at most")
	span(fs, &c.QuarantineMemory, "quarantine-memory", "after how long without a failure a worker's outcomes are forgotten")
}

// span declares a duration that the core wants in milliseconds.
func span(fs *flag.FlagSet, to *sched.Time, name, usage string) {
	fs.Var((*milliseconds)(to), name, usage+", a `duration` such as 10s")
}

// names is a flag.Value for words with commas between them.
type names []string

// String implements flag.Value.
func (n *names) String() string { return strings.Join(*n, ",") }

// Set implements flag.Value.
func (n *names) Set(s string) error {
	*n = nil
	for _, name := range strings.Split(s, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("want names with commas between")
		}
		*n = append(*n, name)
	}
	return nil
}

// milliseconds is a flag.Value for times of the core.
type milliseconds sched.Time

// String implements flag.Value.
func (m *milliseconds) String() string {
	return (time.Duration(*m) * time.Millisecond).String()
}

// Set implements flag.Value.
func (m *milliseconds) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want a duration such as 10s")
	}
	if d%time.Millisecond != 0 {
		return errors.New("want whole milliseconds")
	}
	*m = milliseconds(d / time.Millisecond)
	return nil
}

// settle makes the addresses out of the flags.
func (o *options) settle() error {
	if o.port < 0 || o.port > 65535 {
		return fmt.Errorf("--port %d is outside 0..65535", o.port)
	}
	next := o.port
	if o.port > 0 {
		next++
	}
	if ip, err := netip.ParseAddr(o.host); strings.ContainsAny(o.host, ":[]/ ") && (err != nil || !ip.Is6()) {
		return fmt.Errorf("--host %.64q is no host; its port is --port", o.host)
	}
	o.config.HTTPAddr = net.JoinHostPort(o.host, strconv.Itoa(o.port))
	o.config.Addr = o.listen
	if o.listen == "" {
		if next > 65535 {
			return fmt.Errorf("there is no port after --port %d; set --listen host:port for the native protocol", o.port)
		}
		o.config.Addr = net.JoinHostPort(o.host, strconv.Itoa(next))
	}
	_, listen, err := net.SplitHostPort(o.config.Addr)
	if _, bad := strconv.ParseUint(listen, 10, 16); err != nil || bad != nil {
		return fmt.Errorf("--listen %.64q is not host:port, such as 127.0.0.1:8081 or [::1]:8081", o.listen)
	}
	return nil
}
