package loadtest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// webShare is the share of tasks that are placed by the HTTP API while some
// workers report so.
const webShare = 0.1

// placement is the body of a request for a place.
type placement struct {
	Task string   `json:"task_id"`
	Tags []string `json:"required_tags"`
}

// leaseCall is the body of a renewal and of a release.
type leaseCall struct {
	Lease  string `json:"lease_id"`
	Handed bool   `json:"handed,omitempty"`
}

// webPlaced is the answer to a request for a place.
type webPlaced struct {
	Worker      string       `json:"worker_id"`
	Address     string       `json:"address"`
	Lease       wire.LeaseID `json:"lease_id"`
	Incarnation uint64       `json:"incarnation,string"`
	TTLMS       uint32       `json:"ttl_ms"`
	BestEffort  bool         `json:"best_effort"`
}

// webStatus is what became of a lease, or why not.
type webStatus struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

// ask makes the request of a step by HTTP. All of them may be repeated, the
// first for its key, so one without an answer is sent again.
func (j *job) ask(k call) {
	path, body := "/api/v1/schedule", any(placement{string(j.id), j.need.need.Tags})
	switch k.step {
	case stepRenew:
		path, body = "/api/v1/renew", leaseCall{Lease: j.lease.String()}
	case stepRelease:
		path, body = "/api/v1/release", leaseCall{Lease: j.lease.String(), Handed: j.handed}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic("loadtest: " + err.Error()) // strings can always be written
	}
	c := j.client
	c.sh.run.web.ask(request{
		loop: c.sh.loop, method: http.MethodPost, path: path, body: text,
		key:  c.name + "/" + string(j.id),
		done: func(now int64, a answer) { j.heard(now, k, &a) },
	})
}

// heard goes on with the answer to a request by HTTP.
func (j *job) heard(now int64, k call, a *answer) {
	c := j.client
	s := c.sh
	if a.err != nil {
		if a.late() {
			s.run.judge.Broken(judge.Unanswered, "%v: %s by HTTP was not answered in 30 s", j.task, k.step)
		}
		s.counts.WebFailed++
		s.counts.Resent++
		s.loop.At(s.back(now, 0), &repeat{j, k}, 0)
		return
	}
	c.busy--
	m, ok := translate(k.step, a)
	if !ok {
		s.run.judge.Broken(judge.Unexpected, "%v: %s by HTTP was answered %d %q", j.task, k.step, a.status, a.body)
		m = &wire.Error{Code: wire.CodeUnavailable}
	}
	j.answered(now, &k, m)
	c.pump(now)
}

// repeat is a request by HTTP that is to be sent again.
type repeat struct {
	job  *job
	call call
}

// Ring implements poll.Alarm.
func (r *repeat) Ring(int64, uint64) { r.job.ask(r.call) }

// translate returns an answer by HTTP as the native protocol says the same. It
// reports false if that is impossible.
func translate(s step, a *answer) (wire.Message, bool) {
	if a.status == http.StatusOK && (s == stepSchedule || s == stepRepeat) {
		var p webPlaced
		if json.Unmarshal(a.body, &p) != nil || p.Lease == (wire.LeaseID{}) {
			return nil, false
		}
		m := &wire.Placed{Lease: p.Lease, Target: wire.AppendTarget(nil, p.Worker, p.Address), Incarnation: p.Incarnation, TTLMS: p.TTLMS}
		if p.BestEffort {
			m.Flags = wire.PlacedBestEffort
		}
		return m, true
	}
	var q webStatus
	if json.Unmarshal(a.body, &q) != nil {
		return nil, false
	}
	if a.status == http.StatusOK {
		return became(s, q.Status)
	}
	code, known := wire.ParseCode(q.Reason)
	switch {
	case !known:
		return nil, false
	case s == stepRenew && code == wire.CodeNotFound:
		return &wire.Renewed{Leases: make([]wire.LeaseStatus, 1)}, true
	case s == stepRelease && (code == wire.CodeNotFound || code == wire.CodeBegun):
		return &wire.Released{Code: code}, true
	}
	return &wire.Error{Code: code, Message: strconv.Itoa(a.status) + " " + q.Error}, true
}

// became is the answer to a renewal or a release, by its word.
func became(s step, word string) (wire.Message, bool) {
	if s == stepRenew {
		for _, state := range []wire.State{wire.StateGranted, wire.StateAskedBack, wire.StateBegun, wire.StateAssumed, wire.StateEnded} {
			if word == state.String() {
				return &wire.Renewed{Leases: []wire.LeaseStatus{{State: state}}}, true
			}
		}
		return nil, false
	}
	for _, code := range []wire.Code{wire.CodeAskedBack, wire.CodeAlreadyEnded} {
		if word == code.String() {
			return &wire.Released{Code: code}, true
		}
	}
	return &wire.Released{Code: wire.CodeOK}, word == "released"
}
