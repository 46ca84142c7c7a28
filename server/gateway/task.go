package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// taskRequest is the body of POST /api/v1/schedule. All but task_id may be
// missing.
type taskRequest struct {
	TaskID       string   `json:"task_id"`
	RequiredTags []string `json:"required_tags"`
	Owner        string   `json:"owner"`
	Group        string   `json:"group"`
	Priority     int64    `json:"priority"`
	Resources    amounts  `json:"resources"`
	TTLMS        int64    `json:"ttl_ms"`
	MaxWaitMS    int64    `json:"max_wait_ms"`
	ForWorkers   bool     `json:"wait_for_workers"`

	// Where it may run:
	Selector   string   `json:"selector"`
	Prefer     string   `json:"prefer"`
	NotWorkers []string `json:"not_workers"`
	Exclusive  bool     `json:"exclusive"`
	Policy     string   `json:"policy"`
	SpreadBy   string   `json:"spread_by"`

	// Preemption:
	Preempt   bool   `json:"preempt"`
	OnPreempt string `json:"on_preempt"`
}

// fieldFault returns what is wrong with one of the fields that came later, or
// nil: in a batch it refuses all of it. grace is that of tasks that must make
// room.
func (q *taskRequest) fieldFault(grace time.Duration) *wire.Error {
	if q.Resources.fault != nil {
		return q.Resources.fault
	}
	if e := outside("max_wait_ms", q.MaxWaitMS); e != nil {
		return e
	}
	if q.ForWorkers && q.MaxWaitMS == 0 {
		return badField("wait_for_workers", "goes with max_wait_ms", 0)
	}
	if e := q.preemptFault(grace); e != nil {
		return e
	}
	return q.choiceFault()
}

// choiceFault returns what is wrong with the choice of a worker, or nil. The core
// checks whether a selector can be read and a policy is known.
func (q *taskRequest) choiceFault() *wire.Error {
	for _, f := range []struct {
		name, value string
		most        int
	}{{"selector", q.Selector, wire.MaxSelector}, {"prefer", q.Prefer, wire.MaxSelector}, {"spread_by", q.SpreadBy, wire.MaxTag}} {
		switch {
		case len(f.value) > f.most:
			return badField(f.name, "has too many bytes", f.most)
		case strings.ContainsFunc(f.value, unicode.IsControl):
			return badField(f.name, "holds control characters", 0)
		}
	}
	switch {
	case len(q.NotWorkers) > wire.MaxNotWorkers:
		return badField("not_workers", "holds too many values", wire.MaxNotWorkers)
	case slices.Contains(q.NotWorkers, ""):
		return badField("not_workers", "holds an empty id", 0)
	case q.Policy != "" && !wire.ValidID(q.Policy):
		return badField("policy", "is not an id", 0)
	}
	return nil
}

// preemptFault returns what is wrong with the keys of preemption, or nil. A task
// that preempts waits at least as long as its victims may take to end.
func (q *taskRequest) preemptFault(grace time.Duration) *wire.Error {
	switch on, known := wire.ParseOnPreempt(q.OnPreempt); {
	case !known:
		return badField("on_preempt", "is neither end nor never", 0)
	case on == wire.OnPreemptRequeue:
		return badField("on_preempt", "requeue is for clients of the native protocol: HTTP has no notices", 0)
	case q.Preempt && q.MaxWaitMS == 0:
		return badField("max_wait_ms", "is missing: a task that preempts waits for its victims to end", 0)
	case q.Preempt && q.MaxWaitMS < grace.Milliseconds():
		return badField("max_wait_ms", "is less than the grace of "+grace.String()+" of preempted tasks", int(grace.Milliseconds()))
	}
	return nil
}

// fault returns what is wrong with any of the older fields, or nil: in a batch
// it refuses this task alone.
func (q *taskRequest) fault() *wire.Error {
	if e := outside("priority", q.Priority); e != nil {
		return e
	}
	if e := outside("ttl_ms", q.TTLMS); e != nil {
		return e
	}
	switch {
	case q.Owner != "" && !wire.ValidID(q.Owner):
		return badField("owner", "is not an id", wire.MaxID)
	case q.Group != "" && !wire.ValidID(q.Group):
		return badField("group", "is not an id", wire.MaxID)
	case len(q.Resources.list) > wire.MaxResources:
		return badField("resources", fmt.Sprintf("may name %d at most", wire.MaxResources), wire.MaxResources)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Resources.list)) {
		switch amount := q.Resources.list[name]; {
		case !wire.ValidID(name):
			return badField("resources", fmt.Sprintf("hold %s, which is not an id", clipped(strconv.Quote(name))), wire.MaxID)
		case amount < 0 || amount > wire.MaxAmount:
			return badAmount(name, strconv.FormatInt(amount, 10))
		}
	}
	return nil
}

// message returns what the core is asked. The tags are appended to raw.
func (q *taskRequest) message(raw []byte, key string) wire.Schedule {
	m := wire.Schedule{
		Task:     []byte(q.TaskID),
		Owner:    []byte(q.Owner),
		Group:    []byte(q.Group),
		Priority: int32(q.Priority),
		TTLMS:    uint32(q.TTLMS),
		WaitMS:   uint32(q.MaxWaitMS),

		Selector: []byte(q.Selector), Prefer: []byte(q.Prefer), NotWorkers: wire.AppendWorkers(nil, q.NotWorkers),
		Exclusive: q.Exclusive, Policy: []byte(q.Policy), SpreadBy: []byte(q.SpreadBy),
		Preempt: q.Preempt,

		WaitForWorkers: q.ForWorkers,

		Key: []byte(key),
	}
	m.OnPreempt, _ = wire.ParseOnPreempt(q.OnPreempt) // or it would have been refused
	if len(q.RequiredTags) > 0 {
		m.Tags = wire.AppendTags(raw, q.RequiredTags)
	}
	if len(q.Resources.list) > 0 {
		m.Resources = wire.AppendResources(nil, q.Resources.list)
	}
	return m
}

func schedule(c *call, q *taskRequest) {
	if q.TaskID == "" {
		c.value(http.StatusBadRequest, &refused{Error: "task_id is required"})
		return
	}
	e := q.fault()
	if e == nil {
		e = q.fieldFault(c.g.PreemptGrace)
	}
	if e != nil {
		c.invalid(e)
		return
	}
	ask := q.message(c.tags[:0], c.r.Header.Get("Idempotency-Key"))
	c.tags = ask.Tags
	if p, ok := expect[*wire.Placed](c, c.place(&ask, q.MaxWaitMS)); ok {
		c.ok(placedOf(q, p))
	}
}

// waitAnswerGrace is how long, beyond its wait, a request has until its answer
// must be read.
const waitAnswerGrace = 5 * time.Second

// place asks the core for a place, and holds the request while it waits for one:
// it may last as long as that, whatever the server's usual limits are.
func (c *call) place(m wire.Message, waitMS int64) wire.Message {
	if waitMS == 0 {
		return c.g.Engine.Ask(c.id, m)
	}
	until := time.Now().Add(time.Duration(waitMS)*time.Millisecond + waitAnswerGrace)
	rc := http.NewResponseController(c)
	_ = rc.SetReadDeadline(until) // else the connection seems to end in mid-wait
	_ = rc.SetWriteDeadline(until)
	return c.g.Engine.Wait(c.r.Context(), c.id, c.body.Len(), m, c.waits)
}

// placed is the answer to a schedule request. It can be handed to the worker's
// program as it is: it has the keys of a wire.Handover, but for the client, and a
// few more. The first two stand where the older scheduler had them.
type placed struct {
	Worker      string           `json:"worker_id"`
	Address     string           `json:"address"`
	Lease       wire.LeaseID     `json:"lease_id"`
	Incarnation uint64           `json:"incarnation,string"`
	Task        string           `json:"task_id"`
	Owner       string           `json:"owner,omitempty"`
	Group       string           `json:"group,omitempty"`
	Priority    int64            `json:"priority"`
	Resources   map[string]int64 `json:"resources,omitempty"`
	Devices     []int            `json:"devices,omitempty"`
	Exclusive   bool             `json:"exclusive,omitempty"`
	OnPreempt   wire.OnPreempt   `json:"on_preempt,omitempty"`
	TTLMS       uint32           `json:"ttl_ms"`
	Repeat      bool             `json:"repeat,omitempty"`
	Begun       bool             `json:"begun,omitempty"`
	AskedBack   bool             `json:"asked_back,omitempty"`
	BestEffort  bool             `json:"best_effort,omitempty"`
}

func placedOf(q *taskRequest, p *wire.Placed) *placed {
	worker, address := wire.ReadTarget(p.Target)
	on, _ := wire.ParseOnPreempt(q.OnPreempt) // or it would have been refused
	return &placed{
		Worker: worker, Address: address, Lease: p.Lease, Incarnation: p.Incarnation,
		Task: q.TaskID, Owner: q.Owner, Group: q.Group, Priority: q.Priority,
		Resources: q.Resources.list, Devices: capacity.Bits(p.Devices), Exclusive: q.Exclusive, OnPreempt: on, TTLMS: p.TTLMS,
		Repeat: p.Flags&wire.PlacedRepeat != 0, Begun: p.Flags&wire.PlacedBegun != 0,
		AskedBack: p.Flags&wire.PlacedAskedBack != 0, BestEffort: p.Flags&wire.PlacedBestEffort != 0,
	}
}
