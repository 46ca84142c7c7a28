package wire

// OnPreempt says what becomes of a task when another of a higher priority, or
// a drain, wants its room. A drain preempts all tasks, whatever they say.
type OnPreempt uint8

// What becomes of a task that must make room.
const (
	OnPreemptDefault OnPreempt = 0 // OnPreemptEnd for a priority below 0, else OnPreemptNever
	OnPreemptEnd     OnPreempt = 1 // it ends
	OnPreemptRequeue OnPreempt = 2 // it ends, and waits again at its old place, as long as its client is connected
	OnPreemptNever   OnPreempt = 3 // no other task takes its room
)

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

// Preemptible reports whether another task of a higher priority may take the
// room of a task with this priority.
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
	NewsPreempted News = 1 // the task must make room within the grace
	NewsRequeued  News = 2 // its lease has ended, and it waits again: ask for it once more
	NewsOver      News = 3 // its lease has ended, and it does not wait
)

// Notice tells the client of a lease that its task must make room and, if it
// asked for OnPreemptRequeue, what became of it. It goes to the connection of
// the client that said hello last.
type Notice struct {
	Lease   LeaseID
	Task    string
	News    News
	GraceMS uint32 // of NewsPreempted: how long the task may go on, at most MaxGrace
	Reason  Reason // of NewsRequeued and NewsOver: how the lease ended
}

// Kind returns KindNotice.
func (*Notice) Kind() Kind { return KindNotice }

func (m *Notice) fields() []field {
	return []field{
		{"lease", lease{&m.Lease}},
		foreign("task", &m.Task),
		number8("news", &m.News),
		number("grace_ms", &m.GraceMS, MaxGrace),
		number8("reason", &m.Reason),
	}
}

func (m *Notice) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// onPreempt reads what becomes of a task that must make room.
func (r *reader) onPreempt() OnPreempt {
	return OnPreempt(r.uint("on_preempt", uint64(OnPreemptNever)))
}
