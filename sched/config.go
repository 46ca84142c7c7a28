package sched

import (
	"errors"
	"fmt"

	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// Time is a moment in milliseconds of a monotonic clock that the caller reads;
// its zero is the caller's choice. The core never reads a clock itself.
type Time = ds.Time

// Never is later than every Time.
const Never = ds.Never

// Config sets the numbers of one State. DefaultConfig gives every field but
// Instance its usual value.
type Config struct {
	// Instance is the random, non-zero name of this life of the scheduler.
	Instance uint32
	// Seed keys the core's hash tables, so that nobody can aim at them.
	Seed uint64
	// Version is shown to peers in HelloOK.
	Version string

	// Learning says that the scheduler was just started, and that workers which
	// live may not have come yet: until State.Learned nothing is infeasible.
	Learning bool
	// Heartbeat is how often agents should report, in milliseconds.
	Heartbeat Time
	// Suspicious is the silence, in milliseconds, after which a worker gets
	// nothing new; the larger of it and 3.3 heartbeats holds for agents.
	Suspicious Time
	// Offline is the silence after which a worker is shown as offline.
	Offline Time
	// Retention is how long an offline worker is kept before it is removed and
	// its leases end as lost.
	Retention Time
	// StartTTL is how long a lease that has not begun lives after its last
	// renewal, in milliseconds.
	StartTTL Time

	// MaxWorkers bounds the fleet, known workers of every state.
	MaxWorkers int
	// MaxLeases bounds the leases alive at once.
	MaxLeases int
	// MaxWaiting bounds the tasks that wait for room, those of gangs included;
	// MaxOwnerWaiting those of one owner.
	MaxWaiting, MaxOwnerWaiting int
	// MaxOwnerLeases bounds the live leases of one owner; 0 sets no limit. Tasks
	// without an owner are those of one owner.
	MaxOwnerLeases int
	// HoldAfterBypasses is how often, and HoldAfter how long in milliseconds, the
	// first of all waiting tasks is passed over before room is held for it.
	HoldAfterBypasses int
	HoldAfter         Time
	// MassLossShare is the share of the workers that are online or suspicious, in
	// percent, from which on their silence is one event: a mass loss. It takes
	// MassLossLeast of them at least. While it lasts nobody is removed for
	// MassLossHold, in milliseconds.
	MassLossShare, MassLossLeast int
	MassLossHold                 Time
	// MassLossTold is how many workers may be suspicious at once while it is told
	// of each that it falls silent, and that it is back.
	MassLossTold int
	// Quarantine says whether workers that fail their tasks are taken out of
	// service, for QuarantineFirst the first time and for twice as long each
	// further time, QuarantineMost at most, in milliseconds.
	Quarantine                      bool
	QuarantineFirst, QuarantineMost Time
	// QuarantineFailures among the last 15 outcomes of a worker, 1 to 15, are
	// enough for it, of tasks of QuarantineOwners different owners or groups.
	QuarantineFailures, QuarantineOwners int
	// QuarantineShare is how many of the workers that are online, in percent, may
	// be out of service for it at once; one may always be.
	QuarantineShare int
	// QuarantineMemory is after how many milliseconds without a failure a worker's
	// outcomes are forgotten.
	QuarantineMemory Time
	// PreemptGrace is how long a task that must make room may go on, in
	// milliseconds, at most wire.MaxGrace.
	PreemptGrace Time
	// MaxTags bounds the distinct tags of the fleet.
	MaxTags int
	// MaxHTTPText bounds the bytes of the ids, addresses and tags that all workers
	// that speak HTTP have together: each distinct list of tags counts once, with
	// twice the text of each tag and 32 bytes more.
	MaxHTTPText int
	// RequirementCache bounds the remembered requirements.
	RequirementCache int
}

// Limits of Config.
const (
	maxWorkersLimit = 1 << 20
	maxWaitingLimit = 1_000_000
	maxBackoff      = 7 * 86_400_000                 // a week
	maxLeasesLimit  = 1<<leaseSlotBits - leaseMemory // slots of ended leases are kept beside those of live ones
)

// DefaultConfig returns the usual values; Instance must still be set.
func DefaultConfig() Config {
	return Config{
		Version:          "dev",
		Heartbeat:        3_000,
		Suspicious:       10_000,
		Offline:          20_000,
		Retention:        600_000,
		StartTTL:         10_000,
		MaxWorkers:       maxWorkersLimit,
		MaxLeases:        maxLeasesLimit,
		MaxWaiting:       maxWaitingLimit,
		MaxOwnerWaiting:  maxWaitingLimit,
		MaxTags:          65_536,
		MaxHTTPText:      64 << 20,
		RequirementCache: 4_096,

		MassLossShare: 25,
		MassLossLeast: 10,
		MassLossHold:  60_000,
		MassLossTold:  100,

		Quarantine:         true,
		QuarantineFirst:    60_000,
		QuarantineMost:     3_600_000,
		QuarantineFailures: 5,
		QuarantineOwners:   3,
		QuarantineShare:    10,
		QuarantineMemory:   3_600_000,

		PreemptGrace: 30_000,

		HoldAfterBypasses: 64,
		HoldAfter:         30_000,
	}
}

// Verify reports the first field that is out of its range.
func (c *Config) Verify() error {
	switch {
	case c.Instance == 0:
		return errors.New("sched: Config.Instance must not be 0")
	case c.Heartbeat < 1 || c.Heartbeat > wire.MaxTTL:
		return fmt.Errorf("sched: Config.Heartbeat %d ms is outside 1..%d", c.Heartbeat, wire.MaxTTL)
	case c.Suspicious < 1 || c.Offline < c.Suspicious:
		return fmt.Errorf("sched: Config.Suspicious %d ms and Offline %d ms must be positive and in this order", c.Suspicious, c.Offline)
	case c.Retention < 0:
		return fmt.Errorf("sched: Config.Retention %d ms must not be negative", c.Retention)
	case c.StartTTL < 1 || c.StartTTL > wire.MaxTTL:
		return fmt.Errorf("sched: Config.StartTTL %d ms is outside 1..%d", c.StartTTL, wire.MaxTTL)
	case c.MaxWorkers < 1 || c.MaxWorkers > maxWorkersLimit:
		return fmt.Errorf("sched: Config.MaxWorkers %d is outside 1..%d", c.MaxWorkers, maxWorkersLimit)
	case c.MaxLeases < 1 || c.MaxLeases > maxLeasesLimit:
		return fmt.Errorf("sched: Config.MaxLeases %d is outside 1..%d", c.MaxLeases, maxLeasesLimit)
	case c.MaxHTTPText < 0:
		return fmt.Errorf("sched: Config.MaxHTTPText %d must not be negative", c.MaxHTTPText)
	case c.MaxWaiting < 0 || c.MaxWaiting > maxWaitingLimit:
		return fmt.Errorf("sched: Config.MaxWaiting %d is outside 0..%d", c.MaxWaiting, maxWaitingLimit)
	case c.MaxOwnerWaiting < 0 || c.MaxOwnerWaiting > maxWaitingLimit:
		return fmt.Errorf("sched: Config.MaxOwnerWaiting %d is outside 0..%d", c.MaxOwnerWaiting, maxWaitingLimit)
	case c.MaxOwnerLeases < 0 || c.MaxOwnerLeases > maxLeasesLimit:
		return fmt.Errorf("sched: Config.MaxOwnerLeases %d is outside 0..%d", c.MaxOwnerLeases, maxLeasesLimit)
	case c.MassLossShare < 1 || c.MassLossShare > 100 || c.MassLossLeast < 1 || c.MassLossHold < 0 || c.MassLossTold < 0:
		return fmt.Errorf("sched: Config.MassLossShare %d, MassLossLeast %d, MassLossHold %d ms or MassLossTold %d is out of range: 1..100 percent, 1 or more, 0 or more, 0 or more", c.MassLossShare, c.MassLossLeast, c.MassLossHold, c.MassLossTold)
	case c.PreemptGrace < 0 || c.PreemptGrace > wire.MaxGrace:
		return fmt.Errorf("sched: Config.PreemptGrace %d ms is outside 0..%d", c.PreemptGrace, wire.MaxGrace)
	case c.HoldAfterBypasses < 1 || c.HoldAfter < 1:
		return fmt.Errorf("sched: Config.HoldAfterBypasses %d and HoldAfter %d ms must be positive", c.HoldAfterBypasses, c.HoldAfter)
	}
	return c.verifyQuarantine()
}

// verifyQuarantine is Verify for the numbers of quarantines.
func (c *Config) verifyQuarantine() error {
	switch {
	case c.QuarantineFirst < 1 || c.QuarantineMost < c.QuarantineFirst || c.QuarantineMost > maxBackoff:
		return fmt.Errorf("sched: Config.QuarantineFirst %d ms and QuarantineMost %d ms must be 1..%d and in this order", c.QuarantineFirst, c.QuarantineMost, int64(maxBackoff))
	case c.QuarantineFailures < 1 || c.QuarantineFailures > health.Window:
		return fmt.Errorf("sched: Config.QuarantineFailures %d is outside 1..%d", c.QuarantineFailures, health.Window)
	case c.QuarantineOwners < 1 || c.QuarantineOwners > c.QuarantineFailures:
		return fmt.Errorf("sched: Config.QuarantineOwners %d is outside 1..QuarantineFailures %d", c.QuarantineOwners, c.QuarantineFailures)
	case c.QuarantineShare < 0 || c.QuarantineShare > 100:
		return fmt.Errorf("sched: Config.QuarantineShare %d is outside 0..100 percent", c.QuarantineShare)
	case c.QuarantineMemory < 1 || c.QuarantineMemory > maxBackoff:
		return fmt.Errorf("sched: Config.QuarantineMemory %d ms is outside 1..%d", c.QuarantineMemory, int64(maxBackoff))
	}
	return nil
}
