package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dtask/dtask-scheduler/sched"
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
	MaxWorkerID = 256
	maxAddress  = wire.MaxAddress
)

// fault returns what is wrong with the request, or nil.
func (q *heartbeatRequest) fault() *wire.Error {
	switch {
	case q.WorkerID == "":
		return badField("worker_id", "is required", 0)
	case len(q.WorkerID) > MaxWorkerID:
		return badField("worker_id", fmt.Sprintf("is longer than %d bytes", MaxWorkerID), MaxWorkerID)
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
// nothing is. remote is the address of its sender.
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

func heartbeat(c *call, q *heartbeatRequest) {
	if e := q.fault(); e != nil {
		c.invalid(e)
		return
	}
	if text := q.addressWarning(c.r.RemoteAddr); text != "" {
		c.warn(text)
	}
	err := c.g.Engine.Report(c.id, &sched.Report{
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
		c.done()
	case errors.As(err, &e):
		c.refuse(heartbeatError(e))
	default:
		c.refuse(&wire.Error{Code: wire.CodeInternal, Message: err.Error()})
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
