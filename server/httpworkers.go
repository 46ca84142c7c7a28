package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// heartbeatRequest is the body of POST /api/v1/heartbeat.
type heartbeatRequest struct {
	WorkerID     string   `json:"worker_id"`
	Address      *string  `json:"address"`
	ResourceTags []string `json:"resource_tags"`
	MaxTasks     int64    `json:"max_tasks"`
	CurrentTasks int64    `json:"current_tasks"`
	Timestamp    int64    `json:"timestamp"`
	Metrics      struct {
		CPU    float64 `json:"cpu_usage"`
		Memory float64 `json:"memory_usage"`
		GPU    float64 `json:"gpu_usage"`
	} `json:"metrics"`
}

// Limits of an HTTP worker's names, in bytes. They stand in every placement and
// every row that names the worker, and the id in the paths that cordon it or
// remove it.
const (
	maxWorkerID = 256
	maxAddress  = wire.MaxAddress
)

// fault returns what is wrong with the request, or nil.
func (q *heartbeatRequest) fault() *wire.Error {
	switch {
	case q.WorkerID == "":
		return badField("worker_id", "is required", 0)
	case len(q.WorkerID) > maxWorkerID:
		return badField("worker_id", fmt.Sprintf("is longer than %d bytes", maxWorkerID), maxWorkerID)
	}
	if e := q.addressFault(); e != nil {
		return e
	}
	if e := outside("max_tasks", q.MaxTasks); e != nil {
		return e
	}
	return outside("current_tasks", q.CurrentTasks)
}

// address returns the address, "" for one that is missing.
func (q *heartbeatRequest) address() string {
	if q.Address == nil {
		return ""
	}
	return *q.Address
}

// addressFault returns what is wrong with the address, or nil. It may be missing,
// a URL or a name without a port, as older clients have it.
func (q *heartbeatRequest) addressFault() *wire.Error {
	addr := q.address()
	switch problem := wire.AddressProblem(addr); {
	case len(addr) > maxAddress:
		return badField("address", fmt.Sprintf("is longer than %d bytes", maxAddress), maxAddress)
	case problem != "" && q.Address != nil && (addr == "" || strings.Contains(addr, ":") && !strings.Contains(addr, "://")):
		return badField("address", problem+"; a worker names the host:port where clients reach it, such as node7.example.com:9000", 0)
	}
	return nil
}

// addressWarning returns what is doubtful about an address that is taken, "" if
// nothing is. remote is who sent it.
func (q *heartbeatRequest) addressWarning(remote string) string {
	addr := q.address()
	if addr == "" {
		return "address is missing: clients cannot reach the worker"
	}
	if problem := wire.AddressProblem(addr); problem != "" {
		return "address " + problem + ": clients need the host:port where they reach the worker"
	}
	if wire.IsLoopback(addr) && !wire.IsLoopback(remote) {
		return "address is reached from the worker's machine alone"
	}
	return ""
}

func (g *gateway) heartbeat(w http.ResponseWriter, r *http.Request) {
	c := takeCall(w)
	defer c.putBack()
	var q heartbeatRequest
	if !g.read(c, w, r, &q) {
		return
	}
	if e := q.fault(); e != nil {
		invalid(w, r, e)
		return
	}
	if text := q.addressWarning(r.RemoteAddr); text != "" {
		warn(w, text)
	}
	err := g.srv.core.report(&c.exchange, &sched.Report{
		Worker:    q.WorkerID,
		Address:   q.address(),
		Tags:      q.ResourceTags,
		Slots:     uint32(q.MaxTasks),
		Current:   uint32(q.CurrentTasks),
		Timestamp: q.Timestamp,
	})
	var e *wire.Error
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, healthy)
	case errors.As(err, &e):
		refuse(w, heartbeatError(e))
	default:
		jsonError(w, http.StatusInternalServerError, err.Error(), wire.CodeInternal.String())
	}
}

// heartbeatError is an error of the core with the name that its field has in a
// heartbeat.
func heartbeatError(e *wire.Error) *wire.Error {
	named := *e
	switch e.Field {
	case "worker":
		named.Field = "worker_id"
	case "tags":
		named.Field = "resource_tags"
	}
	return &named
}

// listQuery reads the filters and the page of a list from its parameters.
func listQuery(p *params) (m wire.ListWorkers, limit int) {
	m = wire.ListWorkers{After: p.text("after"), Tags: p.texts("tag"), State: p.text("state")}
	switch m.State {
	case "", "online", "suspicious", "offline":
	default:
		p.bad("state", "must be online, suspicious or offline", 0)
	}
	return m, int(p.number("limit", 1, math.MaxInt32))
}

// workers lists the fleet. It asks the core for one page after another, so that
// a long list never keeps the core from anything else, and sends what it has
// before it asks for more.
func (g *gateway) workers(w http.ResponseWriter, r *http.Request) {
	p := paramsOf(r)
	m, limit := listQuery(p)
	if !p.settled(w, r) {
		return
	}
	c := takeCall(w)
	defer c.putBack()
	out := stream{w: w, buf: append(c.buf[:0], '[')}
	defer func() { c.buf = out.buf[:0] }()
	for rows := 0; ; {
		m.Limit = wire.MaxPage
		if limit > 0 {
			m.Limit = uint32(min(limit-rows, wire.MaxPage))
		}
		switch page := g.srv.core.do(&c.exchange, &m).(type) {
		case *wire.Workers:
			for i := range page.Rows {
				if rows > 0 {
					out.buf = append(out.buf, ',')
				}
				rows++
				row := view.ListedOf(&page.Rows[i], g.srv.core.clock)
				out.buf = row.Append(out.buf, out.breathe)
			}
			m.After = page.Next
		case *wire.Error:
			out.fail(page)
			return
		default:
			out.fail(&wire.Error{Code: wire.CodeInternal, Message: "the scheduler gave no answer"})
			return
		}
		if out.err != nil {
			return
		}
		if m.After == "" || limit > 0 && rows >= limit {
			break
		}
	}
	out.buf = append(out.buf, "]\n"...)
	out.send()
}
