package wire

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

var stateNames = [...]string{
	StateNone:      "none",
	StateGranted:   "granted",
	StateAskedBack: "asked_back",
	StateBegun:     "begun",
	StateAssumed:   "assumed",
	StateEnded:     "ended",
}

// String returns the state's name, such as asked_back.
func (s State) String() string { return name(stateNames[:], int(s), "state_") }

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
	ReasonPreempted Reason = 8 // it was preempted, and its worker reported that it failed or was lost
)

// IsOutcome reports whether a worker may report r as the end of a lease.
func (r Reason) IsOutcome() bool { return r >= ReasonOK && r <= ReasonLost }

var reasonNames = [...]string{
	ReasonNone:      "none",
	ReasonOK:        "ok",
	ReasonFailed:    "failed",
	ReasonRefused:   "refused",
	ReasonLost:      "lost",
	ReasonReleased:  "released",
	ReasonRevoked:   "revoked",
	ReasonBelieved:  "believed",
	ReasonPreempted: "preempted",
}

// String returns the reason's name, such as released.
func (r Reason) String() string { return name(reasonNames[:], int(r), "reason_") }
