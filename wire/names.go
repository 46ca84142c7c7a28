package wire

import "strconv"

// The names of the numbers of the protocol, as JSON, logs and metrics show
// them. Each list is indexed by its number.
var (
	codeNames = [...]string{
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
	stateNames = [...]string{
		StateNone:      "none",
		StateGranted:   "granted",
		StateAskedBack: "asked_back",
		StateBegun:     "begun",
		StateAssumed:   "assumed",
		StateEnded:     "ended",
	}
	reasonNames = [...]string{
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
	onPreemptNames = [...]string{
		OnPreemptDefault: "default",
		OnPreemptEnd:     "end",
		OnPreemptRequeue: "requeue",
		OnPreemptNever:   "never",
	}
	newsNames = [...]string{
		NewsPreempted: "preempted",
		NewsRequeued:  "requeued",
		NewsOver:      "over",
	}
	roleNames = [...]string{
		RoleClient: "client",
		RoleAgent:  "agent",
	}
)

// name returns the i-th name, or prefix and the number where it has none.
func name(names []string, i int, prefix string) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return prefix + strconv.Itoa(i)
}

// String returns the code's name, such as already_ended; an unknown code is
// shown as code_99.
func (c Code) String() string { return name(codeNames[:], int(c), "code_") }

// String returns the state's name, such as asked_back.
func (s State) String() string { return name(stateNames[:], int(s), "state_") }

// String returns the reason's name, such as released.
func (r Reason) String() string { return name(reasonNames[:], int(r), "reason_") }

// String returns the word for o, such as requeue.
func (o OnPreempt) String() string { return name(onPreemptNames[:], int(o), "on_preempt_") }

// String returns the word for n, such as requeued.
func (n News) String() string { return name(newsNames[:], int(n), "news_") }

// String returns the role's name.
func (r Role) String() string { return name(roleNames[:], int(r), "role_") }

// ParseCode returns the code with the given name, and whether there is one.
func ParseCode(s string) (Code, bool) {
	for i, n := range codeNames {
		if n == s {
			return Code(i), true
		}
	}
	return 0, false
}
