package client

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
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
	// Preempt takes the room from tasks of a strictly lower priority that may be
	// preempted, if there is none without it: they are told, and have the
	// scheduler's grace to end. Wait must be that grace at least. Not of a gang.
	Preempt bool
	// OnPreempt says what becomes of this task when it must make room itself; the
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

// Check returns what Schedule and its like refuse before they ask: an
// ErrBadRequest whose *wire.Error names the field and the limit, for an
// expression with a *selector.Error that names the column.
func (t *Task) Check() error {
	switch {
	case !wire.ValidID(t.ID):
		return badField("task", fmt.Sprintf("the task id %.150q is not 1 to %d bytes of [A-Za-z0-9._:@/-]", t.ID, wire.MaxID))
	case t.Owner != "" && !wire.ValidID(t.Owner):
		return badField("owner", fmt.Sprintf("the owner %.150q is not at most %d bytes of [A-Za-z0-9._:@/-]", t.Owner, wire.MaxID))
	case t.Group != "" && !wire.ValidID(t.Group):
		return badField("group", fmt.Sprintf("the group %.150q is not at most %d bytes of [A-Za-z0-9._:@/-]", t.Group, wire.MaxID))
	case len(t.Tags) > wire.MaxTaskTags:
		return badLimit("tags", wire.MaxTaskTags, fmt.Sprintf("%d tags are more than %d", len(t.Tags), wire.MaxTaskTags))
	case slices.ContainsFunc(t.Tags, func(tag string) bool { return !validTag(tag) }):
		return badLimit("tags", wire.MaxTag, fmt.Sprintf("a tag is not 1 to %d bytes of UTF-8 without control characters", wire.MaxTag))
	case t.Priority < -wire.MaxPriority || t.Priority > wire.MaxPriority:
		return badLimit("priority", wire.MaxPriority, fmt.Sprintf("the priority %d is not in [-%d, %d]", t.Priority, wire.MaxPriority, wire.MaxPriority))
	case t.StartWithin < 0:
		return badField("start_within", fmt.Sprintf("start_within: %v is negative", t.StartWithin))
	case t.TTL < 0 || t.TTL.Milliseconds() > wire.MaxTTL:
		return badLimit("ttl_ms", wire.MaxTTL, fmt.Sprintf("the ttl %v is not in [0, 24h]", t.TTL))
	}
	if err := t.checkChoice(); err != nil {
		return err
	}
	if err := t.checkWait(); err != nil {
		return err
	}
	if err := t.checkPreempt(); err != nil {
		return err
	}
	return t.checkResources()
}

func (t *Task) checkResources() error {
	if len(t.Resources) > wire.MaxResources {
		return badLimit("resources", wire.MaxResources, fmt.Sprintf("resources: %d names are more than %d", len(t.Resources), wire.MaxResources))
	}
	for name, amount := range t.Resources {
		switch {
		case !wire.ValidID(name):
			return badLimit("resources", wire.MaxID, fmt.Sprintf("resources: the name %.150q is not 1 to %d bytes of [A-Za-z0-9._:@/-]", name, wire.MaxID))
		case amount < 0 || amount > wire.MaxAmount:
			return badLimit("resources", wire.MaxAmount, fmt.Sprintf("resources: %d of %s is not in [0, %d]", amount, name, int64(wire.MaxAmount)))
		case name == resource.GPU && amount > wire.MaxDevices:
			return badLimit("resources", wire.MaxDevices, fmt.Sprintf("resources: %d GPU devices are more than the %d that a worker can have", amount, wire.MaxDevices))
		}
	}
	return nil
}

func badField(field, message string) error {
	return refused("schedule", &wire.Error{Code: wire.CodeBadRequest, Field: field, Message: message})
}

func badLimit(field string, limit uint64, message string) error {
	return refused("schedule", &wire.Error{Code: wire.CodeBadRequest, Field: field, Limit: limit, Message: message})
}

// validTag reports whether a tag is one that the protocol carries.
func validTag(tag string) bool {
	return tag != "" && len(tag) <= wire.MaxTag && utf8.ValidString(tag) && strings.IndexFunc(tag, unicode.IsControl) < 0
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
