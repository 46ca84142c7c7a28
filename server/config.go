package server

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Config sets the numbers of one Server. DefaultConfig gives every field its
// usual value.
type Config struct {
	// Addr is host:port of the native protocol. Port 0 takes a free one, which
	// Server.Addr names after Start.
	Addr string
	// UDP takes heartbeats as datagrams on the same address and port number.
	// Turn it off where nothing sends any.
	UDP bool
	// HTTPAddr is host:port of the HTTP API, "" for none. Port 0 takes a free
	// one, which Server.HTTPAddr names after Start.
	HTTPAddr string
	// Insecure allows addresses that other machines can reach. There is no
	// authentication: turn it on only where every machine of the network may
	// schedule and remove workers.
	Insecure bool

	// Sched sets the numbers of the core. Instance and Seed are drawn if 0.
	// Sched.Learning says that workers may live which have to come back after the
	// start; without it the server is ready at once.
	Sched sched.Config

	// Loops is the number of event loops. One is fastest up to a few cores;
	// more help only where sockets, and not the core, are the bottleneck.
	Loops int
	// MaxConnections bounds the connections of both ports together; a further
	// one gets busy and is closed. Start lowers it to what the limit of
	// descriptors allows.
	MaxConnections int
	// MaxConnectionsPerSource bounds the connections that come from one address
	// (from one /64 with IPv6), loopback apart; 0 sets no limit. Raise it where
	// many clients come through one gateway.
	MaxConnectionsPerSource int
	// MaxOutput is how many bytes may wait for one peer that does not read,
	// before its connection closes. Raise it for peers behind slow links that
	// list large fleets.
	MaxOutput int
	// MaxTotalOutput is the same for all connections together.
	MaxTotalOutput int
	// MaxInput is how many bytes of unfinished frames may wait in memory, all
	// connections together.
	MaxInput int

	// HelloTimeout is how long a new connection may take to say hello.
	HelloTimeout time.Duration
	// FrameTimeout is how long one frame may take from its first byte to its
	// last, and a whole HTTP request.
	FrameTimeout time.Duration
	// StallTimeout is how long a peer may take nothing of what waits for it.
	StallTimeout time.Duration
	// PingAfter is how long a peer of the native protocol may say nothing before
	// it is asked whether it is there.
	PingAfter time.Duration
	// PingTimeout is how long it may take to say anything then, before its
	// connection closes.
	PingTimeout time.Duration
	// StopTimeout is how long Shutdown waits for answers to leave.
	StopTimeout time.Duration

	// MaxBody bounds the body of an HTTP request, in bytes. Raise it for workers
	// with very many tags.
	MaxBody int64
	// MaxHeader bounds the header of an HTTP request, in bytes.
	MaxHeader int
	// HTTPHosts are names with a dot by which HTTP requests that change something
	// may call this machine over the loopback interface. Set those of a proxy on
	// this machine that passes them on.
	HTTPHosts []string
	// AnyContentType takes bodies of text/plain and multipart/form-data, which web
	// pages may send to other sites, for older programs that name these types.
	AnyContentType bool
	// HeaderTimeout is how long the header of an HTTP request may take.
	HeaderTimeout time.Duration
	// WriteTimeout is how long an HTTP answer may take to be read.
	WriteTimeout time.Duration
	// IdleTimeout is how long an HTTP connection is kept without requests.
	IdleTimeout time.Duration

	// Metrics serves GET /metrics and measures every request for it. Turn it off
	// to see what that costs.
	Metrics bool
	// SlowDecision is how long the core may take for a batch of requests before
	// a line says so; 0 for no such lines.
	SlowDecision time.Duration
	// Pprof serves the profiles of the Go runtime under /debug/pprof. A peer
	// that reaches the HTTP port may then slow the scheduler down and read its memory.
	Pprof bool
	// Revision names the source that the program was built from, for metrics.
	Revision string

	// Logger gets one line for each event; slog.Default if nil.
	Logger *slog.Logger
	// LogWriter is what Logger writes to, if that writes in the background:
	// metrics show what it dropped, and a crash waits for its last line.
	LogWriter LogWriter

	backlog int // of the native port, set by Start; 0 leaves gnet's
}

// LogWriter is a log that is written in the background.
type LogWriter interface {
	// Dropped returns how many lines were dropped since the start.
	Dropped() uint64
	// Flush waits until all lines are written, for patience at most, and
	// reports whether they are.
	Flush(patience time.Duration) bool
}

// DefaultConfig returns the usual values: the native protocol on port 8081 and
// HTTP on port 8080 of this machine alone.
func DefaultConfig() Config {
	c := Config{
		Addr:                    "127.0.0.1:8081",
		UDP:                     true,
		HTTPAddr:                "127.0.0.1:8080",
		Sched:                   sched.DefaultConfig(),
		Loops:                   1,
		MaxConnections:          16_384,
		MaxOutput:               1 << 20,
		PingAfter:               time.Minute,
		PingTimeout:             30 * time.Second,
		MaxConnectionsPerSource: 256,
		MaxTotalOutput:          256 << 20,
		MaxInput:                256 << 20,
		HelloTimeout:            5 * time.Second,
		FrameTimeout:            10 * time.Second,
		StallTimeout:            10 * time.Second,
		StopTimeout:             10 * time.Second,
		MaxBody:                 1 << 20,
		MaxHeader:               16 << 10,
		HeaderTimeout:           5 * time.Second,
		WriteTimeout:            30 * time.Second,
		IdleTimeout:             2 * time.Minute,
		Metrics:                 true,
		SlowDecision:            10 * time.Millisecond,
	}
	c.Sched.Learning = true
	return c
}

// maxLoops bounds Config.Loops; gnet allows no more.
const maxLoops = 255

// ConfigError names the field of Config that is out of its range.
type ConfigError struct {
	Field string
	Want  string // what the field must be
}

// Error implements error.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("server: Config.%s must be %s", e.Field, e.Want)
}

// Verify reports the first field that is out of its range, as *ConfigError or
// the error of sched.Config.
func (c *Config) Verify() error {
	if c.Addr == "" {
		return &ConfigError{"Addr", "host:port"}
	}
	for _, f := range []struct {
		name     string
		value    int64
		min, max int64
	}{
		{"Loops", int64(c.Loops), 1, maxLoops},
		{"MaxConnections", int64(c.MaxConnections), 1, 1 << 24},
		{"MaxConnectionsPerSource", int64(c.MaxConnectionsPerSource), 0, 1 << 24},
		{"MaxOutput", int64(c.MaxOutput), 1 << 10, math.MaxInt32},
		{"MaxTotalOutput", int64(c.MaxTotalOutput), int64(c.MaxOutput), math.MaxInt64},
		{"MaxInput", int64(c.MaxInput), wire.MaxFrame, math.MaxInt64},
		{"MaxBody", c.MaxBody, 1, math.MaxInt32},
		{"MaxHeader", int64(c.MaxHeader), 1 << 10, math.MaxInt32},
	} {
		if f.value < f.min || f.value > f.max {
			return &ConfigError{f.name, fmt.Sprintf("in %d..%d, not %d", f.min, f.max, f.value)}
		}
	}
	if c.SlowDecision < 0 {
		return &ConfigError{"SlowDecision", fmt.Sprintf("0 or more, not %v", c.SlowDecision)}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"HelloTimeout", c.HelloTimeout}, {"FrameTimeout", c.FrameTimeout},
		{"StallTimeout", c.StallTimeout}, {"StopTimeout", c.StopTimeout},
		{"PingAfter", c.PingAfter}, {"PingTimeout", c.PingTimeout},
		{"HeaderTimeout", c.HeaderTimeout}, {"WriteTimeout", c.WriteTimeout},
		{"IdleTimeout", c.IdleTimeout},
	} {
		if f.value < time.Millisecond {
			return &ConfigError{f.name, fmt.Sprintf("at least 1ms, not %v", f.value)}
		}
	}
	core := c.Sched
	if core.Instance == 0 {
		core.Instance = 1
	}
	return core.Verify()
}

// measured reports whether requests are timed.
func (c *Config) measured() bool { return c.Metrics || c.SlowDecision > 0 }
