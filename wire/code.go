package wire

// Code says what became of a request. Codes are append-only and shared by both
// ends; on the wire a code is its number, in JSON and logs its name.
type Code uint16

// The codes.
const (
	CodeOK                 Code = 0
	CodeBadFrame           Code = 1  // the frame itself is broken: the connection closes
	CodeFrameTooLarge      Code = 2  // the frame is longer than the limit: the connection closes
	CodeBadRequest         Code = 3  // a field is missing, of a wrong type or out of range; Field names it
	CodeUnknownKind        Code = 4  // this scheduler does not know the kind; the connection stays
	CodeProtocol           Code = 5  // a message out of turn: the connection closes
	CodeUnsupportedVersion Code = 6  // no common protocol version: the connection closes
	CodeUnavailable        Code = 7  // the workers that could take the task are busy
	CodeInfeasible         Code = 8  // no known worker has what the task needs
	CodeConflict           Code = 9  // the task id is in use with other content
	CodeNotFound           Code = 10 // no such lease, worker or page
	CodeAlreadyEnded       Code = 11 // the lease has ended before; Reason says how
	CodeBegun              Code = 12 // the lease has begun: its worker alone ends it
	CodeAskedBack          Code = 13 // the lease was asked back from its worker; the room returns with the worker's answer
	CodeSuperseded         Code = 14 // a newer incarnation of this worker is registered
	CodeTagLimit           Code = 15 // the fleet has too many distinct tags
	CodeWorkerLimit        Code = 16 // the fleet has too many workers
	CodeLeaseLimit         Code = 17 // too many leases live at once
	CodeBusy               Code = 18 // the scheduler is at a limit of connections or output; try again later
	CodeDraining           Code = 19 // the scheduler is stopping
	CodeNotRegistered      Code = 20 // the handle names no registered worker of this connection
	CodeUnauthorized       Code = 21 // the token is missing or wrong
	CodeSlowConsumer       Code = 22 // the peer does not read its answers: the connection closes
	CodeInternal           Code = 23 // a fault of the scheduler; it is logged there
	CodeTimeout            Code = 24 // a handshake or a frame took too long: the connection closes
	CodeSearchLimit        Code = 25 // the search for a worker with room was given up; the task may fit
	CodeAllOrNone          Code = 26 // another task of the gang found no place
	CodeResourceLimit      Code = 27 // the fleet has too many distinct resource names
	CodeWaiting            Code = 28 // of a task of a batch: it waits for room, Settled answers it later
	CodeQueueFull          Code = 29 // too many tasks wait, of all or of one owner
	CodeCancelled          Code = 30 // the task waited and was cancelled
	CodeOwnerLimit         Code = 31 // the owner has as many leases as one owner may have
	CodeDeviceInUse        Code = 32 // a GPU of the registration belongs to another worker
	CodeWorkerInUse        Code = 33 // an agent of another machine has the worker id, and is alive
)

// State is where a lease stands.
type State uint8

// The states of a lease, in the order of its life.
const (
	StateNone      State = 0 // the scheduler does not know the lease
	StateGranted   State = 1 // owned by its client, kept by renewals
	StateAskedBack State = 2 // revoke was sent; the worker decides
	StateBegun     State = 3 // owned by its worker until it reports the end
	StateAssumed   State = 4 // on a worker that speaks no leases (HTTP): a heuristic, believed for seconds
	StateEnded     State = 5
)

// Reason says how a lease ended. The first four are outcomes, which a worker
// reports; the others are the scheduler's.
type Reason uint8

// The reasons.
const (
	ReasonNone      Reason = 0
	ReasonOK        Reason = 1 // outcome: the task succeeded
	ReasonFailed    Reason = 2 // outcome: the task failed
	ReasonRefused   Reason = 3 // outcome: the worker did not take it
	ReasonLost      Reason = 4 // outcome, or the worker is gone or came back without it
	ReasonReleased  Reason = 5 // released by its client before it began
	ReasonRevoked   Reason = 6 // asked back, and given back by the worker
	ReasonBelieved  Reason = 7 // an HTTP worker's own number took its place
	ReasonPreempted Reason = 8 // it had to make room, and its worker reported that it failed or was lost
)

// IsOutcome reports whether a worker may report r as the end of a lease.
func (r Reason) IsOutcome() bool { return r >= ReasonOK && r <= ReasonLost }
