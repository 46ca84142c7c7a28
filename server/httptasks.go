package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// scheduleRequest is the body of POST /api/v1/schedule. All but task_id may be
// missing.
type scheduleRequest struct {
	TaskID       string   `json:"task_id"`
	RequiredTags []string `json:"required_tags"`
	Owner        string   `json:"owner"`
	Group        string   `json:"group"`
	Priority     int64    `json:"priority"`
	Resources    amounts  `json:"resources"`
	TTLMS        int64    `json:"ttl_ms"`
	MaxWaitMS    int64    `json:"max_wait_ms"`
	ForWorkers   bool     `json:"wait_for_workers"`
	choice
	yield
}

// fieldFault returns what is wrong with one of the fields that came later, or
// nil: in a batch it refuses all of it. grace is that of tasks that must make
// room.
func (q *scheduleRequest) fieldFault(grace sched.Time) *wire.Error {
	if q.Resources.fault != nil {
		return q.Resources.fault
	}
	if e := outside("max_wait_ms", q.MaxWaitMS); e != nil {
		return e
	}
	if q.ForWorkers && q.MaxWaitMS == 0 {
		return badField("wait_for_workers", "goes with max_wait_ms", 0)
	}
	if e := q.yield.fault(q.MaxWaitMS, grace); e != nil {
		return e
	}
	return q.choice.fault()
}

// fault returns what is wrong with any of the older fields, or nil: in a batch
// it refuses this task alone.
func (q *scheduleRequest) fault() *wire.Error {
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
func (q *scheduleRequest) message(raw []byte, key string) wire.Schedule {
	m := wire.Schedule{
		Task:     []byte(q.TaskID),
		Owner:    []byte(q.Owner),
		Group:    []byte(q.Group),
		Priority: int32(q.Priority),
		TTLMS:    uint32(q.TTLMS),
		WaitMS:   uint32(q.MaxWaitMS),

		WaitForWorkers: q.ForWorkers,

		Key: []byte(key),
	}
	if len(q.RequiredTags) > 0 {
		m.Tags = wire.AppendTags(raw, q.RequiredTags)
	}
	if len(q.Resources.list) > 0 {
		m.Resources = wire.AppendResources(nil, q.Resources.list)
	}
	q.choice.fill(&m)
	q.yield.fill(&m)
	return m
}

func (g *gateway) schedule(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	var q scheduleRequest
	if !g.read(c, w, r, &q) {
		return
	}
	if q.TaskID == "" {
		jsonError(w, http.StatusBadRequest, "task_id is required", "")
		return
	}
	e := q.fault()
	if e == nil {
		e = q.fieldFault(g.srv.cfg.Sched.PreemptGrace)
	}
	if e != nil {
		invalid(w, r, e)
		return
	}
	ask := q.message(c.tags[:0], r.Header.Get("Idempotency-Key"))
	c.tags = ask.Tags
	switch m := g.place(c, w, r, &ask).(type) {
	case *wire.Placed:
		c.buf = append(appendPlaced(c.buf[:0], &q, m), '\n')
		writeJSON(w, http.StatusOK, c.buf)
	case *wire.Error:
		refuse(w, m)
	default:
		jsonError(w, http.StatusInternalServerError, "the scheduler gave no answer", wire.CodeInternal.String())
	}
}

// place asks the core for a place, and holds the request while it waits for one.
func (g *gateway) place(c *call, w http.ResponseWriter, r *http.Request, ask *wire.Schedule) wire.Message {
	if ask.WaitMS == 0 {
		return g.srv.core.do(&c.exchange, ask)
	}
	holdOpen(w, time.Duration(ask.WaitMS)*time.Millisecond)
	return g.srv.core.wait(r.Context(), &c.exchange, ask, func() { g.waits(w) })
}

// appendPlaced appends the answer to a schedule request. It can be handed to
// the worker's program as it is: it is a wire.Handover with a few keys more.
func appendPlaced(b []byte, q *scheduleRequest, p *wire.Placed) []byte {
	worker, address := wire.ReadTarget(p.Target)
	b = view.AppendString(append(b, `{"worker_id":`...), worker)
	b = view.AppendString(append(b, `,"address":`...), address)
	b = append(b, `,"lease_id":"`...)
	b, _ = p.Lease.AppendText(b)
	b = append(b, `","incarnation":"`...)
	b = strconv.AppendUint(b, p.Incarnation, 10)
	b = view.AppendString(append(b, `","task_id":`...), q.TaskID)
	if q.Owner != "" {
		b = view.AppendString(append(b, `,"owner":`...), q.Owner)
	}
	if q.Group != "" {
		b = view.AppendString(append(b, `,"group":`...), q.Group)
	}
	b = strconv.AppendInt(append(b, `,"priority":`...), q.Priority, 10)
	b = appendResources(b, q.Resources.list)
	b = appendDevices(b, p.Devices)
	if q.Exclusive {
		b = append(b, `,"exclusive":true`...)
	}
	b = appendOnPreempt(b, q.OnPreempt)
	b = strconv.AppendUint(append(b, `,"ttl_ms":`...), uint64(p.TTLMS), 10)
	for _, f := range placedFlags {
		if p.Flags&f.bit != 0 {
			b = append(append(append(b, ',', '"'), f.name...), `":true`...)
		}
	}
	return append(b, '}')
}

// placedFlags names the flags of wire.Placed as keys of the answer.
var placedFlags = []struct {
	bit  uint8
	name string
}{
	{wire.PlacedRepeat, "repeat"},
	{wire.PlacedBegun, "begun"},
	{wire.PlacedAskedBack, "asked_back"},
	{wire.PlacedBestEffort, "best_effort"},
}

func appendResources(b []byte, resources map[string]int64) []byte {
	if len(resources) == 0 {
		return b
	}
	b = append(b, `,"resources":{`...)
	first := true
	wire.EachResource(wire.AppendResources(nil, resources), func(name []byte, amount int64) bool {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = view.AppendString(b, string(name))
		b = strconv.AppendInt(append(b, ':'), amount, 10)
		return true
	})
	return append(b, '}')
}

// nothingFits is what the older clients look for; what the core says stands beside
// it, as the detail.
const nothingFits = "no available worker matching requirements"

// detailedCodes are those of which an answer names the field and the limit.
var detailedCodes = []wire.Code{wire.CodeBadRequest, wire.CodeOwnerLimit, wire.CodeTagLimit, wire.CodeWorkerLimit}

// refuse answers with an error of the core.
func refuse(w http.ResponseWriter, e *wire.Error) {
	note(w, e.Code)
	status, sentence := http.StatusServiceUnavailable, e.Message
	switch e.Code {
	case wire.CodeUnavailable, wire.CodeInfeasible:
		sentence = nothingFits
	case wire.CodeConflict, wire.CodeCancelled:
		status = http.StatusConflict
	case wire.CodeNotFound:
		status = http.StatusNotFound
	case wire.CodeBadRequest:
		status = http.StatusBadRequest
	case wire.CodeInternal:
		status = http.StatusInternalServerError
	}
	if e.RetryAfterMS != 0 {
		w.Header().Set("Retry-After", strconv.FormatUint((uint64(e.RetryAfterMS)+999)/1000, 10))
	}
	writeJSON(w, status, append(appendRefusal(nil, e, sentence), '\n'))
}

// leaseRequest is the body of POST /api/v1/renew and /api/v1/release.
type leaseRequest struct {
	LeaseID string `json:"lease_id"`
	// Handed says, for a release, that the lease was handed to its worker: it
	// is then asked back there instead of ended here.
	Handed bool `json:"handed"`
}

// readLease takes a leaseRequest. It reports false after it has answered with
// an error itself.
func (g *gateway) readLease(c *call, w http.ResponseWriter, r *http.Request) (id wire.LeaseID, handed, ok bool) {
	var q leaseRequest
	if !g.read(c, w, r, &q) {
		return id, false, false
	}
	if q.LeaseID == "" {
		refuse(w, badField("lease_id", "is required", 0))
		return id, false, false
	}
	id, err := wire.ParseLeaseID(q.LeaseID)
	if err != nil {
		refuse(w, badField("lease_id", "is not a lease id", 0))
		return id, false, false
	}
	return id, q.Handed, true
}

func (g *gateway) renew(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	id, _, ok := g.readLease(c, w, r)
	if !ok {
		return
	}
	switch m := g.srv.core.do(&c.exchange, &wire.Renew{Leases: []wire.LeaseID{id}}).(type) {
	case *wire.Renewed:
		if len(m.Leases) != 1 || m.Leases[0].State == wire.StateNone {
			jsonError(w, http.StatusNotFound, "no such lease", wire.CodeNotFound.String())
			return
		}
		writeStatus(w, m.Leases[0].State.String(), m.Leases[0].Reason)
	case *wire.Error:
		refuse(w, m)
	}
}

func (g *gateway) release(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	id, handed, ok := g.readLease(c, w, r)
	if !ok {
		return
	}
	switch m := g.srv.core.do(&c.exchange, &wire.Release{Lease: id, Handed: handed}).(type) {
	case *wire.Released:
		answerRelease(w, m)
	case *wire.Error:
		refuse(w, m)
	}
}

// answerRelease says what became of a lease. A release that is repeated is no
// error: the lease is given back, as its client wants it.
func answerRelease(w http.ResponseWriter, m *wire.Released) {
	note(w, m.Code)
	switch m.Code {
	case wire.CodeOK:
		writeStatus(w, "released", wire.ReasonNone)
	case wire.CodeAskedBack, wire.CodeAlreadyEnded:
		writeStatus(w, m.Code.String(), m.Reason)
	case wire.CodeBegun:
		jsonError(w, http.StatusConflict, "the lease has begun; its worker alone ends it", m.Code.String())
	default:
		jsonError(w, http.StatusNotFound, "no such lease", wire.CodeNotFound.String())
	}
}

// writeStatus answers with the state of a lease and how it ended, if it did.
func writeStatus(w http.ResponseWriter, status string, reason wire.Reason) {
	b := view.AppendString([]byte(`{"status":`), status)
	if reason != wire.ReasonNone {
		b = view.AppendString(append(b, `,"reason":`...), reason.String())
	}
	writeJSON(w, http.StatusOK, append(b, "}\n"...))
}
