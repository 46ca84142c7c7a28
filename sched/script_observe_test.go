package sched

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// observe prints what monitoring is told, but for what is 0.
func (c *script) observe() {
	var o Observation
	c.s.Observe(c.now, &o)
	c.counts("workers", Presences[:], o.Workers[:])
	var states, reasons []string
	for s := range wire.StateEnded {
		states = append(states, s.String())
	}
	for r := range wire.ReasonPreempted + 1 {
		reasons = append(reasons, r.String())
	}
	c.counts("leases", states, o.Leases[:])
	c.counts("ends", reasons, o.LeaseEnds[:])
	c.counts("leases", []string{"granted", "revoked", "preempted"}, []uint64{o.Granted, o.Revokes, o.Preempted})
	c.counts("waiting", Classes[:], o.Waiting[:])
	c.counts("oldest, ms", Classes[:], []uint64{uint64(o.Oldest[0]), uint64(o.Oldest[1]), uint64(o.Oldest[2])})
	c.counts("waits", WaitEnds[:], o.WaitEnds[:])
	for k := range o.Waits {
		c.durations("waited "+Classes[k], &o.Waits[k])
	}
	for t := range o.Beats {
		c.counts("heartbeats "+Transport(t).String(), []string{BeatOK: "ok", BeatStale: "stale", BeatUnknown: "unknown"}, o.Beats[t][:])
	}
	c.durations("silences", &o.Silences)
	names := slices.Sorted(maps.Keys(o.Events))
	values := make([]uint64, len(names))
	for i, name := range names {
		values[i] = o.Events[name]
	}
	c.counts("events", names, values)
	if o.Holding || o.Holds > 0 {
		fmt.Fprintf(&c.print, "holding: %v, %d times\n", o.Holding, o.Holds)
	}
	if o.MassLoss || o.Losses > 0 {
		fmt.Fprintf(&c.print, "mass loss: %v, %d times\n", o.MassLoss, o.Losses)
	}
}

func (c *script) counts(what string, names []string, counts []uint64) {
	line := ""
	for i, n := range counts {
		if n > 0 {
			line += fmt.Sprintf(" %s=%d", names[i], n)
		}
	}
	if line != "" {
		c.print.WriteString(what + ":" + line + "\n")
	}
}

func (c *script) durations(what string, d *Durations) {
	line := ""
	for i, n := range d.Counts {
		switch {
		case n == 0:
		case i == len(d.Bounds):
			line += fmt.Sprintf(" longer=%d", n)
		default:
			line += fmt.Sprintf(" to_%gs=%d", float64(d.Bounds[i])/1000, n)
		}
	}
	if line != "" {
		fmt.Fprintf(&c.print, "%s:%s, %gs together\n", what, line, float64(d.Sum)/1000)
	}
}

// scan prints the totals over the fleet.
func (c *script) scan() {
	f, _ := scanAll(c.s)
	fmt.Fprintf(&c.print, "workers=%d leases=%d\n", f.Workers, f.Leases)
	for i, n := range f.Flags {
		if n > 0 {
			fmt.Fprintf(&c.print, "%s=%d\n", Flags[i], n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Resources)) {
		a := f.Resources[name]
		fmt.Fprintf(&c.print, "%s: %g of %g taken, %g free\n", name, a.Taken, a.Capacity, a.Free)
	}
}
