// Package loadtest puts real load on a running scheduler: thousands of
// simulated workers and many clients over TCP, in one process. The workers
// speak leases through the same ledger as the agent does, the clients schedule,
// renew, release and hand tasks over, and package judge keeps an account of
// its own of what began and ended where.
//
// A run has five parts: the workers register, the clients load the scheduler
// for the chosen time, everything settles, the scheduler's list of each worker
// is compared with what the worker runs, and all tasks end and the slots must
// come back.
package loadtest

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// ClosedLoop as Config.Rate has each client send the next request when an
// earlier one was answered.
const ClosedLoop = -1

// Restarter is a scheduler that a load test may kill.
type Restarter interface {
	// Restart kills the scheduler without any farewell and starts one that
	// remembers nothing at the same address.
	Restart(ctx context.Context) error
}

// Config says what to load, with what. DefaultConfig gives every field but
// Addr its usual value.
type Config struct {
	// Addr is host:port of the scheduler's native protocol. The scheduler must
	// have no other workers.
	Addr string
	// HTTPAddr is host:port of its HTTP API. It is used if some workers report
	// so.
	HTTPAddr string
	// Scheduler can restart the scheduler at Addr; nil if nothing can. It is
	// used with Faults only.
	Scheduler Restarter
	// Embedded says that the scheduler runs in this process and shares its
	// descriptors.
	Embedded bool

	// Workers is the number of simulated workers. Run lowers it to what the
	// limit of descriptors allows.
	Workers int
	// Slots is how many tasks each worker takes at once, at most 1,000: so many
	// are in the scheduler's list of a worker. 0 takes 4 to 64, as the machine
	// that it stands for.
	Slots int
	// Profile is what tasks ask for.
	Profile Profile
	// Transport is how workers report. While some do so by HTTP, a tenth of the
	// tasks is placed by HTTP as well.
	Transport Transport
	// Heartbeat is the time between two reports of a worker, give or take a
	// tenth.
	Heartbeat time.Duration
	// Burst has all workers report at the same moments, every Heartbeat. It is
	// the worst that buffers can meet; fleets that start together come close.
	Burst bool

	// Clients is the number of client connections.
	Clients int
	// Depth is how many schedule requests a client has in flight in a closed
	// loop; 0 takes 2, and 16 with Faults, where each answer takes long.
	Depth int
	// Rate is the number of schedule requests in a second, sent at times drawn
	// beforehand, whatever becomes of earlier ones; 0 sends none. ClosedLoop
	// lets the answers set the pace.
	Rate float64
	// Duration is how long the load lasts.
	Duration time.Duration
	// TaskTime is the mean time that a task runs; times are distributed
	// exponentially.
	TaskTime time.Duration
	// Occupancy is the share of all slots that a closed loop keeps taken at
	// most. With 1 or more the fleet fills up and requests are refused.
	Occupancy float64

	// Shares of the leases that are not handed over at once. Release gives the
	// lease back, Hold keeps it by renewals for a while first, Late sits on it
	// without renewals beyond its time to live and hands it over all the same,
	// Repeat asks for the same task again.
	Release, Hold, Late, Repeat float64

	// Faults puts a bad network between, which delays, duplicates heartbeats,
	// breaks connections, loses and reorders datagrams; it kills a tenth of the workers in mid-run and restarts the
	// scheduler.
	Faults bool
	// Loops is the number of event loops that carry workers and clients; 0
	// takes half the processors.
	Loops int
	// Seed draws the fleet, the tasks and the faults. The timing of a run is
	// not repeatable.
	Seed uint64
	// Progress gets one line each second; nil for none.
	Progress io.Writer
}

// DefaultConfig returns the usual values: 5,000 workers, a closed loop of 10
// seconds.
func DefaultConfig() Config {
	return Config{
		Workers:   5_000,
		Profile:   ProfileSlots,
		Transport: TCP,
		Heartbeat: 3 * time.Second,
		Clients:   16,
		Rate:      ClosedLoop,
		Duration:  10 * time.Second,
		TaskTime:  time.Second,
		Occupancy: 0.6,
		Release:   0.05,
		Hold:      0.01,
		Late:      0.001,
		Repeat:    0.01,
	}
}

// settle replaces what Run chooses itself by its choice.
func (c *Config) settle() {
	if c.Depth == 0 {
		c.Depth = 2
		if c.Faults {
			c.Depth = 16
		}
		if c.Profile == ProfileOverload {
			c.Depth = 128
		}
	}
	if c.Loops == 0 {
		c.Loops = max(1, min(runtime.GOMAXPROCS(0)/2, maxLoops))
	}
	c.Loops = min(c.Loops, c.Workers, c.Clients)
}

// Limits of Config.
const (
	maxWorkers = 1 << 20
	maxClients = 4096
	maxDepth   = 4096
	maxRate    = 1e7
	maxLoops   = 64
	maxTime    = 24 * time.Hour
)

// ConfigError names the field of Config that is out of its range.
type ConfigError struct {
	Field string
	Want  string // what the field must be
}

// Error implements error.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("loadtest: Config.%s must be %s", e.Field, e.Want)
}

// Verify reports the first field that is out of its range, as *ConfigError.
func (c *Config) Verify() error {
	for _, f := range []struct {
		name            string
		value, min, max float64
	}{
		{"Workers", float64(c.Workers), 1, maxWorkers},
		{"Slots", float64(c.Slots), 0, wire.MaxPage},
		{"Heartbeat", c.Heartbeat.Seconds(), 0.01, maxTime.Seconds()},
		{"Clients", float64(c.Clients), 1, maxClients},
		{"Depth", float64(c.Depth), 0, maxDepth},
		{"Duration", c.Duration.Seconds(), 0.1, maxTime.Seconds()},
		{"TaskTime", c.TaskTime.Seconds(), 0, maxTime.Seconds()},
		{"Occupancy", c.Occupancy, 0.001, 1000},
		{"Release", c.Release, 0, 1},
		{"Hold", c.Hold, 0, 1},
		{"Late", c.Late, 0, 1},
		{"Repeat", c.Repeat, 0, 1},
		{"Release+Hold+Late+Repeat", c.Release + c.Hold + c.Late + c.Repeat, 0, 1},
		{"Loops", float64(c.Loops), 0, maxLoops},
	} {
		if !(f.value >= f.min && f.value <= f.max) {
			return &ConfigError{f.name, fmt.Sprintf("in %v..%v, not %v", f.min, f.max, f.value)}
		}
	}
	if c.Rate != ClosedLoop && !(c.Rate >= 0 && c.Rate <= maxRate) || math.IsNaN(c.Rate) {
		return &ConfigError{"Rate", fmt.Sprintf("in 0..%v, or %d for a closed loop, not %v", maxRate, ClosedLoop, c.Rate)}
	}
	if _, known := shares[c.Profile]; !known {
		return &ConfigError{"Profile", fmt.Sprintf("slots, resources, gangs or overload, not %q", c.Profile)}
	}
	switch c.Transport {
	case TCP, UDP:
	case HTTP, Mixed:
		if c.HTTPAddr == "" {
			return &ConfigError{"HTTPAddr", "host:port, for workers that report by HTTP"}
		}
	default:
		return &ConfigError{"Transport", fmt.Sprintf("tcp, udp, http or mixed, not %q", c.Transport)}
	}
	if c.Addr == "" {
		return &ConfigError{"Addr", "host:port"}
	}
	return nil
}
