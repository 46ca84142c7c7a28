package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// Task is what Schedule asks a place for.
type Task struct {
	ID        string           `json:"task_id"`
	Tags      []string         `json:"required_tags,omitempty"` // the worker must have all of them
	Owner     string           `json:"owner,omitempty"`
	Group     string           `json:"group,omitempty"`
	Priority  int32            `json:"priority,omitempty"`
	Resources map[string]int64 `json:"resources,omitempty"` // what it takes: cpu in millicores, mem in MiB, gpu in devices, gpu_mem in MiB of one
	TTLMS     int64            `json:"ttl_ms,omitempty"`    // how long the placement is kept without Renew; 0 means 10 s

	Selector   string   `json:"selector,omitempty"`    // an expression that must hold for the worker's tags, such as gpu && cuda>=12
	Prefer     string   `json:"prefer,omitempty"`      // an expression: workers for which it holds come first
	NotWorkers []string `json:"not_workers,omitempty"` // at most 16 ids of workers that must not be chosen
	Exclusive  bool     `json:"exclusive,omitempty"`   // take a whole idle worker
	Policy     string   `json:"policy,omitempty"`      // least-loaded, pack, or in a batch spread; "" is least-loaded
	SpreadBy   string   `json:"spread_by,omitempty"`   // the tag key over whose values spread spreads a batch

	// MaxWaitMS is how long the scheduler may hold the request until there is
	// room, in milliseconds, at most 60,000; 0: not at all. Schedule waits, and
	// ScheduleGang as long as its first task says; ScheduleAll does not.
	MaxWaitMS int64 `json:"max_wait_ms,omitempty"`
	// WaitForWorkers has a request with a MaxWaitMS wait also while no known worker
	// could take the task, for such workers to come. Where no worker is known at all
	// it waits in any case. Of a gang the first task's counts.
	WaitForWorkers bool `json:"wait_for_workers,omitempty"`

	// Preempt takes the room from tasks of a lower priority, if there is none
	// without it. MaxWaitMS must be the scheduler's grace at least (30 s unless
	// it is set otherwise). Not in batches.
	Preempt bool `json:"preempt,omitempty"`
	// OnPreempt says what becomes of the task when another of a higher priority
	// wants its room: end, or never; "" lets it end if its priority is below 0.
	OnPreempt string `json:"on_preempt,omitempty"`

	// Key makes the request one that may be repeated: while the first placement
	// lives, the same key is answered with it. At most 255 bytes.
	Key string `json:"-"`
}

// Placement is the answer to Schedule. As JSON it can be handed to the worker's
// program as it is. The older scheduler sets Worker and Address alone.
type Placement struct {
	wire.Handover
	TTLMS      int64 `json:"ttl_ms"`
	BestEffort bool  `json:"best_effort,omitempty"` // the worker speaks HTTP: the room is a heuristic
	Repeat     bool  `json:"repeat,omitempty"`      // an earlier request with this key got it
	Begun      bool  `json:"begun,omitempty"`       // and the task runs already
	AskedBack  bool  `json:"asked_back,omitempty"`  // and it was asked back: the worker decides
}

func (p *Placement) complete() bool { return p.Worker != "" }

// newer names a field of the task that the older scheduler ignores, "" for none.
func (t *Task) newer() string {
	for _, f := range [...]struct {
		name string
		set  bool
	}{
		{"selector", t.Selector != ""}, {"prefer", t.Prefer != ""}, {"not_workers", len(t.NotWorkers) > 0}, {"exclusive", t.Exclusive},
		{"policy", t.Policy != "" && t.Policy != "least-loaded"}, {"resources", len(t.Resources) > 0},
		{"preempt", t.Preempt}, {"on_preempt", t.OnPreempt != ""},
	} {
		if f.set {
			return f.name
		}
	}
	return ""
}

// Schedule asks for a place for a task. ErrUnavailable and ErrInfeasible say
// that there is none. ErrTooOld says that the older scheduler answered, which
// knows tags alone, and gave a place to a task that asks for more, or one that
// does not know OnPreempt.
//
// It takes room, so it is repeated only if no connection was made, or if
// Task.Key is set: then also after a broken connection, a timeout of one attempt,
// and 429, 502, 504 or a 503 that is not the scheduler's.
func (c *Client) Schedule(ctx context.Context, t Task) (*Placement, error) {
	k := &call{method: http.MethodPost, path: "/api/v1/schedule", body: t, key: t.Key, safe: t.Key != "", wait: time.Duration(t.MaxWaitMS) * time.Millisecond}
	var p Placement
	if err := c.do(ctx, k, &p); err != nil {
		return nil, err
	}
	field := t.newer()
	if on, _ := wire.ParseOnPreempt(t.OnPreempt); on != p.OnPreempt {
		field = "on_preempt" // the answer repeats it
	} else if !p.Lease.IsZero() {
		field = ""
	}
	if field != "" {
		return nil, fmt.Errorf("%w: it ignored %s and chose %.150q", ErrTooOld, field, p.Worker)
	}
	return &p, nil
}

// Status is where a lease stands.
type Status struct {
	// Status is granted, asked_back, begun, assumed or ended as the answer to
	// Renew; released, asked_back or already_ended as the answer to Release.
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // how it ended, such as ok or revoked
}

func (s *Status) complete() bool { return s.Status != "" }

// lease is the body of a request about a lease.
type lease struct {
	ID     string `json:"lease_id"`
	Handed bool   `json:"handed,omitempty"`
}

// Renew keeps a lease that has not begun. ErrNotFound says that the scheduler
// does not know it. It is repeated after a broken connection, a timeout of one
// attempt, and 429, 502, 504 or a 503 that is not the scheduler's.
func (c *Client) Renew(ctx context.Context, leaseID string) (Status, error) {
	var s Status
	err := c.do(ctx, &call{method: http.MethodPost, path: "/api/v1/renew", body: lease{ID: leaseID}, safe: true}, &s)
	return s, err
}

// Release gives a lease back before its task begins. handed says that the worker
// may have got it: it is then asked back there. ErrBegun says that the task runs,
// ErrNotFound that the scheduler does not know the lease. It is repeated as
// Renew is; a repeat that finds the lease released is answered as released.
func (c *Client) Release(ctx context.Context, leaseID string, handed bool) (Status, error) {
	var s Status
	k := &call{method: http.MethodPost, path: "/api/v1/release", body: lease{leaseID, handed}, safe: true}
	err := c.do(ctx, k, &s)
	if err == nil && k.sent > 1 && s == (Status{"already_ended", wire.ReasonReleased.String()}) {
		s = Status{Status: "released"}
	}
	return s, err
}

// Metrics are optional parts of a heartbeat, each 0 to 1.
type Metrics struct {
	CPU    float64 `json:"cpu_usage"`
	Memory float64 `json:"memory_usage"`
	GPU    float64 `json:"gpu_usage"`
}

// Heartbeat is what a worker that speaks HTTP reports every few seconds. The
// first one registers it.
type Heartbeat struct {
	Worker    string    `json:"worker_id"`
	Address   string    `json:"address,omitempty"` // host:port where clients reach it
	Tags      []string  `json:"resource_tags"`
	MaxTasks  int       `json:"max_tasks"`
	Tasks     int       `json:"current_tasks"`
	Timestamp time.Time `json:"-"` // orders the heartbeats of this worker; zero means now
	Metrics   *Metrics  `json:"metrics,omitempty"`
}

// Heartbeat reports a worker. ErrConflict says that the id belongs to a worker
// that speaks leases. It is repeated as Renew is, and each repeat carries the
// same timestamp; give it a context that ends before the next heartbeat is due.
func (c *Client) Heartbeat(ctx context.Context, h Heartbeat) error {
	if h.Timestamp.IsZero() {
		h.Timestamp = time.Now()
	}
	body := struct {
		Heartbeat
		Timestamp int64 `json:"timestamp"`
	}{h, h.Timestamp.Unix()}
	return c.do(ctx, &call{method: http.MethodPost, path: "/api/v1/heartbeat", body: body, safe: true}, new(Status))
}

// Worker is one row of Workers.
type Worker = view.Listed

// list is the answer to Workers.
type list []Worker

func (l *list) complete() bool { return *l != nil }

// Workers returns all workers, in order of their ids; the whole list is one
// answer of at most MaxList bytes. It is repeated as Renew is.
func (c *Client) Workers(ctx context.Context) ([]Worker, error) {
	var all list
	err := c.do(ctx, &call{method: http.MethodGet, path: "/api/v1/workers", safe: true, limit: MaxList}, &all)
	return all, err
}

// DeleteWorker removes a worker at once; its leases end as lost. ErrNotFound
// says that it is not there. It is repeated as Renew is; a repeat that does not
// find the worker has been successful.
func (c *Client) DeleteWorker(ctx context.Context, id string) error {
	if id == "" {
		return fmt.Errorf("httpapi: DeleteWorker needs an id")
	}
	k := &call{method: http.MethodDelete, path: "/api/v1/workers/" + url.PathEscape(id), safe: true}
	err := c.do(ctx, k, new(Status))
	if e, ok := err.(*StatusError); ok && k.sent > 1 && e.Status == http.StatusNotFound {
		return nil
	}
	return err
}
