package loadtest

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

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

	Placed  Latency `json:"placed"`  // schedule requests answered with a lease
	Refused Latency `json:"refused"` // and answered with a code

	Workers         int               `json:"workers"`
	Slots           int               `json:"slots"`
	Clients         int               `json:"clients"`
	Depth           int               `json:"depth"`
	Rate            float64           `json:"rate"` // -1: closed loop
	Seconds         float64           `json:"seconds"`
	Seed            uint64            `json:"seed"`
	Refusals        map[string]uint64 `json:"refusals"` // by code
	Begins          uint64            `json:"begins"`
	BeginsRefused   uint64            `json:"begins_refused"`
	Ends            uint64            `json:"ends"`
	TasksLost       uint64            `json:"tasks_lost"`
	Repeats         uint64            `json:"repeats"`
	Renewals        uint64            `json:"renewals"`
	Releases        uint64            `json:"releases"`
	Revokes         uint64            `json:"revokes"`
	GivenBack       uint64            `json:"given_back"`
	Heartbeats      uint64            `json:"heartbeats"`
	Reconnects      uint64            `json:"reconnects"`
	Superseded      uint64            `json:"superseded"`
	Resent          uint64            `json:"resent"`
	WorkerCrashes   int               `json:"worker_crashes"`
	Restarts        int               `json:"scheduler_restarts"`
	Network         proxy.Counts      `json:"network"`             // what the bad network did
	ProcessCPU      float64           `json:"process_cpu_seconds"` // under load, of this process
	Embedded        bool              `json:"embedded"`
	Violations      int               `json:"violations"`
	FirstViolations []judge.Violation `json:"first_violations"`
}

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
	placed, refused := hdrhistogram.New(shortest, longest, digits), hdrhistogram.New(shortest, longest, digits)
	r.each(func(s *shard) {
		placed.Merge(s.placed)
		refused.Merge(s.refused)
	})
	sum := r.total()
	out := &Report{
		SchedulesPerSecond: float64(w.counts.Placed) / w.length.Seconds(),
		Placed:             latency(placed), Refused: latency(refused),
		Workers: len(r.workers), Slots: totalSlots(r.fleet), Clients: r.cfg.Clients, Depth: r.cfg.Depth,
		Rate: r.cfg.Rate, Seconds: w.length.Seconds(), Seed: r.cfg.Seed,
		Refusals: make(map[string]uint64),
		Begins:   sum.Begins, BeginsRefused: sum.BeginRefused, Ends: sum.Ends, TasksLost: sum.Lost,
		Repeats: sum.Repeated, Renewals: sum.Renewals, Releases: sum.Releases,
		Revokes: sum.Revokes, GivenBack: sum.GivenBack, Heartbeats: sum.Heartbeats,
		Reconnects: sum.Reconnects, Superseded: sum.Superseded, Resent: sum.Resent,
		WorkerCrashes: r.crashes, Restarts: r.restarts,
		ProcessCPU: w.cpu.Seconds(), Embedded: r.cfg.Embedded,
	}
	out.P99 = out.Placed.P99
	if r.proxy != nil {
		out.Network = r.proxy.Counts()
	}
	for code, n := range sum.Refused {
		if n > 0 {
			out.Refusals[wire.Code(code).String()] = n
		}
	}
	out.FirstViolations, out.Violations = r.judge.Violations()
	return out
}

// Print writes the report for people: the two numbers, then the table.
func (r *Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s schedules/s, p99 %s\n\n", grouped(uint64(r.SchedulesPerSecond)), millis(r.P99))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tcount\tp50\tp90\tp99\tp99.9\tmax\n")
	for _, row := range []struct {
		name string
		l    Latency
	}{{"placed", r.Placed}, {"refused", r.Refused}} {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.name, grouped(uint64(row.l.Count)),
			millis(row.l.P50), millis(row.l.P90), millis(row.l.P99), millis(row.l.P999), millis(row.l.Max))
	}
	fmt.Fprintln(t)
	for _, row := range r.rows() {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range r.FirstViolations {
		fmt.Fprintln(out, "VIOLATION", v)
	}
	_, err := fmt.Fprintf(out, "violations: %d\n", r.Violations)
	return err
}

// rows are the lines below the latencies.
func (r *Report) rows() [][2]string {
	load := fmt.Sprintf("%d clients, %d requests in flight each", r.Clients, r.Depth)
	if r.Rate != ClosedLoop {
		load = fmt.Sprintf("%d clients, %g requests/s at drawn times", r.Clients, r.Rate)
	}
	cpu := fmt.Sprintf("%.1f s in %.1f s on %d processors, the load generator alone", r.ProcessCPU, r.Seconds, runtime.NumCPU())
	if r.Embedded {
		cpu = fmt.Sprintf("%.1f s in %.1f s on %d processors; the scheduler is embedded, its share cannot be told apart", r.ProcessCPU, r.Seconds, runtime.NumCPU())
	}
	rows := [][2]string{
		{"fleet", fmt.Sprintf("%s workers, %s slots, seed %d", grouped(uint64(r.Workers)), grouped(uint64(r.Slots)), r.Seed)},
		{"load", fmt.Sprintf("%s, %v", load, time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))},
		{"tasks", fmt.Sprintf("%s begun, %s ended, %s lost with their worker", grouped(r.Begins), grouped(r.Ends), grouped(r.TasksLost))},
		{"leases", fmt.Sprintf("%s released, %s renewals, %s repeats, %s asked back, %s given back, %s begun too late or for what is gone",
			grouped(r.Releases), grouped(r.Renewals), grouped(r.Repeats), grouped(r.Revokes), grouped(r.GivenBack), grouped(r.BeginsRefused))},
		{"connections", fmt.Sprintf("%s heartbeats, %s reconnects, %s new incarnations, %s requests sent again",
			grouped(r.Heartbeats), grouped(r.Reconnects), grouped(r.Superseded), grouped(r.Resent))},
		{"faults", fmt.Sprintf("%d workers killed, %d restarts of the scheduler, %s heartbeats duplicated, %s connections broken, %s stalls",
			r.WorkerCrashes, r.Restarts, grouped(r.Network.Duplicates), grouped(r.Network.Breaks), grouped(r.Network.Stalls))},
		{"processor", cpu},
	}
	for code := range wire.Code(maxCode) {
		if n := r.Refusals[code.String()]; n > 0 {
			rows = append(rows, [2]string{"refused " + code.String(), grouped(n)})
		}
	}
	return rows
}
