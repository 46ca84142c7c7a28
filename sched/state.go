// Package sched is the scheduler itself: workers, leases and the choice of a
// worker for a task, as a data structure that is driven from outside. It has no
// clock, no socket, no goroutine and no lock: time is an argument, and what it
// wants sent is left in an Outbox. The same calls give the same answers.
package sched

import "github.com/dtask/dtask-scheduler/wire"

const leaseSlotBits = 24

// State is one scheduler.
type State struct{ cfg Config }

// New returns an empty scheduler.
func New(cfg Config) (*State, error) { return &State{cfg: cfg}, cfg.Verify() }

// Apply handles one message of a session and appends the answers, and messages
// for other sessions, to out. The first message of a session other than 0 must
// be Hello. It keeps no byte of m. request is echoed in the answer.
func (s *State) Apply(now Time, from Session, request uint64, m wire.Message, out *Outbox) {}

// Close forgets a session whose connection is gone. Workers registered through
// it become suspicious at once; its leases live on.
func (s *State) Close(now Time, id Session, out *Outbox) {}

// Pulse handles what has become due, at most 1,024 items. Call it when
// NextPulse says so, and again while NextPulse is not after now.
func (s *State) Pulse(now Time, out *Outbox) {}

// NextPulse returns when Pulse should be called next, Never if nothing is due
// ever. It may be too early, never too late.
func (s *State) NextPulse() Time { return Never }

// Check tests every invariant that can be seen on one state and returns the
// first violation. It visits everything.
func (s *State) Check() error { return nil }

// Report is one heartbeat of a worker that speaks HTTP.
type Report struct {
	Worker    string
	Address   string
	Tags      []string // kept verbatim, in this order
	Slots     uint32   // max_tasks
	Current   uint32   // current_tasks, as the worker counts
	Timestamp int64    // the worker's clock in seconds; only orders its own heartbeats
}

// Report applies one heartbeat of an HTTP worker; the first one registers it.
// Errors are *wire.Error (tag limit, worker limit, or conflict: the id belongs
// to a worker that speaks leases and lives).
func (s *State) Report(now Time, r *Report, out *Outbox) error { return nil }

// RemoveWorker removes a worker of either kind; its leases end as lost. It
// reports whether the worker was known.
func (s *State) RemoveWorker(now Time, id string, out *Outbox) bool { return false }
