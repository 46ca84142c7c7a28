package loadtest

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// errAway says that a worker has crashed and is not back yet.
var errAway = errors.New("the worker is away")

// reporter is the link of a worker that speaks HTTP: it reports how many tasks
// run, knows of no leases, and takes every task it is handed.
type reporter struct {
	*worker
	away   bool // crashed and not back yet
	flying bool // a report is on its way
}

// report is the body of a heartbeat.
type report struct {
	Worker    string   `json:"worker_id"`
	Address   string   `json:"address"`
	Tags      []string `json:"resource_tags"`
	Slots     int      `json:"max_tasks"`
	Running   int      `json:"current_tasks"`
	Timestamp int64    `json:"timestamp"`
}

// Ring implements poll.Alarm.
func (r *reporter) Ring(now int64, what uint64) {
	switch kind := what & (1<<timerBits - 1); {
	case what>>timerBits != r.life:
	case kind == timerConnect && r.quitting:
		r.leave()
	case r.quitting:
	case kind == timerConnect:
		r.connect()
	case kind == timerBeat:
		r.timer(r.nextBeat(now), timerBeat)
		r.report()
	}
}

func (r *reporter) timer(at int64, what uint64) { r.sh.loop.At(at, r, r.life<<timerBits|what) }

// connect implements link: the first report registers the worker.
func (r *reporter) connect() {
	r.away, r.stage = false, stageRegistering
	r.timer(r.firstBeat(r.sh.loop.Now()), timerBeat)
	r.report()
}

// report says how many tasks run. One report at a time is on its way, so that
// they arrive in order.
func (r *reporter) report() {
	if r.flying {
		return
	}
	body, err := json.Marshal(report{
		Worker: r.spec.id, Address: r.spec.address, Tags: r.spec.tags,
		Slots: r.spec.slots, Running: len(r.running), Timestamp: time.Now().Unix(),
	})
	if err != nil {
		panic("loadtest: " + err.Error()) // strings and numbers can always be written
	}
	r.flying = true
	r.sh.counts.Heartbeats++
	life := r.life
	r.sh.run.web.ask(request{
		loop: r.sh.loop, method: http.MethodPost, path: "/api/v1/heartbeat", body: body,
		done: func(_ int64, a answer) {
			r.flying = false
			if life == r.life {
				r.reported(&a)
			}
			if r.quitting {
				r.leave()
			}
		},
	})
}

func (r *reporter) reported(a *answer) {
	switch {
	case a.err == nil && a.status == http.StatusOK:
		r.registered()
		return
	case a.err == nil:
		r.sh.run.judge.Broken(judge.Unexpected, "%s: its heartbeat was answered %d %q", r.spec.id, a.status, a.body)
	case a.late():
		r.sh.run.judge.Broken(judge.Unanswered, "%s: its heartbeat was not answered in 30 s", r.spec.id)
	}
	r.sh.counts.WebFailed++
	r.stage = stageDown
}

// begin implements link.
func (r *reporter) begin(now int64, h *wire.Handover, _ string) error {
	if r.away {
		r.sh.counts.BeginRefused++
		return errAway
	}
	r.sh.run.judge.Began(r.index, h.Lease)
	r.start(now, h.Lease)
	return nil
}

// ended implements link: the next report counts one task less.
func (r *reporter) ended(int64, wire.LeaseID, wire.Reason) {}

// crash implements link.
func (r *reporter) crash(now int64, keep bool) {
	r.away, r.stage = true, stageDown
	r.life++
	if !keep {
		r.lose()
	}
	r.timer(r.sh.back(now, 0), timerConnect)
}

// quit implements link. The last report must have arrived before: it would
// bring the worker back.
func (r *reporter) quit() {
	r.quitting = true
	if !r.flying {
		r.leave()
	}
}

func (r *reporter) leave() {
	r.sh.run.web.ask(request{
		loop: r.sh.loop, method: http.MethodDelete, path: "/api/v1/workers/" + url.PathEscape(r.spec.id),
		done: func(now int64, a answer) {
			switch {
			case a.err != nil:
				r.sh.counts.WebFailed++
				r.timer(r.sh.back(now, 0), timerConnect)
			case a.status != http.StatusOK && a.status != http.StatusNotFound:
				r.sh.run.judge.Broken(judge.Unexpected, "%s: its removal was answered %d %q", r.spec.id, a.status, a.body)
			default:
				r.sh.run.gone.Add(1)
			}
		},
	})
}

// unacknowledged implements link: ends are not reported one by one.
func (r *reporter) unacknowledged() int { return 0 }

// unanswered implements link: it sends no datagrams.
func (r *reporter) unanswered() int { return 0 }
