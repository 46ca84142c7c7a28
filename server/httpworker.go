package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/dtask/dtask-scheduler/view"
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

// workerAnswer is the body of GET /api/v1/workers/{id}.
type workerAnswer struct {
	Worker view.Worker  `json:"worker"`
	Leases []view.Lease `json:"leases"`
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
		answer := workerAnswer{Worker: view.WorkerOf(&m.Info, g.srv.core.clock), Leases: g.leaseRows(m.Leases)}
		writeValue(w, &answer)
	case *wire.Error:
		refuse(w, m)
	}
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
