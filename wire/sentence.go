package wire

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

// Refuse makes r the refusal e. Its message is sent along where it says more than
// its code.
func (r *BatchResult) Refuse(e *Error) {
	*r = BatchResult{Code: e.Code}
	if e.Message != e.Code.Sentence() {
		r.Message = e.Message
	}
}

// Sentence says for people why the task was refused; "" if it was not.
func (r *BatchResult) Sentence() string {
	if r.Message != "" {
		return r.Message
	}
	return r.Code.Sentence()
}
