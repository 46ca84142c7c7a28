package client

import (
	"errors"
	"fmt"

	"github.com/dtask/dtask-scheduler/wire"
)

// One sentinel for each code of the protocol, for errors.Is. The error that
// matches also carries the scheduler's own words: errors.As finds a
// *wire.Error with the message, the field or limit at fault, and the time after
// which a repeat makes sense.
var (
	ErrBadFrame           error = sentinel(wire.CodeBadFrame)           // the peer could not read a frame
	ErrFrameTooLarge      error = sentinel(wire.CodeFrameTooLarge)      // the request does not fit into a frame
	ErrBadRequest         error = sentinel(wire.CodeBadRequest)         // a field is missing or out of range
	ErrUnknownKind        error = sentinel(wire.CodeUnknownKind)        // the scheduler is too old for this call
	ErrProtocol           error = sentinel(wire.CodeProtocol)           // a message out of turn
	ErrUnsupportedVersion error = sentinel(wire.CodeUnsupportedVersion) // no common protocol version
	ErrUnavailable        error = sentinel(wire.CodeUnavailable)        // the workers that could take the task are busy
	ErrInfeasible         error = sentinel(wire.CodeInfeasible)         // no known worker has what the task needs
	ErrConflict           error = sentinel(wire.CodeConflict)           // the task id is in use with other content
	ErrNotFound           error = sentinel(wire.CodeNotFound)           // no such lease, worker or page
	ErrAlreadyEnded       error = sentinel(wire.CodeAlreadyEnded)       // the lease has ended before
	ErrBegun              error = sentinel(wire.CodeBegun)              // the task runs: its worker alone ends the lease
	ErrAskedBack          error = sentinel(wire.CodeAskedBack)          // the worker was asked for the lease and decides
	ErrSuperseded         error = sentinel(wire.CodeSuperseded)         // a newer incarnation of the worker is registered
	ErrTagLimit           error = sentinel(wire.CodeTagLimit)           // the fleet has too many distinct tags
	ErrWorkerLimit        error = sentinel(wire.CodeWorkerLimit)        // the fleet has too many workers
	ErrSearchLimit        error = sentinel(wire.CodeSearchLimit)        // the search for a worker with room was given up: ask again
	ErrAllOrNone          error = sentinel(wire.CodeAllOrNone)          // another task of the gang found no place
	ErrResourceLimit      error = sentinel(wire.CodeResourceLimit)      // the fleet has too many distinct resource names
	ErrQueueFull          error = sentinel(wire.CodeQueueFull)          // too many tasks wait, of all or of one owner
	ErrCancelled          error = sentinel(wire.CodeCancelled)          // the task waited for room and was cancelled
	ErrOwnerLimit         error = sentinel(wire.CodeOwnerLimit)         // the owner has as many leases as one owner may have
	ErrDeviceInUse        error = sentinel(wire.CodeDeviceInUse)        // a GPU of the registration belongs to another worker
	ErrWorkerInUse        error = sentinel(wire.CodeWorkerInUse)        // an agent of another machine has the worker id, and is alive
	ErrWaiting            error = sentinel(wire.CodeWaiting)            // a task of a batch waits; only users of Conn meet it
	ErrLeaseLimit         error = sentinel(wire.CodeLeaseLimit)         // too many leases live at once
	ErrBusy               error = sentinel(wire.CodeBusy)               // the scheduler is at a limit; try again later
	ErrDraining           error = sentinel(wire.CodeDraining)           // the scheduler is stopping
	ErrNotRegistered      error = sentinel(wire.CodeNotRegistered)      // the handle names no registered worker
	ErrUnauthorized       error = sentinel(wire.CodeUnauthorized)       // the token is missing or wrong
	ErrSlowConsumer       error = sentinel(wire.CodeSlowConsumer)       // answers were not read fast enough
	ErrInternal           error = sentinel(wire.CodeInternal)           // a fault of the scheduler
	ErrTimeout            error = sentinel(wire.CodeTimeout)            // a handshake or a frame took too long
)

// Errors that this side finds by itself.
var (
	// ErrClosed answers every call on a Client or Conn after Close.
	ErrClosed = errors.New("dtask: the client is closed")
	// ErrDisconnected says that a connection ended before the answer came.
	// Calls of a Client are repeated on the next connection; only users of
	// Conn meet it.
	ErrDisconnected = errors.New("dtask: the connection ended before the answer came")
	// ErrFull says that a Conn has MaxInFlight requests without an answer, or
	// as many bytes as it may hold that the peer did not take yet.
	ErrFull = errors.New("dtask: the connection has too many requests in flight")
	// ErrReleased answers the use of a lease after Release.
	ErrReleased = errors.New("dtask: the lease was released")
	// ErrLost answers the use of a lease that can no longer be begun; Lease.Err
	// wraps it together with the cause.
	ErrLost = errors.New("dtask: the lease is lost")
)

// sentinel is a code as a question to errors.Is.
type sentinel wire.Code

func (s sentinel) Error() string { return "dtask: " + wire.Code(s).String() }

// TooOldError says that the scheduler is older than a field of a task and would
// silently ignore it, such as a selector. Nothing was sent; an update of the
// scheduler helps.
type TooOldError struct {
	Field  string // as the protocol names it, such as selector or all_or_none
	Server string // the scheduler's version
}

// Error names the field and the scheduler's version.
func (e *TooOldError) Error() string {
	return fmt.Sprintf("dtask: %s: the scheduler is too old to know this field and would ignore it; its version is %.100q", e.Field, e.Server)
}

// refusal is the scheduler's answer that a request failed, or this side's, which
// saves asking.
type refusal struct {
	what  string // what was asked for, such as "schedule t1"
	err   *wire.Error
	cause error // of a refusal of this side: more than err can say, or nil
}

// refused wraps an answer of the scheduler.
func refused(what string, err *wire.Error) error { return &refusal{what: what, err: err} }

func (r *refusal) Error() string { return fmt.Sprintf("dtask: %s: %v", r.what, r.err) }

// Is makes errors.Is(err, ErrUnavailable) and its like work.
func (r *refusal) Is(target error) bool {
	s, ok := target.(sentinel)
	return ok && wire.Code(s) == r.err.Code
}

// Unwrap lets errors.As find the *wire.Error, and the *selector.Error of an
// expression.
func (r *refusal) Unwrap() []error {
	if r.cause != nil {
		return []error{r.err, r.cause}
	}
	return []error{r.err}
}

// explain names the request in an error: one of the scheduler becomes a
// refusal, any other is kept as it is.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if w, ok := err.(*wire.Error); ok {
		return refused(what, w)
	}
	return err
}
