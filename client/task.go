package client

import (
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Policy says which of the workers that fit is chosen.
type Policy string

// The policies.
const (
	LeastLoaded Policy = "least-loaded" // the one with the most room left, exactly
	Pack        Policy = "pack"         // the fullest: leaves machines empty for large tasks
	Spread      Policy = "spread"       // evenly over the values of SpreadBy, within one batch
)

// defaultStartWithin is how long a lease is kept for a task that does not begin.
const defaultStartWithin = 60 * time.Second

// Task is what Schedule asks a place for.
type Task struct {
	// ID names the task, 1 to 128 bytes of [A-Za-z0-9._:@/-]. While a lease for
	// it lives, the same client id asking again gets the same lease.
	ID string
	// Tags are what the worker must have, at most 16 of 1 to 256 bytes.
	Tags []string
	// Owner and Group are kept with the lease, under the rules of ID; optional.
	Owner, Group string
	// Priority lies in [-1,000,000, 1,000,000]; higher goes first.
	Priority int32
	// Resources are amounts that the task takes from the worker, at most 8: cpu
	// in millicores, mem in MiB, gpu in whole devices, gpu_mem in MiB of one
	// device or of each whole one, any other name as the worker counts it. 0 asks
	// for nothing.
	Resources map[string]int64

	// Selector is an expression over the worker's tags that must hold beside
	// Tags, at most 4,096 bytes: gpu && cuda>=12 && !spot (docs/selectors.md).
	Selector string
	// Prefer is an expression; workers for which it holds are chosen first, if
	// any of them fits.
	Prefer string
	// NotWorkers are ids of workers that must not be chosen, at most 16 of 1 to
	// 1,024 bytes: those that a retry avoids.
	NotWorkers []string
	// Exclusive takes a whole idle worker.
	Exclusive bool
	// Policy says which of the workers that fit is chosen; "" is LeastLoaded.
	Policy Policy
	// SpreadBy is the tag key over whose values Spread spreads the tasks of one
	// ScheduleAll or ScheduleGang, at most 256 bytes; it goes with Spread alone.
	SpreadBy string

	// Wait is how long the scheduler may keep the task in its queue until there
	// is room, at most 24 hours; 0: not at all (docs/queue.md). Of a gang the
	// first task's counts. A task that is asked for again on another connection
	// waits for what is left, at the end of its line.
	Wait time.Duration
	// WaitForWorkers has a task with a Wait wait also while no known worker could
	// take it, for such workers to come; otherwise it is refused as infeasible. Where
	// no worker is known at all it waits in any case. Of a gang the first task's
	// counts.
	WaitForWorkers bool
	// Preempt preempts tasks of a strictly lower priority, if no capacity is
	// free: they get a notice, and have the scheduler's grace to end. Wait must
	// be that grace at least. Not of a gang.
	Preempt bool
	// OnPreempt says what becomes of this task when it is preempted itself; the
	// zero value lets it end if its Priority is below 0, and else be left alone.
	OnPreempt OnPreempt
	// TTL asks for a lease that lives this long, at most 24 hours, without
	// renewals: for programs that exit at once. 0: the client renews it.
	TTL time.Duration
	// StartWithin bounds how long the client renews the lease of a task that
	// does not begin; then it gives it up. 0 means 60 seconds. It does not
	// matter if TTL is set.
	StartWithin time.Duration
}

// startWithin returns how long the client keeps a lease for the task.
func (t *Task) startWithin() time.Duration {
	if t.StartWithin == 0 {
		return defaultStartWithin
	}
	return t.StartWithin
}

// pack writes the task as a request whose slices lie in scratch, which it
// returns grown.
func (t *Task) pack(m *wire.Schedule, scratch []byte) []byte {
	start := len(scratch)
	cut := func() []byte {
		part := scratch[start:len(scratch):len(scratch)]
		start = len(scratch)
		return part
	}
	// Growing moves scratch; the parts cut before keep the old memory.
	scratch = append(scratch, t.ID...)
	m.Task = cut()
	m.Tags, m.Resources = nil, nil
	if len(t.Tags) > 0 {
		scratch = wire.AppendTags(scratch, t.Tags)
		m.Tags = cut()
	}
	scratch = append(scratch, t.Owner...)
	m.Owner = cut()
	scratch = append(scratch, t.Group...)
	m.Group = cut()
	if len(t.Resources) > 0 {
		scratch = wire.AppendResources(scratch, t.Resources)
		m.Resources = cut()
	}
	t.packChoice(m)
	m.Priority, m.WaitMS, m.Preempt, m.OnPreempt = t.Priority, 0, t.Preempt, t.OnPreempt
	m.WaitForWorkers = t.WaitForWorkers
	m.TTLMS = uint32((t.TTL + time.Millisecond - 1) / time.Millisecond)
	return scratch
}

// blanks makes one kind of all blanks that an expression may have: the protocol
// carries no others.
var blanks = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")

// packChoice writes what only some tasks say; it may allocate.
func (t *Task) packChoice(m *wire.Schedule) {
	m.Selector, m.Prefer, m.NotWorkers, m.Policy, m.SpreadBy = nil, nil, nil, nil, nil
	m.Exclusive = t.Exclusive
	for _, part := range [...]struct {
		to   *[]byte
		text string
	}{{&m.Selector, blanks.Replace(t.Selector)}, {&m.Prefer, blanks.Replace(t.Prefer)}, {&m.Policy, string(t.Policy)}, {&m.SpreadBy, t.SpreadBy}} {
		if part.text != "" {
			*part.to = []byte(part.text)
		}
	}
	if len(t.NotWorkers) > 0 {
		m.NotWorkers = wire.AppendWorkers(nil, t.NotWorkers)
	}
}

// choiceBytes is at least what packChoice adds to a request.
func (t *Task) choiceBytes() int {
	n := len(t.Selector) + len(t.Prefer) + len(t.Policy) + len(t.SpreadBy)
	for _, id := range t.NotWorkers {
		n += len(id) + 3
	}
	return n
}

// newer returns the first field of a task that an older scheduler would ignore,
// and the name among the limits of hello_ok that one which knows the field has;
// "" if there is none.
func (t *Task) newer() (field, limit string) {
	switch {
	case t.Preempt:
		return "preempt", graceLimit
	case t.OnPreempt != OnPreemptDefault:
		return "on_preempt", graceLimit
	case t.Selector != "":
		return "selector", "selector"
	case t.Prefer != "":
		return "prefer", "selector"
	case len(t.NotWorkers) > 0:
		return "not_workers", "not_workers"
	case t.Exclusive:
		return "exclusive", "selector"
	case t.Policy != "" && t.Policy != LeastLoaded:
		return "policy", "selector"
	case t.WaitForWorkers:
		return "wait_for_workers", "wait_for_workers"
	case t.Wait > 0:
		return "wait_ms", "wait_ms"
	}
	for _, amount := range t.Resources {
		if amount != 0 {
			return "resources", "devices" // it kept them with the lease, and took nothing
		}
	}
	return "", ""
}

// knows returns a *TooOldError if the scheduler would ignore a field of the task,
// and what is wrong if its wait is shorter than the grace.
func (c *Conn) knows(t *Task) error {
	if field, limit := t.newer(); field != "" {
		if err := c.knowsField(field, limit); err != nil {
			return err
		}
	}
	return t.waitsOut(c.grace())
}

func (c *Conn) knowsField(field, limit string) error {
	if _, known := c.welcome.Limits[limit]; known {
		return nil
	}
	return &TooOldError{Field: field, Server: c.welcome.Server}
}
