package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/dtask/dtask-scheduler/wire"
)

// workerID returns the id that the path of a request names. It reports false
// after it has answered with an error itself.
func (g *gateway) workerID(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	raw, _ := workerOf(r)
	id, err := url.PathUnescape(raw)
	if err != nil {
		textError(w, r, http.StatusBadRequest, "Invalid worker id")
		return "", false
	}
	return id, true
}

func (g *gateway) deleteWorker(w http.ResponseWriter, r *http.Request) {
	id, ok := g.workerID(w, r)
	if !ok {
		return
	}
	c := takeCall(w)
	defer c.putBack()
	if !g.srv.core.remove(&c.exchange, id) {
		jsonError(w, http.StatusNotFound, "no such worker", wire.CodeNotFound.String())
		return
	}
	g.tell(w, "worker removed", "worker", id)
	writeJSON(w, http.StatusOK, healthy)
}

// workerRow is one worker as the newer paths show it.
type workerRow struct {
	ID          string           `json:"worker_id"`
	Address     string           `json:"address"`
	Tags        []string         `json:"tags"`
	State       string           `json:"state"`
	Flags       []string         `json:"flags"`
	Slots       uint32           `json:"max_tasks"`
	Leased      uint32           `json:"leased"`
	External    uint32           `json:"external"`
	Resources   map[string]int64 `json:"resources"`
	Used        map[string]int64 `json:"used"`
	Devices     []deviceRow      `json:"devices"`
	Incarnation uint64           `json:"incarnation,string"`
	LastSeen    string           `json:"last_seen"`
	Cordon      *cordonRow       `json:"cordon,omitempty"`
	HeldBy      string           `json:"held_by,omitempty"`
	// Recent is how many outcomes of its last tasks are remembered, and
	// RecentFailed how many of them are failures.
	Recent       uint32 `json:"recent,omitempty"`
	RecentFailed uint32 `json:"recent_failed,omitempty"`
}

// deviceRow is one GPU of a worker; its number is its place in the list.
type deviceRow struct {
	Model  string `json:"model"`
	Memory int64  `json:"memory"` // MiB
	UUID   string `json:"uuid"`
	Used   int64  `json:"used"` // MiB
	Leases uint32 `json:"leases"`
	Whole  bool   `json:"whole"`
	Failed uint32 `json:"failed,omitempty"` // of the worker's recent failures

	Missing bool `json:"missing,omitempty"` // it is gone: leases keep it, and nothing new gets it
}

// cordonRow says why a worker gets nothing new.
type cordonRow struct {
	Reason string `json:"reason"`
	By     string `json:"by"`
	Since  string `json:"since"`
	// Deadline is when what still runs is preempted.
	Deadline string `json:"deadline,omitempty"`
	// Probe is when one task is let onto a worker that is quarantined.
	Probe string `json:"probe,omitempty"`
}

// workerAnswer is the body of GET /api/v1/workers/{id}.
type workerAnswer struct {
	Worker workerRow  `json:"worker"`
	Leases []leaseRow `json:"leases"`
}

func (g *gateway) worker(w http.ResponseWriter, r *http.Request) {
	id, ok := g.workerID(w, r)
	if !ok {
		return
	}
	c := takeCall(w)
	defer c.putBack()
	switch m := g.srv.core.do(&c.exchange, &wire.GetWorker{ID: id}).(type) {
	case *wire.Worker:
		answer := workerAnswer{Worker: g.workerRow(&m.Info), Leases: g.leaseRows(m.Leases)}
		writeValue(w, &answer)
	case *wire.Error:
		refuse(w, m)
	}
}

func (g *gateway) workerRow(info *wire.WorkerInfo) workerRow {
	row := workerRow{
		ID: info.ID, Address: info.Address, Tags: info.Tags, State: info.State, Flags: info.Flags,
		Slots: info.Slots, Leased: info.Taken, External: info.External, Resources: info.Resources,
		Used: info.Used, Devices: make([]deviceRow, len(info.Devices)),
		Incarnation: info.Incarnation, LastSeen: g.ago(info.SeenMS), HeldBy: info.HeldBy,
		Recent: info.Recent, RecentFailed: info.RecentFailed,
	}
	for i, d := range info.Devices {
		row.Devices[i] = deviceRow(d)
	}
	if row.Tags == nil {
		row.Tags = []string{}
	}
	if row.Used == nil {
		row.Used = map[string]int64{}
	}
	for _, flag := range info.Flags {
		if flag == "cordoned" {
			row.Cordon = &cordonRow{Reason: info.CordonReason, By: info.CordonBy, Since: g.ago(info.CordonMS)}
			if info.DeadlineMS > 0 {
				row.Cordon.Deadline = g.srv.core.clock.ahead(info.DeadlineMS).Format(lastHeartbeat)
			}
			if info.ProbeMS > 0 {
				row.Cordon.Probe = g.srv.core.clock.ahead(info.ProbeMS).Format(lastHeartbeat)
			}
		}
	}
	return row
}

// ago returns the time that lies ms milliseconds back, as the API shows times.
func (g *gateway) ago(ms uint64) string {
	return g.srv.core.clock.wall(ms).Format(lastHeartbeat)
}

// writeValue answers with v as JSON.
func writeValue(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		jsonError(w, http.StatusInternalServerError, err.Error(), wire.CodeInternal.String())
		return
	}
	writeJSON(w, http.StatusOK, append(body, '\n'))
}

// cordonRequest is the body of a cordon, a drain and an uncordon. It may be missing.
type cordonRequest struct {
	Reason     string `json:"reason"`
	By         string `json:"by"`
	DeadlineMS *int64 `json:"deadline_ms"` // of a drain
}

// fault returns what is wrong with the request, or nil. A deadline of 0 would be
// taken for none by one reader, and for this moment by another.
func (q *cordonRequest) fault() *wire.Error {
	if q.DeadlineMS != nil {
		if e := outside("deadline_ms", *q.DeadlineMS); e != nil {
			return e
		}
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"reason", q.Reason, wire.MaxReason}, {"by", q.By, wire.MaxID}} {
		switch {
		case len(f.value) > f.most:
			return badField(f.name, fmt.Sprintf("is longer than %d bytes", f.most), f.most)
		case strings.ContainsFunc(f.value, unicode.IsControl):
			return badField(f.name, "holds control characters", 0)
		}
	}
	return nil
}

// cordonAnswer is the answer to a cordon, a drain and an uncordon.
type cordonAnswer struct {
	Status  string `json:"status"`
	Changed bool   `json:"changed"`
}

func (g *gateway) cordonWorker(w http.ResponseWriter, r *http.Request) {
	g.cordon(w, r, "worker cordoned", wire.Cordon{On: true})
}

func (g *gateway) drainWorker(w http.ResponseWriter, r *http.Request) {
	g.cordon(w, r, "worker drains", wire.Cordon{On: true, Drain: true})
}

func (g *gateway) uncordonWorker(w http.ResponseWriter, r *http.Request) {
	g.cordon(w, r, "worker uncordoned", wire.Cordon{})
}

// cordon takes a worker out of service, or puts it back, and logs the line.
func (g *gateway) cordon(w http.ResponseWriter, r *http.Request, line string, m wire.Cordon) {
	id, ok := g.workerID(w, r)
	if !ok {
		return
	}
	c := takeCall(w)
	defer c.putBack()
	var q cordonRequest
	if !g.readOptional(c, w, r, &q) {
		return
	}
	if e := q.fault(); e != nil {
		invalid(w, r, e)
		return
	}
	if q.By == "" {
		q.By = hostOf(r)
	}
	m.Worker, m.Reason, m.By = id, q.Reason, q.By
	if q.DeadlineMS != nil {
		m.DeadlineMS = uint32(*q.DeadlineMS)
	}
	switch m := g.srv.core.do(&c.exchange, &m).(type) {
	case *wire.Cordoned:
		g.tell(w, line, "worker", id, "reason", q.Reason, "by", q.By, "changed", m.Changed)
		writeValue(w, &cordonAnswer{Status: "ok", Changed: m.Changed})
	case *wire.Error:
		refuse(w, m)
	}
}
