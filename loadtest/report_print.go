package loadtest

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Print writes the report for people: the two numbers, then the table.
func (r *Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s schedules/s, p99 %s\n\n", grouped(uint64(r.SchedulesPerSecond)), millis(r.P99))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tcount\tp50\tp90\tp99\tp99.9\tmax\n")
	for _, row := range []struct {
		name string
		l    Latency
	}{{"placed", r.Placed}, {"placed by HTTP", r.PlacedHTTP}, {"refused", r.Refused}} {
		if row.l.Count == 0 && row.name == "placed by HTTP" {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.name, grouped(uint64(row.l.Count)),
			millis(row.l.P50), millis(row.l.P90), millis(row.l.P99), millis(row.l.P999), millis(row.l.Max))
	}
	for _, name := range classNames {
		if l, any := r.Waits[name]; any {
			fmt.Fprintf(t, "waited, %s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, grouped(uint64(l.Count)), millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max))
		}
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
		cpu = fmt.Sprintf("%.1f s in %.1f s on %d processors; the scheduler is embedded, its share is included", r.ProcessCPU, r.Seconds, runtime.NumCPU())
	}
	rows := [][2]string{
		{"fleet", fmt.Sprintf("%s workers, %s slots, transport %s, seed %d", grouped(uint64(r.Workers)), grouped(uint64(r.Slots)), r.Transport, r.Seed)},
		{"load", fmt.Sprintf("profile %s, %s, %v", r.Profile, load, time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))},
		{"tasks", fmt.Sprintf("%s begun, %s ended, %s lost with their worker", grouped(r.Begins), grouped(r.Ends), grouped(r.TasksLost))},
		{"leases", fmt.Sprintf("%s released, %s renewals, %s repeats, %s asked back, %s given back, %s begun too late or for what is gone",
			grouped(r.Releases), grouped(r.Renewals), grouped(r.Repeats), grouped(r.Revokes), grouped(r.GivenBack), grouped(r.BeginsRefused))},
		{"connections", fmt.Sprintf("%s heartbeats, %s reconnects, %s new incarnations, %s requests sent again",
			grouped(r.Heartbeats), grouped(r.Reconnects), grouped(r.Superseded), grouped(r.Resent))},
		{"faults", fmt.Sprintf("%d workers killed, %d restarts of the scheduler, %s heartbeats duplicated, %s connections broken, %s stalls",
			r.WorkerCrashes, r.Restarts, grouped(r.Network.Duplicates), grouped(r.Network.Breaks), grouped(r.Network.Stalls))},
		{"processor", cpu},
	}
	if r.Profile == ProfileOverload {
		rows = append(rows, [2]string{"preemption", fmt.Sprintf("%s tasks preempt, %s preempted, %s kills, %s requeued",
			grouped(r.Preempting), grouped(r.Preempted), grouped(r.Killed), grouped(r.Requeued))})
	}
	rows = append(rows, r.transportRows()...)
	for k := range kinds {
		if n, any := r.Kinds[k.String()]; any && r.Profile != ProfileSlots {
			rows = append(rows, [2]string{"kind " + k.String(), fmt.Sprintf("%s placed, %s refused", grouped(n.Placed), grouped(n.Refused))})
		}
	}
	for code := range wire.Code(maxCode) {
		if n := r.Refusals[code.String()]; n > 0 {
			rows = append(rows, [2]string{"refused " + code.String(), grouped(n)})
		}
	}
	return rows
}

// transportRows are the lines that only some transports have.
func (r *Report) transportRows() (rows [][2]string) {
	if d := &r.Datagrams; r.Transport.has(UDP) {
		rows = append(rows, [2]string{"datagrams", fmt.Sprintf("%s sent, %s acknowledged, %s lost, %s told to connect, %s silences, %s registered again",
			grouped(d.Sent), grouped(d.Acked), grouped(d.Lost), grouped(d.Told), grouped(d.Silences), grouped(d.Again))})
	}
	if f := &r.DatagramFaults; f.Carried > 0 {
		rows = append(rows, [2]string{"datagram faults", fmt.Sprintf("of %s carried %s lost, %s duplicated, %s late, %s overtaken; %s acknowledged again",
			grouped(f.Carried), grouped(f.Lost), grouped(f.Duplicated), grouped(f.Late), grouped(f.Overtaken), grouped(r.Datagrams.Repeated))})
	}
	if r.Transport.has(HTTP) {
		rows = append(rows, [2]string{"http", fmt.Sprintf("%s requests without an answer; heuristic exceeded by %s tasks",
			grouped(r.HTTPFailed), grouped(uint64(r.Exceeded)))})
	}
	return rows
}
