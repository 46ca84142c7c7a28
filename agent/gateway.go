package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of the HTTP API as this side uses it.
const (
	// requestTimeout bounds one heartbeat.
	requestTimeout = 5 * time.Second
	// maxResponse bounds what is read of an answer, in bytes.
	maxResponse = 64 << 10
)

// gateway is the side that speaks the HTTP API: it reports how many tasks run,
// at every interval and whenever that number changes. Its fields below changed
// are guarded by the agent's lock.
type gateway struct {
	agent   *Agent
	base    string
	client  *http.Client
	changed chan struct{} // tells run that the number of tasks has changed
	halt    chan struct{} // closed by leave: run ends after the heartbeat in hand
	halted  chan struct{} // closed when run has ended

	refused   int
	connected bool
	full      bool // the last heartbeat said so, because the worker drains
	told      bool // and one such was answered
	lastError string
	contact   time.Time // of the last heartbeat that was answered
}

func newGateway(a *Agent, base string) *gateway {
	return &gateway{
		agent: a,
		base:  base + "/api/v1",
		client: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				MaxConnsPerHost:     1,
				MaxIdleConnsPerHost: 1,
				// A connection that hangs delays the next heartbeat no longer than this.
				ResponseHeaderTimeout:  requestTimeout,
				MaxResponseHeaderBytes: maxResponse,
				DisableCompression:     true,
			},
		},
		changed:   make(chan struct{}, 1),
		halt:      make(chan struct{}),
		halted:    make(chan struct{}),
		lastError: "not connected yet",
	}
}

// begin counts the task. An HTTP scheduler knows of no leases, so nothing but
// the slots is checked; a task id may run again once it has ended.
func (g *gateway) begin(h *wire.Handover, w *watch) (uint64, error) {
	a := g.agent
	if h.Worker != "" && h.Worker != a.cfg.Worker {
		return 0, ErrOtherWorker
	}
	if h.Task == "" && h.Lease.IsZero() {
		return 0, &wire.Error{Code: wire.CodeBadRequest, Field: "task", Message: "task is missing"}
	}
	if t := a.tasks[keyOf(h)]; t != nil {
		if t.watch.Token != w.Token {
			return 0, ErrOtherCaller
		}
		return 0, nil
	}
	if uint64(len(a.tasks))+uint64(a.external()) >= uint64(a.cfg.Slots) {
		g.refused++
		return 0, ErrFull
	}
	g.wake()
	return 0, nil
}

func (g *gateway) settle(uint64) error { return nil }

func (g *gateway) end(key, wire.Reason) error {
	g.wake()
	return nil
}

// wake has the number of tasks reported now.
func (g *gateway) wake() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

func (g *gateway) status(s *Status) {
	s.Connected = g.connected
	s.Scheduler = g.base
	s.Refused = g.refused
	s.LastError = g.lastError
	s.HeartbeatBy, s.Interval, s.LastContact = ByHTTP, g.interval(), g.contact
}

// interval returns how often to report.
func (g *gateway) interval() time.Duration {
	return cmp.Or(g.agent.cfg.Heartbeat, defaultHeartbeat)
}

// run reports until the context ends or the worker leaves.
func (g *gateway) run(ctx context.Context) {
	defer close(g.halted)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.halt:
			return
		case <-g.changed:
		case <-timer.C:
		}
		err := g.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		g.note(err)
		timer.Reset(jitter(g.interval()))
	}
}

// heartbeat is the body of POST /heartbeat.
type heartbeat struct {
	Worker    string   `json:"worker_id"`
	Address   string   `json:"address"`
	Tags      []string `json:"resource_tags"`
	Slots     uint32   `json:"max_tasks"`
	Current   uint64   `json:"current_tasks"`
	Timestamp int64    `json:"timestamp"` // seconds; it only orders the heartbeats of one worker
}

// beat sends one heartbeat.
func (g *gateway) beat(ctx context.Context) error {
	a := g.agent
	external := a.external()
	a.mu.Lock()
	current := uint64(len(a.tasks)) + uint64(external)
	if g.full = a.draining; g.full {
		current = max(current, uint64(a.cfg.Slots))
	}
	a.mu.Unlock()
	h := heartbeat{
		Worker: a.cfg.Worker, Address: a.cfg.Address, Tags: a.cfg.Tags, Slots: a.cfg.Slots,
		Current: current, Timestamp: time.Now().Unix(),
	}
	if h.Tags == nil {
		h.Tags = []string{}
	}
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/heartbeat", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	status, text, err := g.do(r)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("agent: the scheduler answered the heartbeat with %d: %.200q", status, text)
	}
	return nil
}

// do sends a request and reads the answer to its end, so that the connection is
// used again.
func (g *gateway) do(r *http.Request) (status int, text []byte, err error) {
	resp, err := g.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	return resp.StatusCode, text, err
}

// note keeps the outcome of a heartbeat, and logs it if it is another than
// before.
func (g *gateway) note(err error) {
	a := g.agent
	a.mu.Lock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	changed := !sameFailure(text, g.lastError)
	g.connected, g.lastError = err == nil, text
	if g.connected {
		g.contact, g.told = time.Now(), g.full
	}
	a.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		a.log.Warn("the heartbeat failed", "error", err)
	default:
		a.log.Info("registered", "scheduler", g.base)
	}
}

// leave removes the worker. It waits for a heartbeat on its way, which would
// register the worker again behind it. Schedulers that know no removal forget
// the worker by its silence.
func (g *gateway) leave(ctx context.Context, _ bool) {
	a := g.agent
	close(g.halt)
	select {
	case <-g.halted:
	case <-ctx.Done():
		a.log.Warn("the worker could not be deregistered: the scheduler does not answer")
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, g.base+"/workers/"+url.PathEscape(a.cfg.Worker), nil)
	if err != nil {
		a.log.Warn("the worker could not be deregistered", "error", err)
		return
	}
	status, text, err := g.do(r)
	switch {
	case err != nil:
		a.log.Warn("the worker could not be deregistered", "error", err)
	case status >= 300 && status != http.StatusNotFound && status != http.StatusMethodNotAllowed:
		a.log.Warn("the worker could not be deregistered", "status", status, "answer", fmt.Sprintf("%.200q", text))
	}
}

func (g *gateway) close() error {
	g.client.CloseIdleConnections()
	return nil
}
