package client

import (
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// Flags tell more about a placement.
type Flags uint8

// Repeat reports whether the task held this lease already when it was asked for.
func (f Flags) Repeat() bool { return f&wire.PlacedRepeat != 0 }

// Begun reports whether the task ran already when the lease was asked for.
func (f Flags) Begun() bool { return f&wire.PlacedBegun != 0 }

// AskedBack reports whether the scheduler had asked the worker for the lease
// before; the worker may refuse the begin.
func (f Flags) AskedBack() bool { return f&wire.PlacedAskedBack != 0 }

// BestEffort reports whether the worker speaks HTTP and no leases: the room is a
// heuristic, and the task needs no begin.
func (f Flags) BestEffort() bool { return f&wire.PlacedBestEffort != 0 }

// standing is where a lease stands, as its client knows.
type standing uint8

const (
	held      standing = iota // renewed, or within its ttl
	releasing                 // a release is on its way: never handed over again
	released                  // given back, or its worker decides
	begun                     // the worker owns it
	ended                     // the task is over
	lost                      // it can not be begun any more
)

// Lease is room on a worker for one task. Its methods are safe for concurrent
// use.
type Lease struct {
	book        *book
	id          wire.LeaseID
	task        Task
	worker      string
	address     string
	incarnation uint64
	flags       Flags
	devices     uint64
	ttl         time.Duration // 0: the client renews it

	// What follows is guarded by book.mu.
	beginBy    time.Time // the end of the ttl, or of StartWithin
	holds      int       // calls that keep it for a caller that does not have it yet
	standing   standing
	handed     bool          // Hand was called
	abandoned  bool          // being released, but not by its holder
	told       bool          // signal is closed
	cause      error         // why it is lost
	answer     error         // what Release returns
	refusals   int           // workers that refused the task before; see ScheduleElsewhere
	sends      int           // how often its release was sent
	due        time.Time     // of the next renewal
	expiry     *time.Timer   // of a lease with a ttl
	signal     chan struct{} // made by Lost
	settled    chan struct{} // closed when the release was answered
	follow     *follow       // nil unless it is followed beyond its begin
	prev, next *Lease        // in the order of due
}

// ID returns the id of the lease.
func (l *Lease) ID() wire.LeaseID { return l.id }

// Task returns the task that the lease was asked for.
func (l *Lease) Task() Task { return l.task }

// Worker returns the id of the worker.
func (l *Lease) Worker() string { return l.worker }

// Address returns where the worker takes tasks, as the worker announced it.
func (l *Lease) Address() string { return l.address }

// Devices returns the worker's GPU devices that the lease takes, by their
// numbers there, nil for none.
func (l *Lease) Devices() []int {
	if l.devices == 0 {
		return nil
	}
	return capacity.Bits(l.devices)
}

// Flags returns what the scheduler said about the placement.
func (l *Lease) Flags() Flags { return l.flags }

// BeginBy returns by when the task must have begun: the end of its TTL or, of a
// lease that the client renews, of StartWithin. ScheduleEach moves the former on
// while it goes on.
func (l *Lease) BeginBy() time.Time { return l.book.beginBy(l) }

func (l *Lease) String() string {
	return fmt.Sprintf("lease %v of task %s on %s at %s", l.id, l.task.ID, l.worker, l.address)
}

// Hand marks the lease as handed over and returns what the worker needs for its
// begin; as JSON it may travel by any means. It may be called again, to try the
// same worker once more. It fails after Release and when the lease is lost.
//
// A lease that was handed over and then released is asked back from the worker,
// since the begin may still be on its way.
func (l *Lease) Hand() (wire.Handover, error) {
	if err := l.book.hand(l, time.Now()); err != nil {
		return wire.Handover{}, err
	}
	return wire.Handover{
		Lease: l.id, Worker: l.worker, Address: l.address, Incarnation: l.incarnation,
		Task: l.task.ID, Client: l.book.client, Owner: l.task.Owner, Group: l.task.Group,
		Priority: l.task.Priority, Resources: l.task.Resources,
		Devices: l.Devices(), Exclusive: l.task.Exclusive, OnPreempt: l.task.OnPreempt,
	}, nil
}

// Began tells the client that the worker has accepted the begin, so that it
// stops renewing at once. It is optional: the next renewal finds out.
func (l *Lease) Began() { l.book.began(l) }

// Lost returns a channel that is closed when the lease can no longer be begun
// and its holder did not release it: it was asked back, forgotten by the
// scheduler, ended without having run, or given up after StartWithin or Close.
// Err says why. If it was handed over, its worker may run the task all the same:
// ask it before you schedule the task elsewhere.
func (l *Lease) Lost() <-chan struct{} { return l.book.lostSignal(l) }

// Err returns nil while the lease may be used or its task runs, ErrReleased
// after Release, and an error that wraps ErrLost and the cause when it is lost.
func (l *Lease) Err() error { return l.book.errOf(l) }
