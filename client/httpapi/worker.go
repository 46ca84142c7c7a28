package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// WorkerDetail is one worker with its leases.
type WorkerDetail struct {
	Worker WorkerInfo  `json:"worker"`
	Leases []LeaseInfo `json:"leases"` // at most 1,000
}

func (d *WorkerDetail) complete() bool { return d.Worker.ID != "" }

// WorkerInfo describes one worker: what it has, and what leases take of it.
type WorkerInfo struct {
	ID          string           `json:"worker_id"`
	Address     string           `json:"address"`
	Tags        []string         `json:"tags"`
	State       string           `json:"state"` // online, suspicious or offline
	Flags       []string         `json:"flags"` // of http, connecting, cordoned, draining, drained, overcommitted, tags_omitted
	MaxTasks    uint32           `json:"max_tasks"`
	Leased      uint32           `json:"leased"`    // slots that leases take
	External    uint32           `json:"external"`  // tasks outside any lease
	Resources   map[string]int64 `json:"resources"` // what it offers, in the units of Task.Resources
	Used        map[string]int64 `json:"used"`      // what leases take of it, and of gpu and gpu_mem over all devices
	Devices     []Device         `json:"devices"`   // its GPUs; the place is the number
	Incarnation uint64           `json:"incarnation,string"`
	LastSeen    time.Time        `json:"last_seen"`
	Cordon      *Cordon          `json:"cordon"`  // nil unless it is out of service
	HeldBy      string           `json:"held_by"` // client and task that it is held for, "" for none
}

// Device is one GPU of a worker.
type Device struct {
	Model  string `json:"model"`
	Memory int64  `json:"memory"` // MiB
	UUID   string `json:"uuid"`
	Used   int64  `json:"used"`   // MiB
	Leases uint32 `json:"leases"` // that have some of it
	Whole  bool   `json:"whole"`  // one of them has all of it

	Missing bool `json:"missing"` // it is gone: leases keep it, and nothing new gets it
}

// Cordon says why a worker gets nothing new.
type Cordon struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	// Deadline is when what still runs is preempted; zero: never, or it was.
	Deadline time.Time `json:"deadline"`
}

// LeaseInfo is one lease that lives.
type LeaseInfo struct {
	Lease     wire.LeaseID     `json:"lease_id"`
	Task      string           `json:"task_id"`
	Worker    string           `json:"worker_id"`
	Client    string           `json:"client"`
	Owner     string           `json:"owner"`
	Group     string           `json:"group"`
	Priority  int32            `json:"priority"`
	State     string           `json:"state"` // granted, asked_back, begun or assumed
	Since     time.Time        `json:"since"`
	Resources map[string]int64 `json:"resources"`
	Devices   []int            `json:"devices"` // the numbers of the worker's GPUs
	Exclusive bool             `json:"exclusive"`
	Preempted bool             `json:"preempted"` // it is preempted
}

// Worker returns one worker with its leases. ErrNotFound says that it is not
// there. It is repeated as Renew is.
func (c *Client) Worker(ctx context.Context, id string) (*WorkerDetail, error) {
	if id == "" {
		return nil, errors.New("httpapi: Worker needs an id")
	}
	var d WorkerDetail
	k := &call{method: http.MethodGet, path: "/api/v1/workers/" + url.PathEscape(id), safe: true, limit: MaxList}
	if err := c.do(ctx, k, &d); err != nil {
		return nil, err
	}
	return &d, nil
}
