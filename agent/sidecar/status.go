package sidecar

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
)

// Status is what GET /status answers: the local truth of the worker. Times are
// of this machine's clock, in UTC.
type Status struct {
	Worker      string    `json:"worker_id"`
	Address     string    `json:"address"`
	Tags        []string  `json:"tags"`
	Slots       uint32    `json:"max_tasks"`
	Incarnation uint64    `json:"incarnation,string"` // 0 with an http:// scheduler
	Time        time.Time `json:"time"`               // of this answer

	Scheduler   string     `json:"scheduler"`          // that the worker is connected to, or looks for
	Connected   bool       `json:"connected"`          // the scheduler knows the worker
	Draining    bool       `json:"draining,omitempty"` // it is about to stop: nothing new comes
	Promised    *Grantor   `json:"promised"`           // whose leases are accepted; null: none
	LastContact *time.Time `json:"last_contact"`
	Heartbeat   Heartbeat  `json:"heartbeat"`
	LastError   string     `json:"last_error,omitempty"`

	Running        []Task            `json:"running"`        // the oldest first
	Unacknowledged int               `json:"unacknowledged"` // ends that the scheduler has not confirmed
	Refusals       map[string]uint64 `json:"refusals"`       // begins since the start, by the reason
}

// Grantor is one life of a scheduler.
type Grantor struct {
	Epoch    uint32 `json:"epoch"`
	Instance uint32 `json:"instance"`
}

// Heartbeat says how the worker reports that it lives.
type Heartbeat struct {
	By         string `json:"by"` // tcp, udp or http
	IntervalMS int64  `json:"interval_ms"`
}

// Task is one task that runs.
type Task struct {
	taskName
	Client      string     `json:"client,omitempty"`
	Owner       string     `json:"owner,omitempty"`
	Group       string     `json:"group,omitempty"`
	Begun       *time.Time `json:"begun"`
	PID         int        `json:"pid,omitempty"`
	KeepAliveMS int64      `json:"keepalive_ms,omitempty"`
	LeftMS      int64      `json:"keepalive_left_ms,omitempty"` // until the next one is due
	Preempted   bool       `json:"preempted,omitempty"`         // it is preempted
	GraceMS     int64      `json:"grace_ms,omitempty"`          // and may go on for so long
	Ending      bool       `json:"ending,omitempty"`            // it has its outcome, and its processes are being ended
}

// Report returns the status.
func (s *Server) Report() *Status {
	c, st := s.agent.Config(), s.agent.Status()
	r := &Status{
		Worker: c.Worker, Address: c.Address, Tags: c.Tags, Slots: c.Slots,
		Incarnation: st.Incarnation, Time: time.Now().UTC(),
		Scheduler: cmp.Or(st.Scheduler, c.Scheduler), Connected: st.Connected, Draining: st.Draining,
		LastContact: moment(st.LastContact),
		Heartbeat:   Heartbeat{By: st.HeartbeatBy, IntervalMS: st.Interval.Milliseconds()},
		LastError:   st.LastError, Unacknowledged: st.Unacknowledged,
		Running: []Task{}, Refusals: map[string]uint64{},
	}
	if r.Tags == nil {
		r.Tags = []string{}
	}
	if st.Grantor.Instance != 0 {
		r.Promised = &Grantor{Epoch: st.Grantor.Epoch, Instance: st.Grantor.Instance}
	}
	for _, t := range s.agent.Tasks() {
		r.Running = append(r.Running, taskOf(t))
	}
	slices.SortFunc(r.Running, func(a, b Task) int {
		return cmp.Or(since(a.Begun).Compare(since(b.Begun)), cmp.Compare(a.Task, b.Task))
	})
	for i := range s.refused {
		if n := s.refused[i].Load(); n > 0 {
			r.Refusals[reasonOf(i)] += n
		}
	}
	return r
}

func taskOf(t *agent.Task) Task {
	h, st := t.Handover(), t.Status()
	return Task{
		taskName: named(t), Client: h.Client, Owner: h.Owner, Group: h.Group,
		Begun: moment(st.Begun), PID: st.PID,
		KeepAliveMS: st.KeepAlive.Milliseconds(), LeftMS: st.Left.Milliseconds(),
		Preempted: st.Preempted, GraceMS: st.Grace.Milliseconds(),
		Ending: st.Ending,
	}
}

// reasonOf names a refusal.
func reasonOf(i int) string {
	if i < len(refusals) {
		return refusals[i].reason
	}
	return "other"
}

// moment returns t in UTC, nil if it is unknown.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// since returns what moment was given.
func since(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.Report())
}

// maxStatus bounds the status that Ask reads, in bytes.
const maxStatus = 16 << 20

// Ask gets the status from the sidecar at an address that ParseAddr reads; raw
// is the JSON as it came.
func Ask(ctx context.Context, address string) (st *Status, raw []byte, err error) {
	network, addr, err := ParseAddr(address)
	if err != nil {
		return nil, nil, err
	}
	var d net.Dialer
	c := http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, network, addr) },
		DisableKeepAlives: true,
	}}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/status", nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.Do(q)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("sidecar: the status was answered with %d: %.200q", resp.StatusCode, raw)
	}
	st = new(Status)
	if err := json.Unmarshal(raw, st); err != nil {
		return nil, nil, fmt.Errorf("sidecar: what answers is no sidecar: %w", err)
	}
	return st, raw, nil
}
