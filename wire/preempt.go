package wire

// OnPreempt says whether a task of a higher priority may preempt this one, and
// what follows. A drain with a deadline preempts all tasks.
type OnPreempt uint8

// The values of OnPreempt.
const (
	OnPreemptDefault OnPreempt = 0 // OnPreemptEnd for a priority below 0, else OnPreemptNever
	OnPreemptEnd     OnPreempt = 1 // it ends
	OnPreemptRequeue OnPreempt = 2 // it ends, and waits again at its old place, as long as its client is connected
	OnPreemptNever   OnPreempt = 3 // no other task preempts it
)

var onPreemptNames = [...]string{
	OnPreemptDefault: "default",
	OnPreemptEnd:     "end",
	OnPreemptRequeue: "requeue",
	OnPreemptNever:   "never",
}

// String returns the word for o, such as requeue.
func (o OnPreempt) String() string { return name(onPreemptNames[:], int(o), "on_preempt_") }

// ParseOnPreempt returns what the word for it means; the empty word is the
// default. ok is false for any other word.
func ParseOnPreempt(word string) (o OnPreempt, ok bool) {
	if word == "" {
		return OnPreemptDefault, true
	}
	for i, n := range onPreemptNames {
		if n == word {
			return OnPreempt(i), true
		}
	}
	return 0, false
}

// MarshalText returns the word for o; the error is always nil.
func (o OnPreempt) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a word that ParseOnPreempt knows; any other is an *Error
// with CodeBadRequest for the field on_preempt.
func (o *OnPreempt) UnmarshalText(text []byte) error {
	known := false
	if *o, known = ParseOnPreempt(string(text)); !known {
		return badField("on_preempt", 0, "is none of end, requeue and never")
	}
	return nil
}

// Preemptible reports whether a task with this priority may be preempted by one
// of a higher priority.
func (o OnPreempt) Preemptible(priority int32) bool {
	if o == OnPreemptDefault {
		return priority < 0
	}
	return o != OnPreemptNever
}

// News says what a Notice is about.
type News uint8

// What a Notice is about.
const (
	NewsPreempted News = 1 // the task must end within the grace
	NewsRequeued  News = 2 // its lease has ended, and it waits again: ask for it once more
	NewsOver      News = 3 // its lease has ended, and it does not wait
)

var newsNames = [...]string{
	NewsPreempted: "preempted",
	NewsRequeued:  "requeued",
	NewsOver:      "over",
}

// String returns the word for n, such as requeued.
func (n News) String() string { return name(newsNames[:], int(n), "news_") }

// Preempt tells a worker that a running task is preempted. It has no
// answer but the end of the task.
type Preempt struct {
	Handle  uint32  `wire:"handle uint32"` // which worker of the connection
	Lease   LeaseID `wire:"lease lease"`
	GraceMS uint32  `wire:"grace_ms grace"` // how long it may go on, at most MaxGrace; 0: it is to be killed now
	Reason  string  `wire:"reason reason"`  // why, for people; at most MaxReason bytes
}

func (*Preempt) Kind() Kind                                 { return KindPreempt }
func (m *Preempt) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Notice tells the client of a lease that its task is preempted and, if it
// asked for OnPreemptRequeue, what became of it. It goes to the connection of
// the client that said hello last.
type Notice struct {
	Lease   LeaseID `wire:"lease lease"`
	Task    string  `wire:"task string"`    // the task's id
	News    News    `wire:"news uint8"`     // what has happened
	GraceMS uint32  `wire:"grace_ms grace"` // of NewsPreempted: how long the task may go on, at most MaxGrace
	Reason  Reason  `wire:"reason uint8"`   // of NewsRequeued and NewsOver: how the lease ended
}

func (*Notice) Kind() Kind                                 { return KindNotice }
func (m *Notice) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// onPreempt reads an OnPreempt.
func (r *reader) onPreempt() OnPreempt {
	return OnPreempt(r.uint("on_preempt", uint64(OnPreemptNever)))
}
