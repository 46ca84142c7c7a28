package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// workerID returns the id that the path of the request names. It reports false
// after it has answered with an error itself.
func (c *call) workerID() (id string, ok bool) {
	raw, _ := workerOf(c.r)
	id, err := url.PathUnescape(raw)
	if err != nil {
		c.text(http.StatusBadRequest, "Invalid worker id")
		return "", false
	}
	return id, true
}

func deleteWorker(c *call) {
	id, ok := c.workerID()
	switch {
	case !ok:
	case !c.g.Engine.Remove(c.id, id):
		c.notFound("worker")
	default:
		c.logChange("worker removed", "worker", id)
		c.done()
	}
}

func worker(c *call) {
	id, ok := c.workerID()
	if !ok {
		return
	}
	if m, ok := ask[*wire.Worker](c, &wire.GetWorker{ID: id}); ok {
		c.ok(&view.WorkerDetail{Worker: view.WorkerOf(&m.Info, c.g.Engine), Leases: view.RowsOf(m.Leases, c.lease)})
	}
}

// lease returns the row of a lease.
func (c *call) lease(l *wire.LeaseInfo) view.Lease { return view.LeaseOf(l, c.g.Engine) }

// cordonRequest is the body of a cordon, a drain and an uncordon. It may be missing.
type cordonRequest struct {
	Reason     string `json:"reason"`
	By         string `json:"by"`
	DeadlineMS *int64 `json:"deadline_ms"` // of a drain
}

// optional says that the body may be missing.
func (*cordonRequest) optional() {}

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

// cordoned is the answer to a cordon, a drain and an uncordon.
type cordoned struct {
	Status  string `json:"status"`
	Changed bool   `json:"changed"`
}

// cordon returns the handler that takes a worker out of service, or puts it back,
// and logs the line.
func cordon(line string, m wire.Cordon) func(*call, *cordonRequest) {
	return func(c *call, q *cordonRequest) {
		id, ok := c.workerID()
		if !ok {
			return
		}
		if e := q.fault(); e != nil {
			c.invalid(e)
			return
		}
		m := m
		if m.Worker, m.Reason, m.By = id, q.Reason, q.By; m.By == "" {
			m.By = hostOf(c.r)
		}
		if q.DeadlineMS != nil {
			m.DeadlineMS = uint32(*q.DeadlineMS)
		}
		if done, ok := ask[*wire.Cordoned](c, &m); ok {
			c.logChange(line, "worker", id, "reason", m.Reason, "by", m.By, "changed", done.Changed)
			c.ok(&cordoned{Status: "ok", Changed: done.Changed})
		}
	}
}
