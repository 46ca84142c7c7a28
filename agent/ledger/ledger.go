// Package ledger is the worker's side of the lease accounting: which leases a
// worker promised to accept, which of them run, and which have ended. It is a
// data structure without I/O, clock, goroutine or lock, and the same calls give
// the same answers.
//
// The life of one lease in the ledger:
//
//	            Begin                     End
//	unknown ------------> running -----------------> ended, not acknowledged
//	   |                                                   |
//	   | Revoke, or Begin without a free slot              | Ended, or listed in
//	   v                                                   v an answered Register
//	remembered <-------------------------------------- remembered
//
// A remembered lease is never accepted again. The memory lasts as long as the
// incarnation does.
//
// A worker is connected in three steps: Register is sent, Registered is read,
// and what Registered returns is sent, Promised last. Before the second step no
// other report can be sent; what happens meanwhile is reported by it.
package ledger

import (
	"errors"

	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of a ledger.
const (
	// DefaultMemory is how many leases that will never begin are remembered,
	// unless Config.Memory says otherwise.
	DefaultMemory = 4096
	// MaxLeases bounds the leases of one ledger that run or whose end is not
	// acknowledged: all of them go into one registration.
	MaxLeases = wire.MaxWorkerLeases
	// MaxListBytes bounds the size of their records, so that a registration
	// fits into one frame beside the worker's tags and resources.
	MaxListBytes = wire.MaxFrame - 64<<10
	// MaxCaller bounds the token of a caller, in bytes.
	MaxCaller = 128
	// maxSeq is the number of a report or datagram at which a new incarnation is
	// due.
	maxSeq = 1<<32 - 1<<16
)

// Config describes the worker. It is not checked.
type Config struct {
	Worker, Address string
	Tags            []string
	Slots           uint32           // tasks that run at once
	Resources       map[string]int64 // amounts by name
	Devices         []wire.Device    // its GPUs
	Incarnation     uint64           // random, never 0
	Machine         uint64           // where the agent runs; 0: not known. See Identify
	Memory          int              // leases remembered until MemoryFull; 0 means DefaultMemory
}

// Ledger is the accounting of one worker. It is not safe for concurrent use.
type Ledger struct {
	cfg      Config
	promised wire.Grantor
	handle   uint32
	seq      uint32 // of the last report
	beats    uint32 // number of the last datagram
	skip     bool   // the next Register passes over some
	external uint32
	refusals int
	asked    bool // a Register was built and not answered yet
	known    bool // the last Register was answered: reports can be sent

	leases  map[wire.LeaseID]*lease // that run, or ended and not acknowledged
	running int                     // how many of them run
	digest  uint64                  // XOR over those that run
	bytes   int                     // what their records take in a registration
	ended   memory
	refused *wire.End // of the last begin refused for lack of a slot, until taken
}

// lease is one lease that runs or whose end is not acknowledged.
type lease struct {
	record wire.Record // its slices are never changed: messages share them
	caller string
	listed bool // in the last Register, as the record stands
}

// New returns the ledger of a worker that promised nothing and runs nothing.
func New(c Config) *Ledger {
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	return &Ledger{cfg: c}
}

// Incarnation returns the present incarnation.
func (l *Ledger) Incarnation() uint64 { return l.cfg.Incarnation }

// Promised returns the grantor whose leases are accepted; its instance is 0
// while none are.
func (l *Ledger) Promised() wire.Grantor { return l.promised }

// Running returns how many leases run.
func (l *Ledger) Running() int { return l.running }

// Digest returns what a Beat says of the leases that run: wire.LeaseID.Digest
// of each, joined by XOR; 0 for none.
func (l *Ledger) Digest() uint64 { return l.digest }

// Runs reports whether the lease runs.
func (l *Ledger) Runs(id wire.LeaseID) bool {
	e := l.leases[id]
	return e != nil && e.record.Outcome == wire.ReasonNone
}

// Unacknowledged returns how many ends the scheduler has not acknowledged.
func (l *Ledger) Unacknowledged() int { return len(l.leases) - l.running }

// Refusals returns how many begins were refused for lack of a slot.
func (l *Ledger) Refusals() (full int) { return l.refusals }

// Handle returns the name of the worker on its present connection; it has a
// meaning only while Connected.
func (l *Ledger) Handle() uint32 { return l.handle }

// Connected reports whether the last Register was answered on a connection
// that still lives: only then reports can be sent.
func (l *Ledger) Connected() bool { return l.known }

// MemoryFull reports that nothing more can be remembered, or that the report
// numbers run out. No lease is accepted any more; the agent draws a new
// incarnation, calls Superseded and registers again.
func (l *Ledger) MemoryFull() bool {
	return l.ended.size() >= l.cfg.Memory || max(l.seq, l.beats) >= maxSeq
}

// Announce changes what the next Register says. Leases that run are kept even
// if they are more than slots.
func (l *Ledger) Announce(tags []string, slots uint32, resources map[string]int64) {
	l.cfg.Tags, l.cfg.Slots, l.cfg.Resources = tags, slots, resources
}

// Identify changes the machine that the next Register names.
func (l *Ledger) Identify(machine uint64) { l.cfg.Machine = machine }

// SetExternal says how many tasks run outside any lease. They take slots; the
// next Register, Heartbeat or Beat reports them.
func (l *Ledger) SetExternal(n uint32) { l.external = n }

// Superseded starts a new incarnation, which promises nothing and remembers
// nothing: the leases of the old one name it and are refused for that. What
// runs goes on and is listed in the next Register.
func (l *Ledger) Superseded(incarnation uint64) {
	l.cfg.Incarnation = incarnation
	l.promised = wire.Grantor{}
	l.seq, l.beats = 0, 0
	l.ended = memory{}
	l.Disconnected()
}

// Disconnected says that the connection is gone. Leases run on, and leases of
// the promised grantor still begin; all of it is listed in the next Register.
func (l *Ledger) Disconnected() {
	l.handle, l.asked, l.known = 0, false, false
	l.refused = nil
}

// Restore puts a lease of an earlier incarnation back, as All returned it: one
// that runs, or one with an outcome that was not acknowledged. The record's
// slices are kept.
func (l *Ledger) Restore(r wire.Record, caller string) error {
	if l.leases[r.Lease] != nil {
		return errors.New("ledger: the lease " + r.Lease.String() + " is restored twice")
	}
	if !l.fits(&r) {
		return ErrMemoryFull
	}
	l.put(&lease{record: r, caller: caller})
	return nil
}

// fits reports whether a registration has room for one more record.
func (l *Ledger) fits(r *wire.Record) bool {
	return len(l.leases) < MaxLeases && l.bytes+recordBytes(r) <= MaxListBytes
}

// put takes in a lease that fits.
func (l *Ledger) put(e *lease) {
	if l.leases == nil {
		l.leases = make(map[wire.LeaseID]*lease)
	}
	l.leases[e.record.Lease] = e
	l.bytes += recordBytes(&e.record)
	if e.record.Outcome == wire.ReasonNone {
		l.running++
		l.digest ^= e.record.Lease.Digest()
	}
}

// drop forgets a lease whose end is acknowledged; it stays remembered.
func (l *Ledger) drop(e *lease) {
	delete(l.leases, e.record.Lease)
	l.bytes -= recordBytes(&e.record)
}

// recordBytes is at least what a record takes in a registration.
func recordBytes(r *wire.Record) int {
	const fixed = 64 // the id, numbers and the heads of all fields
	return fixed + len(r.Task) + len(r.Client) + len(r.Owner) + len(r.Group) + len(r.Resources)
}
