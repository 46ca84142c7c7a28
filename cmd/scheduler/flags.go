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
	fs.BoolVar(&c.UDP, "udp", c.UDP, "accept heartbeats as UDP datagrams on the port of the native protocol")
	fs.BoolVar(&c.Insecure, "insecure", false, "allow addresses that other machines reach, though there is no authentication")
	span(fs, &c.Sched.Suspicious, "suspicious-threshold", "time without a report after which a worker gets no new tasks")
	span(fs, &c.Sched.Offline, "offline-threshold", "time without a report after which a worker is offline")
	span(fs, &c.Sched.Retention, "retention", "time that an offline worker is kept before it is removed, 0 for none")
	span(fs, &c.Sched.Heartbeat, "heartbeat", "interval of the reports of native agents")
	span(fs, &c.Sched.StartTTL, "start-ttl", "time that a lease lives after its last renewal, until it begins")
	fs.IntVar(&c.Sched.MaxWaiting, "queue", c.Sched.MaxWaiting, "maximum of waiting tasks; 0 lets none wait")
	fs.IntVar(&c.Sched.MaxOwnerWaiting, "queue-per-owner", c.Sched.MaxOwnerWaiting, "maximum of waiting tasks of one owner; 0 lets none wait")
	fs.IntVar(&c.Sched.MaxOwnerLeases, "leases-per-owner", c.Sched.MaxOwnerLeases, "maximum of live leases of one owner; 0 sets no limit")
	fs.IntVar(&c.Sched.HoldAfterBypasses, "hold-after-bypasses", c.Sched.HoldAfterBypasses, "bypasses of the first waiting task before a worker is reserved for it")
	span(fs, &c.Sched.HoldAfter, "hold-after", "time that the first waiting task is bypassed before a worker is reserved for it")
	span(fs, &c.Sched.PreemptGrace, "preempt-grace", "time that a preempted task may go on before it is killed, 0 for none")
	quarantine(fs, &c.Sched)
	fs.IntVar(&c.Sched.MassLossShare, "mass-loss-percent", c.Sched.MassLossShare, "percentage of workers (at least 10) whose silence at once is treated as an outage: one event, and removals wait for --mass-loss-hold")
	span(fs, &c.Sched.MassLossHold, "mass-loss-hold", "time that no worker is removed in an outage, 0 for none")
	fs.Int64Var(&c.MaxBody, "max-body-bytes", c.MaxBody, "maximum size of the body of an HTTP request")
	fs.Var((*names)(&c.HTTPHosts), "http-hosts", "comma-separated `names` with a dot that HTTP requests over loopback may have in their header Host")
	fs.BoolVar(&c.AnyContentType, "any-content-type", false, "accept HTTP bodies of text/plain and multipart/form-data, which web pages can send")
	fs.IntVar(&c.Loops, "loops", c.Loops, "event loops of the native protocol")
	fs.IntVar(&c.MaxConnections, "max-connections", c.MaxConnections, "maximum of connections, of both ports together")
	fs.IntVar(&c.MaxConnectionsPerSource, "max-connections-per-source", c.MaxConnectionsPerSource, "maximum of connections from one address, except loopback; 0 sets no limit")
	fs.BoolVar(&c.Metrics, "metrics", c.Metrics, "measure requests and serve /metrics")
	fs.BoolVar(&c.Pprof, "pprof", false, "serve /debug/pprof on the HTTP port")
	fs.DurationVar(&c.SlowDecision, "slow-decision", c.SlowDecision, "time that one use of the core may take before it is logged, a `duration`; 0 logs none")
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
	fs.BoolVar(&c.Quarantine, "quarantine", c.Quarantine, "eject outliers: cordon workers that fail their tasks while others do not")
	fs.IntVar(&c.QuarantineFailures, "quarantine-failures", c.QuarantineFailures, "minimum of failures among a worker's last 15 tasks for its ejection")
	fs.IntVar(&c.QuarantineOwners, "quarantine-owners", c.QuarantineOwners, "minimum of different owners or groups among these failures")
	fs.IntVar(&c.QuarantineShare, "quarantine-percent", c.QuarantineShare, "maximum percentage of workers that are ejected at once; 0 allows one")
	span(fs, &c.QuarantineFirst, "quarantine-first", "time of the first ejection; each further one is twice as long")
	span(fs, &c.QuarantineMost, "quarantine-most", "maximum time of an ejection")
	span(fs, &c.QuarantineMemory, "quarantine-memory", "time without a failure after which a worker's outcomes are forgotten")
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
