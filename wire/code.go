package wire

import "strconv"

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
	CodeAskedBack          Code = 13 // the lease was asked back from its worker; the worker's answer frees its slot
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
	CodeSearchLimit        Code = 25 // the search for a worker was given up; the task may fit
	CodeAllOrNone          Code = 26 // another task of the gang found no place
	CodeResourceLimit      Code = 27 // the fleet has too many distinct resource names
	CodeWaiting            Code = 28 // of a task of a batch: it is in the queue, and Settled answers it later
	CodeQueueFull          Code = 29 // too many tasks wait, of all or of one owner
	CodeCancelled          Code = 30 // the task waited and was cancelled
	CodeOwnerLimit         Code = 31 // the owner has as many leases as one owner may have
	CodeDeviceInUse        Code = 32 // a GPU of the registration belongs to another worker
	CodeWorkerInUse        Code = 33 // an agent of another machine has the worker id, and is alive
)

var codeNames = [...]string{
	CodeOK:                 "ok",
	CodeBadFrame:           "bad_frame",
	CodeFrameTooLarge:      "frame_too_large",
	CodeBadRequest:         "bad_request",
	CodeUnknownKind:        "unknown_kind",
	CodeProtocol:           "protocol",
	CodeUnsupportedVersion: "unsupported_version",
	CodeUnavailable:        "unavailable",
	CodeInfeasible:         "infeasible",
	CodeConflict:           "conflict",
	CodeNotFound:           "not_found",
	CodeAlreadyEnded:       "already_ended",
	CodeBegun:              "begun",
	CodeAskedBack:          "asked_back",
	CodeSuperseded:         "superseded",
	CodeTagLimit:           "tag_limit",
	CodeWorkerLimit:        "worker_limit",
	CodeLeaseLimit:         "lease_limit",
	CodeBusy:               "busy",
	CodeDraining:           "draining",
	CodeNotRegistered:      "not_registered",
	CodeUnauthorized:       "unauthorized",
	CodeSlowConsumer:       "slow_consumer",
	CodeInternal:           "internal",
	CodeTimeout:            "timeout",
	CodeSearchLimit:        "search_limit",
	CodeAllOrNone:          "all_or_none",
	CodeResourceLimit:      "resource_limit",
	CodeWaiting:            "waiting",
	CodeQueueFull:          "queue_full",
	CodeCancelled:          "cancelled",
	CodeOwnerLimit:         "owner_limit",
	CodeDeviceInUse:        "device_in_use",
	CodeWorkerInUse:        "worker_in_use",
}

// sentences say for people what a code means for a task that is refused.
var sentences = map[Code]string{
	CodeUnavailable: "the workers that could take it are busy",
	CodeInfeasible:  "no known worker has what the task requires",
	CodeConflict:    "the task id is in use with other content",
	CodeLeaseLimit:  "too many leases are alive",
	CodeSearchLimit: "the search for a worker with room was given up",
	CodeAllOrNone:   "another task of the gang found no place",
	CodeWaiting:     "the task waits for room",
	CodeQueueFull:   "too many tasks wait",
	CodeCancelled:   "the task was cancelled while it waited",
	CodeOwnerLimit:  "the owner has as many leases as one owner may have",
}

// Sentence says what a code means for a task that is refused; "" for codes with
// which none is.
func (c Code) Sentence() string { return sentences[c] }

// String returns the code's name, such as already_ended; an unknown code is
// shown as code_99.
func (c Code) String() string { return name(codeNames[:], int(c), "code_") }

// ParseCode returns the code with the given name, and whether there is one.
func ParseCode(s string) (Code, bool) {
	for i, n := range codeNames {
		if n == s {
			return Code(i), true
		}
	}
	return 0, false
}

// name returns the i-th name, or prefix and the number where it has none.
func name(names []string, i int, prefix string) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return prefix + strconv.Itoa(i)
}
