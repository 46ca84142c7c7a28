package loadtest

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/loadtest/proxy"
	"github.com/dtask/dtask-scheduler/wire"
)

// Latency is a distribution of times, in nanoseconds.
type Latency struct {
	Count int64 `json:"count"`
	P50   int64 `json:"p50_ns"`
	P90   int64 `json:"p90_ns"`
	P99   int64 `json:"p99_ns"`
	P999  int64 `json:"p999_ns"`
	Max   int64 `json:"max_ns"`
}

// Report is what came of a run. But for Agree, which the judge says, all of it
// describes the load.
type Report struct {
	SchedulesPerSecond float64 `json:"schedules_per_second"`
	P99                int64   `json:"p99_ns"` // of Placed

	Placed     Latency            `json:"placed"`      // native schedule requests answered with a lease
	PlacedHTTP Latency            `json:"placed_http"` // those by HTTP
	Refused    Latency            `json:"refused"`     // both, answered with a code
	Waits      map[string]Latency `json:"waits"`       // of the profile overload: until they were placed, by priority

	Profile         Profile               `json:"profile"`
	Kinds           map[string]KindCounts `json:"kinds"` // by kind of task
	Transport       Transport             `json:"transport"`
	Workers         int                   `json:"workers"`
	Slots           int                   `json:"slots"`
	Clients         int                   `json:"clients"`
	Depth           int                   `json:"depth"`
	Rate            float64               `json:"rate"` // -1: closed loop
	Seconds         float64               `json:"seconds"`
	Seed            uint64                `json:"seed"`
	Refusals        map[string]uint64     `json:"refusals"` // by code
	Begins          uint64                `json:"begins"`
	BeginsRefused   uint64                `json:"begins_refused"`
	Ends            uint64                `json:"ends"`
	TasksLost       uint64                `json:"tasks_lost"`
	Repeats         uint64                `json:"repeats"`
	Renewals        uint64                `json:"renewals"`
	Releases        uint64                `json:"releases"`
	Revokes         uint64                `json:"revokes"`
	GivenBack       uint64                `json:"given_back"`
	Preempting      uint64                `json:"preempting"` // tasks that take the room of others
	Preempted       uint64                `json:"preempted"`  // preempted tasks
	Killed          uint64                `json:"killed"`     // kills of one
	Requeued        uint64                `json:"requeued"`   // tasks that waited again
	Heartbeats      uint64                `json:"heartbeats"`
	Reconnects      uint64                `json:"reconnects"`
	Superseded      uint64                `json:"superseded"`
	Resent          uint64                `json:"resent"`
	Datagrams       Datagrams             `json:"datagrams"`
	HTTPFailed      uint64                `json:"http_requests_failed"` // without an answer; they are sent again
	Exceeded        int                   `json:"heuristic_exceeded"`   // begins without a free slot on workers that speak HTTP
	WorkerCrashes   int                   `json:"worker_crashes"`
	Restarts        int                   `json:"scheduler_restarts"`
	Network         proxy.Counts          `json:"network"` // what the bad network did
	DatagramFaults  proxy.DatagramCounts  `json:"datagram_network"`
	ProcessCPU      float64               `json:"process_cpu_seconds"` // under load, of this process
	Embedded        bool                  `json:"embedded"`
	Violations      int                   `json:"violations"`
	FirstViolations []judge.Violation     `json:"first_violations"`
}

// classNames are the priorities of the profile overload, as the report shows
// them.
var classNames = [classes]string{"low", "normal", "high"}

func latency(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	return Latency{
		Count: h.TotalCount(), P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90),
		P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max(),
	}
}

// report puts the result together. The rate is that of the load, the counts
// are those of the whole run.
func (r *run) report(w window) *Report {
	histogram := func() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, digits) }
	placed, web, refused := histogram(), histogram(), histogram()
	r.each(func(s *shard) {
		placed.Merge(s.placed)
		web.Merge(s.web)
		refused.Merge(s.refused)
	})
	sum := r.total()
	out := &Report{
		SchedulesPerSecond: float64(w.counts.Placed) / w.length.Seconds(),
		Placed:             latency(placed), PlacedHTTP: latency(web), Refused: latency(refused),
		Profile: r.cfg.Profile, Kinds: make(map[string]KindCounts), Waits: make(map[string]Latency),
		Transport: r.cfg.Transport, Workers: len(r.workers), Slots: totalSlots(r.fleet), Clients: r.cfg.Clients, Depth: r.cfg.Depth,
		Rate: r.cfg.Rate, Seconds: w.length.Seconds(), Seed: r.cfg.Seed,
		Refusals: make(map[string]uint64),
		Begins:   sum.Begins, BeginsRefused: sum.BeginRefused, Ends: sum.Ends, TasksLost: sum.Lost,
		Repeats: sum.Repeated, Renewals: sum.Renewals, Releases: sum.Releases,
		Revokes: sum.Revokes, GivenBack: sum.GivenBack, Heartbeats: sum.Heartbeats,
		Preempting: sum.Preempting, Preempted: sum.Preempted, Killed: sum.Killed, Requeued: sum.Requeued,
		Reconnects: sum.Reconnects, Superseded: sum.Superseded, Resent: sum.Resent,
		Datagrams: sum.Datagrams, HTTPFailed: sum.WebFailed, Exceeded: r.judge.Exceeded(),
		WorkerCrashes: r.crashes, Restarts: r.restarts,
		ProcessCPU: w.cpu.Seconds(), Embedded: r.cfg.Embedded,
	}
	out.P99 = out.Placed.P99
	out.Datagrams.Lost = sum.Datagrams.Sent - sum.Datagrams.Acked
	out.Network, out.DatagramFaults = r.bad.counts()
	for code, n := range sum.Refused {
		if n > 0 {
			out.Refusals[wire.Code(code).String()] = n
		}
	}
	for class, name := range classNames {
		all := histogram()
		r.each(func(s *shard) { all.Merge(s.waits[class]) })
		if all.TotalCount() > 0 {
			out.Waits[name] = latency(all)
		}
	}
	for k, n := range sum.Kinds {
		if n != (KindCounts{}) {
			out.Kinds[kind(k).String()] = n
		}
	}
	out.FirstViolations, out.Violations = r.judge.Violations()
	return out
}
